"""The same calls under LangChain's own `get_usage_metadata_callback` and under a meter, next to what was billed.

LangChain's reads what its messages carry; the meter reads what the server says.
"""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from _langchain import hush
from _screen import table
from _service import CHAT_MODEL, TEXT_MODEL, Service, run
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from token_meter import Meter, meter

hush()
# LangChain serialises an answer that it has parsed, and says so.
warnings.filterwarnings("ignore", "Pydantic serializer warnings")

QUESTION = "Which rose is the pinkest?"


class Rose(BaseModel):
    """A rose."""

    name: str
    petals: int


class Calls:
    """Ways in which programs call models through LangChain."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def chat(self, at: dict[str, Any] | None = None, **options: Any) -> ChatOpenAI:
        return ChatOpenAI(model=CHAT_MODEL, **{**self.service.where(**(at or {})), **options})

    def text(self, **options: Any) -> OpenAI:
        return OpenAI(model=TEXT_MODEL, **{**self.service.where(), **options})

    def invoke(self) -> None:
        self.chat().invoke(QUESTION)

    def stream(self) -> None:
        list(self.chat().stream(QUESTION))

    def cumulative(self) -> None:
        list(self.chat({"usage": "every"}).stream(QUESTION))

    def complete(self) -> None:
        self.text().invoke(QUESTION)

    def two_choices(self) -> None:
        self.chat(n=2).invoke(QUESTION)

    def cut_by_length(self) -> None:
        with contextlib.suppress(Exception):
            self.chat(max_tokens=3).with_structured_output(Rose).invoke(QUESTION)

    def cached(self) -> None:
        chat = self.chat(cache=InMemoryCache())
        for _ in range(3):
            chat.invoke(QUESTION)

    def threads(self) -> None:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(self.chat().invoke, [QUESTION] * 3))

    def gathered(self) -> None:
        async def ask() -> None:
            await asyncio.gather(*[self.chat().ainvoke(QUESTION) for _ in range(3)])

        asyncio.run(ask())

    def embeddings(self) -> None:
        # Without a check of the length, which would download a vocabulary.
        options: dict[str, Any] = {"check_embedding_ctx_length": False, **self.service.where()}
        OpenAIEmbeddings(model="text-embedding-3-small", **options).embed_query(QUESTION)

    def plain_sdk(self) -> None:
        with self.service.client() as client:
            client.responses.create(model=CHAT_MODEL, input=QUESTION)

    def retried(self) -> None:
        self.chat({"fail": "429x1"}).invoke(QUESTION)


WAYS: dict[str, Callable[[Calls], None]] = {
    "chat": Calls.invoke,
    "chat, n=2": Calls.two_choices,
    "chat, retried after 429": Calls.retried,
    "three chats, gathered": Calls.gathered,
    "three chats, in an own thread pool": Calls.threads,
    "three chats, two from the cache": Calls.cached,
    "stream": Calls.stream,
    "stream, usage in every chunk": Calls.cumulative,
    "structured answer, cut by length": Calls.cut_by_length,
    "text model": Calls.complete,
    "embeddings": Calls.embeddings,
    "openai SDK in the same block": Calls.plain_sdk,
}


@contextlib.contextmanager
def both(service: Service) -> Iterator[tuple[Any, Meter]]:
    with get_usage_metadata_callback() as theirs, meter(prices=service.prices) as ours:
        yield theirs, ours


def main(service: Service) -> tuple[Meter, dict[str, tuple[int, Meter]]]:
    readings: dict[str, tuple[int, Meter]] = {}
    with meter(prices=service.prices) as whole:
        for name, call in WAYS.items():
            if service.is_live and call is Calls.complete:
                continue  # the real service has no model for plain text any more
            with both(service) as (theirs, ours):
                call(Calls(service))
            readings[name] = sum(usage["total_tokens"] for usage in theirs.usage_metadata.values()), ours
    rows = [
        (name, f"{told:,}", f"{cb.total_tokens:,}" + " ~"[bool(cb.estimated_calls)], f"${cb.cost.normalize():f}")
        for name, (told, cb) in readings.items()
    ]
    table(("tokens", "LangChain's", "meter ", "cost"), rows)
    print("~ no usage was reported: estimated from the request and the answer")
    service.print_bill(whole)
    return whole, readings


if __name__ == "__main__":
    run(main)
