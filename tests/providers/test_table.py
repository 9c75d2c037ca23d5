"""Every cell of the table in docs/providers.md is true, and the page shows the rows that are tried."""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import Any

import pytest

from tests.providers import table
from tests.providers.table import Cell, Row
from token_meter import BudgetExceededError, Meter, meter
from token_meter.prices import PriceBook

CELLS = [
    pytest.param(row, shape, id=f"{row.sdk} {row.over} {shape}".replace(" ", "-"))
    for row in table.rows()
    for shape in row.cells
]


def test_the_page_shows_the_rows_that_are_tried() -> None:
    """`python -m tests.providers.table` writes them there."""
    assert table.shown(table.PAGE.read_text(encoding="utf-8")) == table.table()


@pytest.mark.usefixtures("without_certificates")
@pytest.mark.parametrize(("row", "shape"), CELLS)
@pytest.mark.filterwarnings("ignore")
def test_the_cell_is_true(row: Row, shape: str) -> None:
    """The word, and the counts where they are fixed."""
    pytest.importorskip(row.module)
    cell = row.cells[shape]
    with row.place() as place:
        book = PriceBook(hosts={place.url: row.provider}) if row.provider is not None else None
        with meter(keep_calls=True, prices=book) as cb:
            ran: Any = cell.run(place)
            if inspect.isawaitable(ran):
                asyncio.run(_whole(ran))
            if cb.open_streams:  # older SDKs leave what carries a stream to the collector
                gc.collect()

    assert word_of(cb) == cell.word
    if cell.word != "not seen":
        assert (cb.successful_requests, cb.failed_requests) == (cell.calls, cell.failed)
        assert _counts(cb, cell) == (cell.prompt, cell.completion, cell.cached)


async def _whole(ran: Any) -> None:
    await ran


def word_of(cb: Meter) -> str:
    """How the calls were counted that succeeded."""
    made = [call for call in cb.calls if call.status is None or call.status < 400]
    if not made or any(call.certainty == "unmeasured" for call in made):
        return "not seen"
    return "read" if all(call.certainty == "exact" for call in made) else "estimated"


def _counts(cb: Meter, cell: Cell) -> tuple[int | None, int | None, int | None]:
    """The counts, as far as the cell fixes them."""
    return (
        None if cell.prompt is None else cb.prompt_tokens,
        None if cell.completion is None else cb.completion_tokens,
        None if cell.cached is None else cb.cached_tokens,
    )


@pytest.mark.usefixtures("without_certificates")
@pytest.mark.parametrize("row", table.rows(), ids=lambda row: f"{row.sdk} {row.over}".replace(" ", "-"))
@pytest.mark.filterwarnings("ignore")
def test_f127_a_limit_refuses_a_call_before_it_leaves(row: Row) -> None:
    """And the refusal reaches the program as it was raised, through whatever the SDK makes of exceptions."""
    pytest.importorskip(row.module)
    cell = row.cells.get("async", row.cells.get("sync"))
    assert cell is not None, "a row has one of both"
    with row.place() as place:
        book = PriceBook(hosts={place.url: row.provider}) if row.provider is not None else None
        with meter(max_calls=0, prices=book), pytest.raises(BudgetExceededError):
            ran: Any = cell.run(place)
            if inspect.isawaitable(ran):
                asyncio.run(_whole(ran))

    assert getattr(place, "asked", []) == []
