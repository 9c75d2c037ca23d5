"""What each of LangChain's memories costs: the lesson's dialogue, three times each, read turn by turn.

The summariser's own requests count too. The lesson could only estimate this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from _langchain import hush, lesson_model
from _screen import table
from _service import Service, run
from _shop import TURNS
from langchain_classic.chains import ConversationChain
from langchain_classic.memory import (
    ConversationBufferMemory,
    ConversationBufferWindowMemory,
    ConversationSummaryBufferMemory,
    ConversationSummaryMemory,
)

from token_meter import Meter, get_openai_callback, meter

hush()

REPETITIONS = 3

MEMORIES: dict[str, Callable[[Any], Any]] = {
    "Buffer": lambda llm: ConversationBufferMemory(),
    "Window k=2": lambda llm: ConversationBufferWindowMemory(k=2),
    "Window k=1": lambda llm: ConversationBufferWindowMemory(k=1),
    "Summary": lambda llm: ConversationSummaryMemory(llm=llm),
    "SummaryBuffer 2000": lambda llm: ConversationSummaryBufferMemory(llm=llm, max_token_limit=2000),
    "SummaryBuffer 150": lambda llm: ConversationSummaryBufferMemory(llm=llm, max_token_limit=150),
}


def talk(service: Service, name: str, seed: int) -> tuple[list[int], int]:
    """Hold the dialogue with a memory; return the tokens of each turn, and how many requests it took."""
    llm = lesson_model(service, **service.where(seed=seed))
    conversation = ConversationChain(llm=llm, memory=MEMORIES[name](llm))
    each: list[int] = []
    with get_openai_callback() as cb:
        for said in TURNS:
            conversation(said)
            each.append(cb.total_tokens - sum(each))
    return each, cb.successful_requests


def span(values: list[int]) -> str:
    return f"{min(values):,}" if min(values) == max(values) else f"{min(values):,}–{max(values):,}"


def main(service: Service) -> tuple[Meter, dict[str, list[tuple[list[int], int]]]]:
    with meter(prices=service.prices) as whole:
        readings = {
            name: [talk(service, name, seed) for seed in range(1, REPETITIONS + 1)] for name in MEMORIES
        }  # fmt: skip
    print(f"Tokens, lowest to highest of {REPETITIONS} repetitions\n")
    rows = [
        (
            name,
            *[span([tokens[turn] for tokens, _ in each]) for turn in range(len(TURNS))],
            span([sum(tokens) for tokens, _ in each]),
            span([requests for _, requests in each]),
        )
        for name, each in readings.items()
    ]
    table(("memory", *[f"turn {turn}" for turn in range(1, len(TURNS) + 1)], "total", "requests"), rows)
    service.print_bill(whole)
    return whole, readings


if __name__ == "__main__":
    run(main)
