"""The pages of promises and of faults agree with the tests: each id and each name that one uses, the other has."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text()
FAULTS = dict(re.findall(r"^\| F(\d+) \| .+? \| (.+) \|$", (ROOT / "docs" / "faults.md").read_text(), re.MULTILINE))
TESTS = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}

CATALOGUE = [
    *range(1, 26), *range(30, 46), *range(50, 68), *range(70, 76), *range(80, 90), *range(90, 98), *range(100, 115),
]  # fmt: skip
"""The ids of the catalogue, which are stable."""
FOUND_LATER = range(115, 200)
"""Those of faults that were found in token_meter itself; each gets its test when it is mended."""


def _named() -> set[int]:
    """The ids that names of tests carry."""
    names = [
        name
        for text in TESTS.values()
        for name in re.findall(r"^(?:async def |def )?(test_f\d+\w*)", text, re.MULTILINE)
    ]
    return {int(number) for name in names for number in re.findall(r"_f(\d+)(?=_)", name)}


def _excused() -> set[int]:
    section = PAGE.partition("\n## Rows of the catalogue without a test\n")[2]
    return {int(number) for number in re.findall(r"^\| F(\d+) \| .{20,} \|$", section, re.MULTILINE)}


def test_every_row_of_the_catalogue_has_a_test_or_a_reason() -> None:
    """An id stands in the name of a test, or on the page with the reason why not."""
    assert set(CATALOGUE) - _named() - _excused() == set()


def test_no_row_has_both_a_test_and_an_excuse() -> None:
    """An excuse goes when its test comes; an id that no catalogue knows is a slip."""
    assert _named() & _excused() == set()
    assert (_named() | _excused()) - {*CATALOGUE, *FOUND_LATER} == set()


def test_every_id_in_the_name_of_a_test_stands_in_the_catalogue() -> None:
    """A reader of a test can look its id up, and a row that has a test is not called open any more."""
    rows = {int(number): text for number, text in FAULTS.items()}

    assert (_named() | {*CATALOGUE}) - set(rows) == set()
    assert [f"F{number}" for number in sorted(_named()) if rows[number].startswith("**open**")] == []


def test_every_fault_of_ours_that_is_mended_has_a_test_on_the_page() -> None:
    """A row that is not called open names its tests; one that is open has none yet."""
    section = PAGE.partition("\n## Faults that were found in token_meter\n")[2].partition("\n## ")[0]
    mapped = {int(number) for number in re.findall(r"^\| F(\d+) \| `tests/", section, re.MULTILINE)}
    mended = {int(number) for number, text in FAULTS.items() if not text.startswith("**open**")}

    assert mapped == mended & {*FOUND_LATER}


def test_every_test_that_the_page_names_exists() -> None:
    """Every promise has tests."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)
    missing = [f"{path}::{name}" for path, name in named if not re.search(rf"\b{name}\b", TESTS.get(path, ""))]

    assert missing == []
    for number in range(1, 18):
        assert re.search(rf"^\| {number} \|.*`tests/", PAGE, re.MULTILINE), f"promise {number} names no test"
