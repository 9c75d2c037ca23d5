"""Prints a line for each call."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from token_meter.handlers._record import Recorder, inert, is_failure, line
from token_meter.types import Call


class StdOutHandler(Recorder):
    """One line for each finished call, to stdout or *file*.

    Args:
        file: the file to print to; default: the current `sys.stdout`.
        include_text: also print the prompt and the answer, with control characters made visible.
    """

    def __init__(self, file: TextIO | None = None, *, include_text: bool = False) -> None:
        super().__init__(include_text=include_text)
        self._file = file

    def _write(self, call: Call, record: dict[str, Any]) -> None:
        lines = [f"[{'llm error' if is_failure(call) else 'llm end'}] {line(call)}"]
        if self.include_output:
            lines += [f"  asked: {inert(_plain(record['asked']))}"]
            lines += [f"  answer: {inert(text)}" for text in record["answer"] or ()]
            lines += [f"  tool call: {inert(name)} {inert(arguments)}" for name, arguments in record["tool_calls"]]
        out = self._file if self._file is not None else sys.stdout
        encoding = getattr(out, "encoding", None) or "utf-8"
        text = "\n".join(lines) + "\n"
        out.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _plain(asked: Any) -> str:
    """The prompt, without the list around a single conversation or prompt."""
    if isinstance(asked, list) and len(asked) == 1:
        asked = asked[0]
    if isinstance(asked, str):
        return asked
    import json

    return json.dumps(asked, ensure_ascii=False, default=str)
