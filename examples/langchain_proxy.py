"""A proxy in between, as a reader of the lesson needed it for streaming: two requests are lost, and one success counts.

The variable OPENAI_PROXY in the environment does the same as the argument `openai_proxy`.
"""

from __future__ import annotations

from typing import Any

from _langchain import hush
from _proxy import Proxy
from _service import Service, run
from _shop import QUESTION
from langchain_openai import ChatOpenAI

from token_meter import Meter, get_openai_callback, meter

hush()


def main(service: Service) -> tuple[Meter, Meter, list[str]]:
    where: dict[str, Any] = service.where()
    with meter(prices=service.prices) as whole, Proxy(failures=["drop", "503"]) as proxy:
        llm = ChatOpenAI(model="gpt-4o-mini", stream_usage=True, max_retries=3, openai_proxy=proxy.url, **where)
        with get_openai_callback() as cb:
            for piece in llm.stream(QUESTION):
                print(piece.text, end="", flush=True)
    print("\n\nthe proxy:", ", ".join(proxy.seen))
    print(f"the counter: {cb.successful_requests} ok, {cb.failed_requests} failed, {cb.total_tokens} tokens")
    service.print_bill(whole)
    return whole, cb, proxy.seen


if __name__ == "__main__":
    run(main)
