"""The table of `docs/providers.md`: each SDK by each shape of a call, as data that one test makes true.

    python -m tests.providers.table    # write the rows into the page

A module `rows_*.py` beside this one holds `ROWS`; nothing else has to be told of it. It imports its SDK inside of its
programs, so that the page can be compared where the SDK is not installed.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, NamedTuple

SHAPES = (
    "sync", "async", "gathered", "streamed", "helper", "raw", "left early", "tools", "cached", "retried", "embeddings",
)  # fmt: skip
PAGE = Path(__file__).resolve().parents[2] / "docs" / "providers.md"
_BEGIN, _END = "<!-- table: rows of tests/providers/rows_*.py -->", "<!-- /table -->"
_NONE = "–"

Word = Literal["read", "estimated", "not seen"]


class Cell(NamedTuple):
    """What is true of one shape of a call.

    Attributes:
        word: `read`: the counts are the answer's own. `estimated`: they are counted from what was asked and shown, at
            least in part. `not seen`: the call is unmeasured, or leaves no trace.
        run: the program, given what `Row.place` opened; a coroutine is run to its end.
        prompt: the tokens of all its calls; `None` where they are no fixed number.
        completion: the same for what was made.
        cached: tokens of the prompt that came from a cache.
        calls: its calls that succeed.
        failed: its attempts that fail.
    """

    word: Word
    run: Callable[[Any], Any]
    prompt: int | None = 107
    completion: int | None = 43
    cached: int | None = None
    calls: int = 1
    failed: int = 0


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        sdk: the SDK, as its package is called, and by what client where it has several.
        over: the transport that carries its calls.
        module: the module without which its cells cannot be tried.
        provider: who is paid at the place's `url`, as a price book calls it; `None` where the place says it otherwise.
        place: opens what the programs need: a fake server (`fake_server.FakeServer`), closed at the end.
        cells: by shape; an SDK that has no such shape has no cell for it.
    """

    sdk: str
    over: str
    module: str
    provider: str | None
    place: Callable[[], AbstractContextManager[Any]]
    cells: Mapping[str, Cell]


def rows() -> list[Row]:
    """The rows of every module beside this one, by name."""
    package = importlib.import_module(__package__ or "tests.providers")
    modules = [found.name for found in pkgutil.iter_modules(package.__path__) if found.name.startswith("rows_")]
    found = [row for name in modules for row in importlib.import_module(f"{package.__name__}.{name}").ROWS]
    return sorted(found, key=lambda row: (row.sdk.lower(), row.over))


def table() -> str:
    """The rows as the page shows them."""
    lines = [("SDK", "over", *SHAPES), ("---",) * (len(SHAPES) + 2)]
    for row in rows():
        unknown = set(row.cells) - set(SHAPES)
        assert not unknown, f"{row.sdk} has cells of no column: {unknown}"
        cells = (row.cells[shape].word if shape in row.cells else _NONE for shape in SHAPES)
        lines.append((row.sdk, row.over, *cells))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(page: str) -> str:
    """The table that the page has."""
    return page.partition(_BEGIN)[2].partition(_END)[0].strip()


def write() -> None:
    """Put the rows into the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(_BEGIN)
    PAGE.write_text(f"{before}{_BEGIN}\n{table()}\n{_END}{rest.partition(_END)[2]}", encoding="utf-8")


# What the programs of several SDKs need.


async def each(items: Any) -> AsyncIterator[Any]:
    """The items of an iterable of either colour."""
    if hasattr(items, "__aiter__"):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


async def drain(items: Any) -> int:
    """Read an iterable of either colour to its end; return how many items it had."""
    return len([item async for item in each(items)])


if __name__ == "__main__":
    write()
