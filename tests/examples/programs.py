"""Runs a program of `examples/` with its own simulator, in its own folder."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import token_meter
from token_meter.simulator import Bill, Simulator

ROOT = Path(token_meter.__file__).parents[1]
EXAMPLES = ROOT / "examples"
PACE = {"tasks": 0.2, "customers": 2}
"""Programs whose prints depend on who waits longer; all others do not wait."""
NEEDS = {"chain": "loguru", "customers": "websockets", "providers": "google.genai"}
"""Programs that need more than token-meter[simulator]."""

_CHANGING = [
    (re.compile(r"(tokens, .*), \d+\.\d\d s$", re.MULTILINE), r"\1, 0.00 s"),  # how long a call took
    (re.compile(r"\b\d\d:\d\d:\d\d INFO"), "00:00:00 INFO"),  # when it was logged
]


class Run(NamedTuple):
    """What a program returned and printed, what the server billed, and the folder that it ran in."""

    result: Any
    out: str
    bill: Bill
    folder: Path


def names() -> list[str]:
    """Every program, without what they share."""
    return sorted(path.stem for path in EXAMPLES.glob("*.py") if not path.stem.startswith("_"))


def load(name: str) -> ModuleType:
    """Import a module of `examples/` as the programs see each other: their folder is on the path."""
    if str(EXAMPLES) not in sys.path:
        sys.path.append(str(EXAMPLES))
    return importlib.import_module(name)


def service_of(simulator: Simulator, pace: float = 0) -> Any:
    """What a program's `main` takes."""
    return load("_service").Service(simulator, pace)


def run(name: str, folder: Path) -> Run:
    """Run a program as a reader does, only faster."""
    with Simulator() as simulator, contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as out:
        result = load(name).main(service_of(simulator, PACE.get(name, 0)))
        bill = simulator.bill(None)
    return Run(result, out.getvalue(), bill, folder)


def steady(text: str) -> str:
    """*text* without what differs from run to run: times."""
    for pattern, fixed in _CHANGING:
        text = pattern.sub(fixed, text)
    return text


@contextlib.contextmanager
def prints() -> Iterator[io.StringIO]:
    """Catch what is printed."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        yield out
