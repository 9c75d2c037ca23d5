"""The page of promises names tests that exist, and no row of the fault catalogue is forgotten."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text()
TESTS = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}

CATALOGUE = [
    *range(1, 26), *range(30, 46), *range(50, 68), *range(70, 76), *range(80, 90), *range(90, 98), *range(100, 115),
]  # fmt: skip
"""The ids of the catalogue, which are stable."""

SECOND_PART = range(115, 156)
"""Its newer rows, which are being mended."""


def _named() -> set[int]:
    """The ids that names of tests carry."""
    names = [
        name
        for text in TESTS.values()
        for name in re.findall(r"^(?:async def |def )?(test_f\d+\w*)", text, re.MULTILINE)
    ]
    return {int(number) for name in names for number in re.findall(r"_f(\d+)(?=_)", name)}


def _excused() -> set[int]:
    return {int(number) for number in re.findall(r"^\| F(\d+) \| .{20,} \|$", PAGE, re.MULTILINE)}


def test_every_row_of_the_catalogue_has_a_test_or_a_reason() -> None:
    """An id stands in the name of a test, or on the page with the reason why not."""
    assert set(CATALOGUE) - _named() - _excused() == set()


def test_no_row_has_both_a_test_and_an_excuse() -> None:
    """An excuse goes when its test comes; an id that no catalogue knows is a slip."""
    assert _named() & _excused() == set()
    assert (_named() | _excused()) - {*CATALOGUE, *SECOND_PART} == set()


def test_every_test_that_the_page_names_exists() -> None:
    """Fourteen promises, each with tests."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)
    missing = [f"{path}::{name}" for path, name in named if not re.search(rf"\b{name}\b", TESTS.get(path, ""))]

    assert missing == []
    for number in range(1, 15):
        assert re.search(rf"^\| {number} \|.*`tests/", PAGE, re.MULTILINE), f"promise {number} names no test"
