"""Runs the LangChain programs of `examples/`, and writes what they print into docs/langchain.md.

`python -m tests.langchain.docs` renews the page; the text round the outputs is written by hand.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.examples import programs
from tests.examples.programs import ROOT, Run, steady

PAGE = ROOT / "docs" / "langchain.md"
SHOWN = re.compile(r"```text\n\$ python examples/(langchain_\w+)\.py\n(.*?)```", re.DOTALL)
PROGRAMS = [name for name in programs.names() if name.startswith("langchain_")]
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_EMPTY_PIECE = re.compile(r"^获取花卉数据: token: \n", re.MULTILINE)
_THEIR_COLUMN = re.compile(r"^(.{30,36}?)  +[\d,]+(?=  +[\d,]+[ ~] )", re.MULTILINE)

programs.PACE["langchain_customers"] = 2  # which customer is served last depends on who waits


def run(name: str, folder: Path) -> Run:
    """Run a program; its terminal colours are left out."""
    ran = programs.run(name, folder)
    return ran._replace(out=_COLOUR.sub("", ran.out))


def same(text: str) -> str:
    """*text* without what is no promise of ours: times, LangChain's empty pieces, what its own counter reads."""
    return _THEIR_COLUMN.sub(r"\1", _EMPTY_PIECE.sub("", steady(text)))


def renewed(page: str, ran: Callable[[str], Run]) -> str:
    """*page* with each output as it is today."""

    def block(found: re.Match[str]) -> str:
        return f"```text\n$ python examples/{found[1]}.py\n{ran(found[1]).out.lstrip(chr(10))}```"

    return SHOWN.sub(block, page)


def main() -> None:
    """Renew the page."""

    def ran(name: str) -> Run:
        with tempfile.TemporaryDirectory() as folder:
            return run(name, Path(folder))

    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), ran), encoding="utf-8")


if __name__ == "__main__":
    main()
