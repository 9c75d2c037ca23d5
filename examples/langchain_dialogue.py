"""The lesson's token counter on today's LangChain: the dialogue in a block, then three questions at once in another.

Only the import of the counter differs from a program for LangChain's own `get_openai_callback`.
"""

from __future__ import annotations

import asyncio

from _langchain import ChatModel, TextModel, hush, lesson_model
from _screen import say
from _service import Service, run
from _shop import QUESTION, TURNS
from langchain_classic.chains import ConversationChain
from langchain_classic.memory import ConversationBufferMemory

from token_meter import Meter, get_openai_callback, meter

hush()


def dialogue(llm: TextModel | ChatModel) -> tuple[Meter, list[int], str]:
    """Talk to the florist; return the counter, the tokens of each turn, and what the memory holds."""
    conversation = ConversationChain(llm=llm, memory=ConversationBufferMemory())
    each: list[int] = []

    with get_openai_callback() as cb:
        for turn, said in enumerate(TURNS, start=1):
            conversation(said)
            each.append(cb.total_tokens - sum(each))
            print(f"第{turn}次对话后的记忆:")
            for line in conversation.memory.buffer.splitlines():
                say(" ", line, indent=4)
            print(f"第{turn}次对话使用的tokens:", each[-1])

    print("\n总计使用的tokens:", cb.total_tokens)
    return cb, each, conversation.memory.buffer


async def additional_interactions(llm: TextModel | ChatModel) -> tuple[Meter, list[int]]:
    """Ask three questions at once; return the counter over them, and the tokens of each task."""

    async def ask() -> int:
        with get_openai_callback() as mine:
            await llm.ainvoke(QUESTION)
        return mine.total_tokens

    with get_openai_callback() as cb:
        each = await asyncio.gather(*[ask() for _ in range(3)])
    print("另外的交互中使用的tokens:", " + ".join(map(str, each)), "=", cb.total_tokens)
    return cb, each


def main(service: Service) -> tuple[Meter, tuple[Meter, list[int], str], tuple[Meter, list[int]]]:
    with meter(prices=service.prices) as whole:  # for the last lines only: what the simulator's calls cost
        llm = lesson_model(service)
        talked = dialogue(llm)
        asked = asyncio.run(additional_interactions(llm))
    service.print_bill(whole)
    return whole, talked, asked


if __name__ == "__main__":
    run(main)
