"""Files and batches: a batch is answered when it is polled, and billed once, at half price."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from token_meter.simulator.naming import new_id
from token_meter.simulator.options import Options
from token_meter.simulator.reply import RefusedError, Reply
from token_meter.types import Usage

BATCH = "batch"
"""The tier of a batch's entry in the bill."""
Answer = Callable[[str, dict[str, Any], Options], Reply]
"""Answers the body of one line, by the endpoint of its batch and the options of its creation."""


@dataclass(slots=True)
class Stored:
    """A batch, and what is known of it so far."""

    id: str
    endpoint: str
    lines: list[dict[str, Any]]
    file: str
    polls_left: int
    options: Options
    output: str | None = None
    usage: Usage | None = None
    model: str | None = None


class Jobs:
    """Files and batches of all keys."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[tuple[str, str], bytes] = {}
        self._batches: dict[tuple[str, str], Stored] = {}

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._files.clear()
            self._batches.clear()

    def upload(self, key: str, content: bytes, options: Options) -> Reply:
        """Store a file."""
        name = new_id("file-", options)
        with self._lock:
            self._files[key, name] = content
        file = {"id": name, "object": "file", "bytes": len(content), "created_at": 1, "filename": "batch.jsonl",
                "purpose": "batch", "status": "processed"}  # fmt: skip
        return Reply("files", name, "", None, json=lambda: file)

    def content(self, key: str, name: str) -> Reply:
        """The content of a file."""
        return Reply("files", name, "", None, binary=(self._file(key, name), "application/octet-stream"))

    def create(self, key: str, body: dict[str, Any], options: Options) -> Reply:
        """Create a batch."""
        file, name = self._file(key, str(body.get("input_file_id"))), new_id("batch_", options)
        lines = [json.loads(line) for line in file.splitlines() if line.strip()]
        stored = Stored(name, str(body.get("endpoint")), lines, new_id("file-", options), options.polls, options)
        with self._lock:
            self._batches[key, stored.id] = stored
        return Reply(BATCH, stored.id, "", None, json=lambda: _shown(stored, "validating", names_usage=False))

    def poll(self, key: str, name: str, answer: Answer, *, names_usage: bool) -> Reply:
        """Look at a batch; the look that finds it done is the one that is billed."""
        with self._lock:
            stored = self._batches.get((key, name))
        if stored is None:
            msg = f"No batch found with id '{name}'."
            raise RefusedError(msg, 404)
        if stored.output is None and stored.polls_left > 1:
            stored.polls_left -= 1
            return Reply(BATCH, name, "", None, json=lambda: _shown(stored, "in_progress", names_usage=False))
        billed = None if stored.output is not None else self._run(key, stored, answer)
        shown = _shown(stored, "completed", names_usage=names_usage)
        return Reply(BATCH, name, stored.model or "", billed, json=lambda: shown, tier=BATCH)

    def _run(self, key: str, stored: Stored, answer: Answer) -> Usage:
        usage, made = Usage(), list[dict[str, Any]]()
        for line in stored.lines:
            reply = answer(stored.endpoint, line["body"], stored.options)
            body = reply.json() if reply.json is not None else {}
            usage += reply.usage or Usage()
            stored.model = reply.model
            response = {"status_code": 200, "request_id": "req_1", "body": body}
            made.append(
                {
                    "id": f"batch_req_{len(made)}",
                    "custom_id": line.get("custom_id"),
                    "response": response,
                    "error": None,
                }
            )
        stored.usage, stored.output = usage, stored.file
        with self._lock:
            self._files[key, stored.file] = b"".join(json.dumps(line).encode() + b"\n" for line in made)
        return usage

    def _file(self, key: str, name: str) -> bytes:
        with self._lock:
            content = self._files.get((key, name))
        if content is None:
            msg = f"No such File object: {name}"
            raise RefusedError(msg, 404)
        return content


def _shown(stored: Stored, status: str, *, names_usage: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": stored.id, "object": "batch", "endpoint": stored.endpoint, "status": status, "completion_window": "24h",
        "created_at": 1, "input_file_id": "file-in",
        "request_counts": {"total": len(stored.lines), "completed": len(stored.lines), "failed": 0},
    }  # fmt: skip
    if stored.output is not None:
        found |= {"output_file_id": stored.output}
    usage = stored.usage
    if names_usage and usage is not None:
        found |= {"model": stored.model, "usage": {
            "input_tokens": usage.prompt_tokens, "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0},
            "output_tokens": usage.completion_tokens, "total_tokens": usage.total_tokens,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        }}  # fmt: skip
    return found
