"""What budgets promise with every openai version from 1.58 on: run it with any of them, `python any_openai.py`.

It needs nothing but openai and token_meter, and sends nothing.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import openai

from token_meter import BudgetExceededError, UnpricedModelError, meter, uninstall
from token_meter.prices import PriceBook

library: Any = getattr(openai._base_client, "httpx2", None) or openai._base_client.httpx
URL = "http://budget.test/v1"
BOOK = PriceBook(hosts={URL: "openai"})
ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}
PROMPT, ANSWER = 8, 50
EVENTS = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt-4o-mini","choices":'
    b'[{"index":0,"delta":{"role":"assistant","content":"hi"},"finish_reason":null}]}\n\n',
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt-4o-mini","choices":[],'
    b'"usage":{"prompt_tokens":8,"completion_tokens":50,"total_tokens":58}}\n\n',
    b"data: [DONE]\n\n",
)


class Body(library.SyncByteStream):
    """A body that is read piece by piece; one given as `content` would have been read already."""

    def __iter__(self) -> Any:
        yield from EVENTS


class Server:
    """Answers every call, the first *failures* of them with 500, and counts them."""

    def __init__(self, failures: int = 0) -> None:
        self.seen = 0
        self.failures = failures

    def __call__(self, request: Any) -> Any:
        self.seen += 1
        if self.seen <= self.failures:
            return library.Response(500, headers={"retry-after-ms": "1"}, json={"error": {"message": "no"}})
        if b'"stream":true' in request.content.replace(b" ", b""):
            return library.Response(200, headers={"content-type": "text/event-stream"}, stream=Body())
        message = {"role": "assistant", "content": "hi"}
        return library.Response(
            200,
            json={
                "id": f"c{self.seen}",
                "object": "chat.completion",
                "created": 1,
                "model": "gpt-4o-mini",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": PROMPT, "completion_tokens": ANSWER, "total_tokens": PROMPT + ANSWER},
            },
        )

    def sync(self, **options: Any) -> Any:
        http = library.Client(transport=library.MockTransport(self))
        return openai.OpenAI(api_key="test", base_url=URL, http_client=http, **options)

    def asyn(self, **options: Any) -> Any:
        async def answer(request: Any) -> Any:
            await asyncio.sleep(0)
            return self(request)

        http = library.AsyncClient(transport=library.MockTransport(answer))
        return openai.AsyncOpenAI(api_key="test", base_url=URL, http_client=http, **options)


def _caught(call: Callable[[], Any]) -> BaseException:
    try:
        call()
    except Exception as error:
        return error
    msg = "the call was let pass"
    raise AssertionError(msg)


def a_refusal_is_itself_and_nothing_is_sent() -> None:
    """BudgetExceededError, not APIConnectionError; no retry."""
    server = Server()
    with meter(max_calls=0):
        error = _caught(lambda: server.sync().chat.completions.create(**ASK))

    assert type(error) is BudgetExceededError, repr(error)
    assert server.seen == 0


def an_async_refusal_is_itself_and_nothing_is_sent() -> None:
    """The same for AsyncOpenAI."""
    server = Server()

    async def main() -> BaseException:
        with meter(max_tokens=PROMPT + ANSWER - 1):
            (error,) = await asyncio.gather(server.asyn().chat.completions.create(**ASK), return_exceptions=True)
        return error

    error = asyncio.run(main())
    assert type(error) is BudgetExceededError, repr(error)
    assert server.seen == 0


def a_raw_call_and_a_stream_are_refused_too() -> None:
    """`with_raw_response`, `with_streaming_response` and `stream=True` pass the same gate."""
    server = Server()
    client = server.sync()
    chat = client.chat.completions
    with meter(max_calls=0):
        errors = [
            _caught(lambda: chat.with_raw_response.create(**ASK)),
            _caught(lambda: chat.with_streaming_response.create(**ASK).__enter__()),
            _caught(lambda: chat.create(**ASK, stream=True)),
            _caught(lambda: client.with_options(max_retries=5).chat.completions.create(**ASK)),
            _caught(lambda: client.embeddings.create(model="text-embedding-3-small", input="hi")),
        ]

    assert [type(error) for error in errors] == [BudgetExceededError] * 5, errors
    assert server.seen == 0


def an_unpriced_model_is_refused() -> None:
    """With a cost limit, a model without a price is refused before it leaves."""
    server = Server()
    with meter(max_cost="1", prices=BOOK):
        error = _caught(lambda: server.sync().chat.completions.create(**{**ASK, "model": "acme-7b"}))

    assert type(error) is UnpricedModelError, repr(error)
    assert server.seen == 0


def the_last_paid_answer_arrives() -> None:
    """The call that spends the last token returns; the next one is refused."""
    server = Server()
    client = server.sync()
    with meter(max_tokens=PROMPT + ANSWER, warn_at=None) as cb:
        answer = client.chat.completions.create(**ASK)
        error = _caught(lambda: client.chat.completions.create(**ASK))

    assert answer.choices[0].message.content == "hi"
    assert type(error) is BudgetExceededError, repr(error)
    assert (server.seen, cb.total_tokens, cb.remaining.tokens) == (1, PROMPT + ANSWER, 0)


def attempts_of_one_call_share_one_reservation() -> None:
    """Two failures and a success are one call, in a budget for one."""
    server = Server(failures=2)
    with meter(max_calls=1, max_tokens=PROMPT + ANSWER, warn_at=None) as cb:
        server.sync(max_retries=2).chat.completions.create(**ASK)

    assert server.seen == 3
    assert (cb.remaining.calls, cb.reserved.tokens, cb.reserved.calls) == (0, 0, 0)


def a_hundred_gathered_calls_on_a_budget_for_ten() -> None:
    """Ten are sent, and the sum stays within the limit."""
    server = Server()

    async def main() -> list[Any]:
        client = server.asyn()
        calls = [client.chat.completions.create(**ASK) for _ in range(100)]
        return await asyncio.gather(*calls, return_exceptions=True)

    with meter(max_tokens=10 * (PROMPT + ANSWER), warn_at=None) as cb:
        found = asyncio.run(main())

    refused = [type(one) for one in found if isinstance(one, Exception)]
    assert refused == [BudgetExceededError] * 90
    assert server.seen == 10
    assert cb.total_tokens == 10 * (PROMPT + ANSWER)
    assert cb.reserved.tokens == 0


def a_stream_gives_back_at_its_end() -> None:
    """Its reservation is held until the last event, and no longer."""
    server = Server()
    with meter(max_tokens=1000, warn_at=None) as cb:
        stream = server.sync().chat.completions.create(**ASK, stream=True)
        held = cb.reserved.tokens
        list(stream)

    assert (held, cb.reserved.tokens, cb.total_tokens) == (PROMPT + ANSWER, 0, PROMPT + ANSWER)


def uninstall_restores_the_gate() -> None:
    """Afterwards `request` is the SDK's own."""
    base = openai._base_client
    before = base.SyncAPIClient.__dict__["request"], base.AsyncAPIClient.__dict__["request"]
    with meter():
        during = base.SyncAPIClient.__dict__["request"], base.AsyncAPIClient.__dict__["request"]
    uninstall()

    assert all(a is not b for a, b in zip(before, during, strict=True))
    assert (base.SyncAPIClient.__dict__["request"], base.AsyncAPIClient.__dict__["request"]) == before


PROMISES: tuple[Callable[[], None], ...] = (
    a_refusal_is_itself_and_nothing_is_sent,
    an_async_refusal_is_itself_and_nothing_is_sent,
    a_raw_call_and_a_stream_are_refused_too,
    an_unpriced_model_is_refused,
    the_last_paid_answer_arrives,
    attempts_of_one_call_share_one_reservation,
    a_hundred_gathered_calls_on_a_budget_for_ten,
    a_stream_gives_back_at_its_end,
    uninstall_restores_the_gate,
)


def main() -> int:
    """Check every promise; print what was kept."""
    broken = 0
    for promise in PROMISES:
        uninstall()
        try:
            promise()
            verdict = "ok"
        except AssertionError as error:
            verdict, broken = f"BROKEN {error}", broken + 1
        print(f"openai {openai.__version__}: {promise.__name__}: {verdict}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
