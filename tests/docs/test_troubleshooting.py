"""docs/troubleshooting.md has a section for each error and warning, and a row for each of their messages."""

from __future__ import annotations

import re

import pytest

from tests.docs.messages import CLASSES, all_texts, messages
from tests.docs.pages import text_of

PAGE = text_of("docs/troubleshooting.md")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
OF_PYTHON = "unsupported operand type(s)"


def rows(section: str) -> list[str]:
    """The messages of a section's rows."""
    cells = re.findall(r"^\| (`.*?) \|", SECTIONS[section], re.MULTILINE)
    return [message for cell in cells for message in re.findall(r"`(.*?)`(?:, |$)", cell)]


def is_of(message: str, text: str) -> bool:
    """Whether a row's message, whose `...` stand for anything, is in *text*."""
    return re.search(".*".join(map(re.escape, message.split("..."))), text.replace("{}", "…")) is not None


@pytest.mark.parametrize("name", CLASSES)
def test_each_error_and_warning_has_a_section(name: str) -> None:
    assert name in SECTIONS


@pytest.mark.parametrize("name", [*CLASSES, "TypeError and AttributeError"])
def test_each_message_of_a_row_is_one_of_the_package(name: str) -> None:
    """What no program says any more leaves the page."""
    texts = all_texts()

    assert [row for row in rows(name) if not is_of(row, texts) and not row.startswith(OF_PYTHON)] == []


SELF_EXPLAINING = {"ConfigError", "LedgerError", "LLMCallError"}
"""Mistakes in a call or a file: the message itself names what is expected, and the page has the frequent ones."""


@pytest.mark.parametrize("name", [name for name in CLASSES if name not in SELF_EXPLAINING])
def test_each_message_has_a_row(name: str) -> None:
    found = [text for kind, text in messages() if kind == name and text.replace("{}", "").strip()]

    assert [text for text in found if not any(is_of(row, text) for row in rows(name))] == []
