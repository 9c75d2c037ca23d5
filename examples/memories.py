"""What each kind of memory costs: the same dialogue with six of them, three times each, read turn by turn.

The lesson could only estimate this picture. Writes memory.svg into the current folder; `--live` asks about 240 times.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from _chart import Curve, svg_chart, text_chart
from _memory import Ask, Buffer, Memory, Summary, SummaryBuffer, Window
from _screen import table
from _service import Service, run
from _shop import MORE_TURNS, TEMPLATE, TURNS, complete

from token_meter import Meter, meter
from token_meter.estimate import count_text

REPETITIONS = 3


def count(text: str) -> int:
    return count_text(text, "gpt-3.5-turbo").tokens


MEMORIES: dict[str, tuple[str, Callable[[Ask], Memory]]] = {
    "Buffer": ("B", lambda ask: Buffer()),
    "Window k=2": ("2", lambda ask: Window(2)),
    "Window k=1": ("1", lambda ask: Window(1)),
    "Summary": ("S", lambda ask: Summary(ask)),
    "SummaryBuffer 2000": ("L", lambda ask: SummaryBuffer(ask, count, 2000)),
    "SummaryBuffer 150": ("s", lambda ask: SummaryBuffer(ask, count, 150)),
}


class Reading(NamedTuple):
    """One dialogue: the tokens and requests of each turn, the summariser's included."""

    tokens: list[int]
    requests: list[int]


def talk(service: Service, name: str, seed: int) -> Reading:
    """Hold the dialogue with a memory, and read the meter after every turn."""
    tokens, requests = [0], [0]
    with service.client(**service.where(seed=seed)) as client, meter(name, tags=[name], prices=service.prices) as cb:

        def ask(prompt: str) -> str:
            return complete(client, service.text_model, prompt)

        memory = MEMORIES[name][1](ask)
        for said in TURNS + MORE_TURNS:
            memory.save(said, ask(TEMPLATE.format(history=memory.history, input=said)))
            tokens.append(cb.total_tokens)
            requests.append(cb.successful_requests)
    return Reading(_steps(tokens), _steps(requests))


def _steps(readings: list[int]) -> list[int]:
    return [after - before for before, after in pairwise(readings)]


def span(values: list[int]) -> str:
    return f"{min(values):,}" if min(values) == max(values) else f"{min(values):,}–{max(values):,}"


def main(service: Service) -> tuple[Meter, dict[str, list[Reading]]]:
    readings: dict[str, list[Reading]] = {}
    with meter("memories", prices=service.prices) as cb:
        for name in MEMORIES:
            readings[name] = [talk(service, name, seed) for seed in range(1, REPETITIONS + 1)]

    first, whole = len(TURNS), len(TURNS + MORE_TURNS)
    print(f"Tokens, lowest to highest of {REPETITIONS} repetitions\n")
    table(
        ("memory", f"{first} turns", "requests", f"{whole} turns", "requests"),
        [
            (name, *[span([sum(numbers[:end]) for numbers in column])
                     for end in (first, whole)
                     for column in ([one.tokens for one in each], [one.requests for one in each])])
            for name, each in readings.items()
        ],
    )  # fmt: skip
    print("\nIn all, by tag:", " · ".join(f"{tag} {sums.total_tokens:,}" for tag, sums in cb.by_tag.items()))

    curves = []
    for name, each in readings.items():
        turns = list(zip(*[one.tokens for one in each], strict=True))
        curves.append(Curve(name, MEMORIES[name][0], *[[of(turn) for turn in turns] for of in (min, mean, max)]))
    print("\nTokens of each turn (where curves meet, the first one named is shown)")
    print("  " + ", ".join(f"{curve.letter} {curve.name}" for curve in curves) + "\n")
    print("\n".join(text_chart(curves)))
    where = service.text_model if service.is_live else f"{service.text_model}, simulated"
    subtitle = f"One dialogue, {REPETITIONS} repetitions, {where}: line mean, band lowest to highest"
    picture = svg_chart("Tokens of each turn, by memory", subtitle, curves, mark=(first, "the lesson"))
    Path("memory.svg").write_text(picture, encoding="utf-8")
    service.print_bill(cb)
    return cb, readings


if __name__ == "__main__":
    run(main)
