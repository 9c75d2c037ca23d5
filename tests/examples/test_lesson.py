"""The page of the lesson has all 37 rows, and what it names exists."""

from __future__ import annotations

import re

import pytest

from tests.examples.programs import ROOT, names

PAGE = (ROOT / "docs" / "lesson.md").read_text(encoding="utf-8")
ROWS = {int(number): rest for number, rest in re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.MULTILINE)}


def test_all_rows_are_there_in_order():
    """Thirty-seven things that the lesson and its readers ask for."""
    assert list(ROWS) == list(range(1, 38))


@pytest.mark.parametrize("number", range(1, 38))
def test_a_row_names_a_test_and_all_that_it_names_exists(number):
    """Tests by name, programs by file; a program alone would prove nothing."""
    tests = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", ROWS[number])
    programs = re.findall(r"`(examples/\w+\.py)`", ROWS[number])

    assert tests
    for path, name in tests:
        assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), name
    assert [path for path in programs if not (ROOT / path).exists()] == []
    assert ROWS[number].count("`tests/") == len(tests), "a test is written as `tests/file.py::test_name`"


def test_whatever_else_the_page_names_exists_too():
    """Links, and the tests below the table."""
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE):
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")
    assert [link for link in re.findall(r"\]\(([\w./]+)\)", PAGE) if not (ROOT / "docs" / link).exists()] == []


def test_every_program_stands_in_some_row():
    """No program without a reason; one compares counters, two are in English, and no part of the lesson."""
    programs = set(names()) - {"langchain_counters", "providers", "agent"}

    assert programs - set(re.findall(r"`examples/(\w+)\.py`", PAGE)) == set()
