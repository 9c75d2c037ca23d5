"""Qwen through ChatOpenAI, as a reader of the lesson ran it: another base URL, with and without usage in the stream.

What each interaction used is known, and an unknown price is not zero. `--live` talks to DashScope with
DASHSCOPE_API_KEY.
"""

from __future__ import annotations

import asyncio
from typing import Any

from _langchain import hush
from _service import Service, run
from _shop import QUESTION, TURNS
from langchain_classic.chains import ConversationChain
from langchain_classic.memory import ConversationBufferMemory
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from vendor import where

from token_meter import Meter, get_openai_callback, meter

hush()

MODEL = "qwen-turbo"


def dialogue(llm: ChatOpenAI) -> list[int]:
    """The three turns; print and return the tokens of each interaction."""
    conversation = ConversationChain(llm=llm, memory=ConversationBufferMemory())
    each: list[int] = []
    with get_openai_callback() as cb:
        for said in TURNS:
            conversation(said)
            each.append(cb.total_tokens - sum(each))
    print("对话使用的tokens:", " + ".join(map(str, each)), "=", cb.total_tokens)
    return each


async def additional_interactions(llm: ChatOpenAI) -> list[int]:
    """The same question three times at once; print and return the tokens of each interaction."""
    messages = [[SystemMessage(content="你是个花店小助手。"), HumanMessage(content=QUESTION)]]

    async def ask(i: int) -> int:
        with get_openai_callback() as mine:
            await llm.agenerate(messages)
        return mine.total_tokens

    with get_openai_callback() as cb:
        each = await asyncio.gather(*[ask(i) for i in range(3)])
    for i, tokens in enumerate(each):
        print(f"交互{i + 1}使用的tokens: {tokens}")
    print("另外的交互中使用的tokens:", cb.total_tokens)
    return each


def stream(llm: ChatOpenAI, label: str) -> tuple[int, int, bool]:
    """One streamed answer; what the server billed for it does not depend on who asks for the usage."""
    told = 0
    with get_openai_callback() as cb:
        for piece in llm.stream(QUESTION):
            told += piece.usage_metadata["total_tokens"] if piece.usage_metadata else 0
    certainty = "estimated" if cb.estimated_calls else "exact"
    print(f"{label}: LangChain knows of {told} tokens, the counter reads {cb.total_tokens}, {certainty}")
    return told, cb.total_tokens, bool(cb.estimated_calls)


def main(service: Service) -> tuple[Meter, list[int], list[int], list[tuple[int, int, bool]]]:
    place: dict[str, Any] = where(service)
    with meter("qwen", on_unpriced="ignore") as whole:
        llm = ChatOpenAI(model=MODEL, stream_usage=True, **place)
        turns = dialogue(llm)
        tasks = asyncio.run(additional_interactions(llm))
        streams = [
            stream(ChatOpenAI(model=MODEL, **place), "without stream_usage"),
            stream(llm, "with stream_usage   "),
        ]
    print(f"\n{whole}")
    service.print_bill(whole)
    return whole, turns, tasks, streams


if __name__ == "__main__":
    run(main, key="DASHSCOPE_API_KEY")
