"""The links of the README lead somewhere; tests/docs/ runs its programs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_house import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
CODE = re.compile(r"```.*?```|`[^`]+`", re.DOTALL)
LINK = re.compile(r"\]\(([^)]+)\)")


def test_the_chinese_readme_says_the_same():
    """The same code, in the same order, the same headings, rows and links, where prose has none of its own."""
    english, chinese = ([line[:2] for line in text.splitlines() if line[:1] in "#|-"] for text in (README, CHINESE))

    assert [part for part in CODE.findall(CHINESE) if part != "`--lesson`"] == CODE.findall(README)
    assert chinese == english
    assert LINK.findall(CHINESE)[1:] == LINK.findall(README)[1:]
    assert (LINK.findall(CHINESE)[0], LINK.findall(README)[0]) == ("README.md", "README.zh-CN.md")


@pytest.mark.parametrize(
    "asked",
    [
        "limit the cost of one request", "the cost of each customer, each day", "a pull request that costs 20 % more",
        "a private gateway", "Anthropic and OpenAI in one sum", "what is not counted",
    ],
)  # fmt: skip
def test_what_a_stranger_looks_for_is_a_row_of_the_readme(asked):
    """With a page for each."""
    (row,) = [line for line in README.splitlines() if line.startswith("|") and asked in line]

    assert "](docs/" in row


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!http)([^)#]+)[^)]*\)", README))))
def test_a_link_of_the_readme_leads_somewhere(link):
    """Relative links name files that exist."""
    assert (Path(ROOT) / link).exists()
