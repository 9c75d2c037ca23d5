"""Visible pieces of a stream as they pass, for those who listen. Knows no usage."""

from __future__ import annotations

from token_meter.types import Delta
from token_meter.wire.events import BOM, parse_block
from token_meter.wire.format import Format
from token_meter.wire.framing import Framing, json_lines
from token_meter.wire.json_scan import Object, parse_object
from token_meter.wire.stream import KEPT_LIMIT

# First bytes of server-sent events (`data`, `event`, `id`, `retry`, a comment), and of a JSON object that stands alone.
_EVENT_STARTS = (b"d", b"e", b"i", b"r", b":")
_STARTS_UNFRAMED = (*_EVENT_STARTS, b"{")


class DeltaReader:
    """Turns chunks into pieces, each as soon as its event is whole."""

    __slots__ = ("_format", "_framing", "_is_first", "_rest", "_return")

    def __init__(self, layout: Format) -> None:
        self._format = layout
        self._framing = layout.framing
        self._rest = bytearray()
        self._return = False
        self._is_first = True

    def feed(self, chunk: bytes) -> list[Delta]:
        """The pieces of the events that *chunk* completes."""
        if not chunk:
            return []
        if self._framing is not None:
            if self._rest or not chunk.startswith(_EVENT_STARTS if self._framing is json_lines else _STARTS_UNFRAMED):
                return self._framed(chunk, self._framing)
            self._framing = None
        if self._return and chunk.startswith(b"\n"):
            chunk = chunk[1:]  # the second half of a line end
            self._return = False
            if not chunk:
                return []
        self._return = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        searched = max(0, len(self._rest) - 1)
        self._rest += chunk
        if self._rest.find(b"\n\n", searched) < 0:
            if len(self._rest) > KEPT_LIMIT:
                self._rest.clear()
            return []
        *blocks, rest = bytes(self._rest).split(b"\n\n")
        self._rest = bytearray(rest)
        return [delta for block in blocks for delta in self._deltas(block)]

    def _framed(self, chunk: bytes, framing: Framing) -> list[Delta]:
        self._rest += chunk
        deltas: list[Delta] = []
        read = 0
        for event, end in framing(bytes(self._rest)):
            deltas += self._parts(event)
            read = end
        del self._rest[:read]
        if len(self._rest) > KEPT_LIMIT:
            self._rest.clear()
        return deltas

    def _deltas(self, block: bytes) -> list[Delta]:
        if self._is_first:
            block = block.removeprefix(BOM)
            self._is_first = False
        _, data = parse_block(block)
        event = parse_object(data) if data else None
        return [] if event is None else self._parts(event)

    def _parts(self, event: Object) -> list[Delta]:
        return [Delta(kind, text, choice) for kind, text, choice, _ in self._format.stream_parts(event) if text]
