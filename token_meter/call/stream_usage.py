"""Asks for a stream's usage on behalf of a caller who did not, and hides the answer. It knows no meter and no seam.

Only for `meter(stream_usage=True)`: the request that leaves is a changed copy, the caller's own stays as it is.
"""

from __future__ import annotations

import json
import re

from token_meter._failures import internal_error

_ASKED = b'"stream_options":{"include_usage":true}'
# A blank line, whichever way lines end; a lone CR may be the first half of a CRLF.
_BLANK = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_LONGEST_BLANK = 4
_HELD_LIMIT = 1024 * 1024
"""Bytes of one event that are held back; a longer one is no report of usage."""


def body_with_usage(content: bytes) -> bytes | None:
    """A request's *content* that asks for the usage; `None` where the caller asks already, or nothing is streamed."""
    if b'"stream"' not in content:
        return None
    data = json.loads(content)
    if not isinstance(data, dict) or data.get("stream") is not True:
        return None
    options = data.get("stream_options")
    if options is None and "stream_options" not in data:
        return content.rstrip()[:-1] + b"," + _ASKED + b"}"
    options = options if isinstance(options, dict) else {}
    if options.get("include_usage") is True:
        return None
    data["stream_options"] = {**options, "include_usage": True}
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


class UsageChunkFilter:
    """Takes the event out that holds the usage and nothing else; every other byte goes on as it came."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._searched = 0  # up to there no blank line begins
        self._is_done = False

    def filter_chunk(self, chunk: bytes) -> bytes:
        """What of the stream can go on, after *chunk*: whole events, less the one that was asked for."""
        if self._is_done:
            return chunk
        self._held += chunk
        try:
            return self._sifted()
        except Exception:
            internal_error("hide usage")
            self._is_done = True
            return self.rest()

    def _sifted(self) -> bytes:
        kept = []
        start, searched = 0, len(self._held) - _LONGEST_BLANK + 1
        for blank in _BLANK.finditer(self._held, self._searched):
            end = blank.end()
            if blank.group().endswith(b"\n\r") and end == len(self._held):
                searched = blank.start()
                break  # the other half of a CRLF is still to come
            event = bytes(self._held[start:end])
            start = end
            if is_report(event):
                self._is_done = True
                break
            kept.append(event)
        del self._held[:start]
        self._searched = max(0, searched - start)
        if self._is_done or len(self._held) > _HELD_LIMIT:
            kept.append(self.rest())
        return b"".join(kept)

    def rest(self) -> bytes:
        """What is held back."""
        held, self._held, self._searched = bytes(self._held), bytearray(), 0
        return held


def is_report(event: bytes) -> bool:
    """Whether an event reports the usage and shows nothing: `"choices": []` with a `usage` object."""
    if b'"usage"' not in event or b'"choices"' not in event:
        return False
    data = b"".join(
        line[5:].removeprefix(b" ") for line in event.replace(b"\r", b"\n").split(b"\n") if line.startswith(b"data:")
    )
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("choices") == [] and isinstance(found.get("usage"), dict)
