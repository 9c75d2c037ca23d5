"""Calls as LangChain makes them, for what its own callback can see. It imports LangChain only when it is asked to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
from pydantic import BaseModel

QUESTION = "Which rose is the pinkest?"


class Rose(BaseModel):
    """A rose."""

    name: str
    petals: int


def shapes(url: str, base_url: str, key: str) -> dict[str, Callable[[], Any]]:
    """LangChain's ways to call, each a function that calls once (or three times, gathered)."""
    from langchain_openai import AzureChatOpenAI, ChatOpenAI, OpenAI, OpenAIEmbeddings

    at: dict[str, Any] = {"base_url": base_url, "api_key": key, "max_retries": 0}
    chat = ChatOpenAI(model="gpt-4o-mini", **at)
    over_responses = ChatOpenAI(model="gpt-4o-mini", use_responses_api=True, **at)
    azure = AzureChatOpenAI(
        azure_endpoint=url, azure_deployment="prod-chat", api_version="2024-10-21", api_key=key, max_retries=0
    )

    async def gathered() -> None:
        await asyncio.gather(*[ChatOpenAI(model="gpt-4o-mini", **at).ainvoke(QUESTION) for _ in range(3)])

    return {
        "invoke": lambda: chat.invoke(QUESTION),
        "ainvoke, gathered": lambda: asyncio.run(gathered()),
        "batch": lambda: chat.batch([QUESTION] * 3),
        "with_structured_output": lambda: chat.with_structured_output(Rose).invoke(QUESTION),
        "stream, usage asked for": lambda: list(chat.stream(QUESTION, stream_usage=True)),
        "stream, usage not asked for": lambda: list(chat.stream(QUESTION)),
        "invoke over Responses": lambda: over_responses.invoke(QUESTION),
        "stream over Responses": lambda: list(over_responses.stream(QUESTION)),
        "AzureChatOpenAI": lambda: azure.invoke(QUESTION),
        "OpenAI (completions)": lambda: OpenAI(model="gpt-3.5-turbo-instruct", **at).invoke(QUESTION),
        "OpenAIEmbeddings": lambda: OpenAIEmbeddings(
            model="text-embedding-3-small", check_embedding_ctx_length=False, **at
        ).embed_query(QUESTION),
    }


def client(answer: Callable[[Any], Any]) -> Any:
    """A chat model over a mock transport."""
    from langchain_openai import ChatOpenAI

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    return ChatOpenAI(model="gpt-4o-mini", api_key="sk-bench", http_client=http, stream_usage=True)  # type: ignore[arg-type]


def invoke(model: Any, count: int) -> None:
    for _ in range(count):
        model.invoke(QUESTION)


def stream(model: Any, count: int) -> None:
    from benchmarks.calls import CHUNKS

    for _ in range(count // CHUNKS):
        for _chunk in model.stream(QUESTION):
            pass
