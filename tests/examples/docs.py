"""Writes `docs/examples.md` and its picture from what the programs print: `python -m tests.examples.docs`."""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.examples import programs
from tests.examples.programs import EXAMPLES, ROOT, Run, steady

PAGE = ROOT / "docs" / "examples.md"
PICTURE = ROOT / "docs" / "img" / "memory.svg"

PLAIN = (
    ("providers", "Three providers in one block"),
    ("agent", "An agent with a budget"),
    ("callback", "Callbacks"),
    ("tasks", "Tasks"),
    ("chain", "A chain with its logs"),
    ("stream", "Handlers on a stream"),
    ("dialogue", "The token counter"),
    ("memories", "What a memory costs"),
    ("request", "Handlers of a request"),
    ("customers", "Three customers at their sockets"),
    ("vendor", "Another vendor"),
    ("wrong_argument", "A wrong argument"),
    ("proxy", "A proxy in between"),
    ("elk", "Logs for ELK"),
    ("budget", "A budget"),
)
"""The programs on plain SDKs: two in English, then those of the lesson, in its order."""

HEAD = """\
# Examples

Programs to copy from: three providers in one block, an agent with a budget, and every program of the
[lesson](lesson.md) on the plain OpenAI SDK, in the lesson's own Chinese ([langchain.md](langchain.md) has them on
LangChain). Each one runs as it is, against a [simulator](simulator.md) that keeps its own bill, and ends with the meter
next to that bill:

```
python examples/agent.py
python examples/agent.py --live    # the real service, with OPENAI_API_KEY; costs money
```

The text below each program is its output: `python -m tests.examples.docs` writes this page, and a test compares
it with the current output, except for times.
"""

AFTER = {
    "memories": "![Tokens of each turn, by memory](img/memory.svg)",
}
"""What follows a program's output."""


def page(run: Callable[[str], Run]) -> str:
    """The whole page; *run* gives what a program printed."""
    return "\n".join([HEAD, *[_section(name, title, run(name)) for name, title in _sections()]])


def _sections() -> Sequence[tuple[str, str]]:
    return PLAIN


def _section(name: str, title: str, ran: Run) -> str:
    said = ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text(encoding="utf-8"))) or ""
    parts = [f"## {title}", f"[`examples/{name}.py`](../examples/{name}.py)", said, f"```text\n{ran.out}```"]
    if name in AFTER:
        parts.append(AFTER[name])
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page and the picture."""
    runs: dict[str, Run] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, _ in _sections():
            (Path(folder) / name).mkdir()
            runs[name] = programs.run(name, Path(folder) / name)
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_bytes((Path(folder) / "memories" / "memory.svg").read_bytes())
    text = page(runs.__getitem__)
    if steady(text) != steady(PAGE.read_text(encoding="utf-8")):  # times alone are no reason
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
