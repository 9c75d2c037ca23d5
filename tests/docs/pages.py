"""The pages of the documentation as programs: which blocks run, as what, and what they show.

A reader goes through a page from top to bottom, and so does a walk: Python in one namespace, commands in one folder.
Below a block of Python, a block of `text` is its output; in a block of `console`, what stands below a `$ command` is.
Where a line of an output is `...`, any lines may stand. A comment before a block says what else is done with it:

- `<!-- file: NAME -->`: it is a file of the folder
- `<!-- run by: TEST -->`: another test runs it
- `<!-- not run: WHY -->`: nothing does
"""

from __future__ import annotations

import re
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from tests.test_house import ROOT

PAGES = ["README.md", *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md")))]
RUNS = ("python", "ipython", "console")
_BLOCK = re.compile(r"^(`{3,})([\w-]*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- (file|run by|not run): (.+?) -->\Z")
_COMMAND = re.compile(r"^\$ ", re.MULTILINE)
_BARE_COMMAND = re.compile(r"^(?:\$ )?(?:token-meter|python|pip|pytest|uvicorn|gunicorn|flask|make) .*$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block that runs, or is a file."""

    language: str
    text: str
    kind: str
    """What its mark says: `file`, `run by`, `not run`; empty where it has none."""
    note: str
    output: str | None
    """What a program shows below it."""
    line: int

    def commands(self) -> list[tuple[str, str]]:
        """The commands of a console, and what stands below each."""
        pieces = _COMMAND.split(self.text)[1:]
        return [(command, shown) for command, _, shown in (piece.partition("\n") for piece in pieces)]


def text_of(page: str) -> str:
    """A page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """What a reader of the page runs or writes down, in its order."""
    text = text_of(page)
    found = list(_BLOCK.finditer(text))
    made = []
    for match, after in zip_longest(found, found[1:]):
        mark = _MARK.search(text[: match.start()].rstrip())
        kind, note = mark.groups() if mark else ("", "")
        shown = None
        if after and after[2] == "text" and not text[match.end() : after.start()].strip() and match[2] == "python":
            shown = after[3]
        if match[2] in RUNS or kind or _COMMAND.search(match[3]):
            line = text.count("\n", 0, match.start()) + 1
            made.append(Block(match[2], match[3], kind, note, shown, line))
    return made


def shows(expected: str, printed: str) -> bool:
    """Whether *printed* is what a page shows; a line `...` of it stands for any lines."""
    parts = [re.escape(part) for part in re.split(r"^\.\.\.\n", expected, flags=re.MULTILINE)]
    return re.fullmatch("(?:.*\n)*?".join(parts), printed) is not None


def hidden_commands(page: str) -> list[str]:
    """Lines that look like commands in blocks that nothing runs."""
    ours = [block.text for block in blocks(page)]
    others = [match[3] for match in _BLOCK.finditer(text_of(page)) if match[3] not in ours]
    return [line for text in others for line in _BARE_COMMAND.findall(text)]


def reads(test: str, page: str) -> bool:
    """Whether a test, or a module beside it, reads a page."""
    path = Path(ROOT, test)
    return path.name.startswith("test_") and any(
        Path(page).name in module.read_text("utf-8") for module in path.parent.glob("*.py")
    )
