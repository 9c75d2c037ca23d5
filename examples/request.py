"""Handlers for single requests: `callbacks(handler)` around the lines that ask, as the lesson's `run` and `apply` take
them. A handler that the client has as well is called once."""

from __future__ import annotations

from typing import Any

from _service import Service, run
from openai import OpenAI

from token_meter import Call, CallbackHandler, Meter, attach, callbacks, detach, meter


class MyCallBackHandler(CallbackHandler):
    def __init__(self) -> None:
        self.calls: list[Call] = []

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        print(f"recv token: {token!r}")

    def on_llm_end(self, response: Call, **kwargs: Any) -> None:
        self.calls.append(response)


def add_one(client: OpenAI, number: int) -> str:
    """The lesson's chain on a streaming chat model."""
    stream = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": f"1 + {number} = "}],
        stream=True,
        stream_options={"include_usage": True},
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def main(service: Service) -> tuple[Meter, list[tuple[str, int, int]]]:
    handler = MyCallBackHandler()
    rows: list[tuple[str, int, int]] = []

    def note(what: str) -> None:
        rows.append((what, len(handler.calls), cb.successful_requests))
        print(f"  {what}: calls that the handler heard of {rows[-1][1]}, that the meter counted {rows[-1][2]}")

    with service.client() as client, meter(prices=service.prices) as cb:
        with callbacks(handler):
            add_one(client, 2)
        note("run")

        with callbacks(handler):
            for number in (3, 4):
                add_one(client, number)
        note("apply")

        attach(client, handlers=[handler])
        with callbacks(handler):
            add_one(client, 5)
        note("client and request")

        detach(client)
        add_one(client, 6)
        note("neither")
    service.print_bill(cb)
    return cb, rows


if __name__ == "__main__":
    run(main)
