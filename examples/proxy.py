"""A proxy that loses two of three requests: the SDK tries again, and the meter counts one success and two failures."""

from __future__ import annotations

from typing import Any

from _proxy import Proxy
from _service import Service, run
from _shop import QUESTION
from openai import DefaultHttpxClient

from token_meter import Call, CallbackHandler, LLMCallError, Meter, meter


class Attempts(CallbackHandler):
    """Each attempt is a call of its own, with a start and an end."""

    def on_llm_end(self, response: Call, **kwargs: Any) -> None:
        print(f"attempt {response.attempt}: {response.tokens.total_tokens} tokens")

    def on_llm_error(self, error: BaseException, *, response: Call, **kwargs: Any) -> None:
        kind = str(error) if isinstance(error, LLMCallError) else type(error).__name__
        print(f"attempt {response.attempt}: {kind}")


def main(service: Service) -> tuple[Meter, list[str]]:
    # The variable HTTPS_PROXY in the environment does the same as the argument `proxy`.
    with Proxy(failures=["drop", "503"]) as proxy, DefaultHttpxClient(proxy=proxy.url) as http:
        client = service.client(http_client=http, max_retries=3)
        with meter(handlers=[Attempts()], prices=service.prices) as cb:
            stream = client.chat.completions.create(
                model="gpt-4o-mini",
                messages=[{"role": "user", "content": QUESTION}],
                stream=True,
                stream_options={"include_usage": True},
            )
            for _ in stream:
                pass
    print("\nthe proxy:", ", ".join(proxy.seen))
    print(f"the meter: {cb.successful_requests} ok, {cb.failed_requests} failed")
    service.print_bill(cb)
    return cb, proxy.seen


if __name__ == "__main__":
    run(main)
