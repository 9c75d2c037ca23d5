"""Writes a JSON line for each call to a file that a log collector can read."""

from __future__ import annotations

import os
from typing import Any

from token_meter.handlers._record import Recorder, is_failure, line
from token_meter.types import Call


class FileHandler(Recorder):
    """One JSON line for each finished call, for ELK and the like: `meter(handlers=[FileHandler("llm.log")])`.

    Each record is one write to a file opened for appending, so that lines of several threads and processes do not mix.
    The file is opened for each record, so that it may be rotated at any time.

    Args:
        path: the file; its directory must exist.
        include_text: also write the prompt and the answer.

    Raises:
        OSError: *path* cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], *, include_text: bool = False) -> None:
        super().__init__(include_text=include_text)
        self.path = os.path.abspath(path)
        self._is_torn = False
        os.close(self._open())

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

    def _write(self, call: Call, record: dict[str, Any]) -> None:
        import json

        failed = is_failure(call)
        head = {
            "@timestamp": _ended_at(call),
            "log.level": "error" if failed else "info",
            "event": "llm_error" if failed else "llm_end",
            "message": line(call),
        }
        data = (
            json.dumps(
                {**head, **record, "cost_usd": None if call.cost is None else float(call.cost)}, default=str
            ).encode()
            + b"\n"
        )
        if self._is_torn:
            data = b"\n" + data  # a full disk cut the last record; the next one must start a new line
        descriptor = self._open()
        try:
            written = os.write(descriptor, data)
        finally:
            os.close(descriptor)
        self._is_torn = written < len(data)
        if self._is_torn:
            msg = f"only {written} of {len(data)} bytes of a record went to {self.path}"
            raise OSError(msg)


def _ended_at(call: Call) -> str:
    from datetime import UTC, datetime

    ended = datetime.fromtimestamp(call.started_s + call.duration_s, UTC)
    return ended.isoformat(timespec="milliseconds").replace("+00:00", "Z")
