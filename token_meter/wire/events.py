"""The events in the bytes of a stream: which there are, and which are worth parsing. Knows no api by name."""

from __future__ import annotations

from collections.abc import Iterator

from token_meter.types import Reading, Usage
from token_meter.wire.body import reading_of
from token_meter.wire.format import Format, outer
from token_meter.wire.framing import parted
from token_meter.wire.json_scan import Object, fields, parse_object, start_of
from token_meter.wire.numbers import NumberReader

BOM = b"\xef\xbb\xbf"
DONE = b"[DONE]"
_EDGE = 16
_ERROR = b'"error"'
_KEYS_LOOKED_AT = 100_000
_REPORTS_LOOKED_AT = 1_000
_KEYS_BEYOND = 3
_ERRORS_LOOKED_AT = 16
_NAMED_WITHIN = 3
_NAMED_SIZE = 64 * 1024


def is_json(raw: bytes) -> bool:
    """Whether a body begins like JSON and not like an event."""
    return raw.startswith((b"{", b"["), start_of(raw))


def is_events(raw: bytes) -> bool:
    """Whether a body begins like server-sent events."""
    return raw.startswith((b"data:", b"event:", b":", b"id:", b"retry:"), start_of(raw))


def plain(raw: bytes) -> bytes:
    """The same lines with one kind of line end, and without a mark of byte order."""
    raw = raw.removeprefix(BOM)
    return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in raw else raw


def parse_block(block: bytes) -> tuple[str, bytes]:
    """Name and data of the event in *block*, the lines between two blank ones."""
    if block.startswith(b"data: ") and b"\n" not in block:
        return "", block[6:]
    name, data = b"", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return name.decode("utf-8", "replace"), b"\n".join(data)


def _is_one(block: bytes) -> bool:
    return parse_object(parse_block(block)[1]) is not None


def events_of(raw: bytes) -> Iterator[Object]:
    """Every event that holds an object, also a last one that lacks its blank line."""
    for block in parted(plain(raw), _is_one).split(b"\n\n"):
        _, data = parse_block(block)
        event = parse_object(data) if data else None
        if event is not None:
            yield event


def read_events(layout: Format, raw: bytes) -> Reading:
    """Read a stream, parsing as few of its events as will do."""
    stream = _Stream(layout, plain(raw))
    found = stream.events()
    if None in found:  # only now: it takes longer than all else to find out whether events are glued together
        stream = _Stream(layout, parted(stream.raw, _is_one))
        found = stream.events()
    reading = reading_of(layout, [event for event in found if event is not None], is_whole=False)
    ended = stream.is_terminated or stream.is_done()
    return reading._replace(ended=True) if ended else reading


class _Stream:
    """The bytes of one stream, and those of its events that were parsed, by where they begin."""

    def __init__(self, layout: Format, raw: bytes) -> None:
        self.raw = raw
        self.is_terminated = False
        self._format = layout
        self._parsed: dict[int, Object | None] = {}

    def events(self) -> list[Object | None]:
        """The events that say something, in order; `None` for one that cannot be parsed."""
        starts = {*self.first_ones(), *self.last_one(), *self.reports(), *self.errors()}
        return [self.event_at(start) for start in sorted(starts)]

    def event_at(self, start: int) -> Object | None:
        """The object in the event that begins at *start*."""
        if start not in self._parsed:
            end = self.raw.find(b"\n\n", start)
            name, data = parse_block(self.raw[start : end if end >= 0 else len(self.raw)])
            if self._format.locate_usage is outer:
                event = fields(data, (*self._format.keys, "type"), self._format.optional_keys)
            else:
                event = parse_object(data)
            self._parsed[start] = event
            if event is not None and (name in self._format.terminal or self._format.ends_with(event)):
                self.is_terminated = True
        return self._parsed[start]

    def reports(self) -> Iterator[int]:
        """Where the events begin that report usage, back from the last one until both directions are known.

        With a usage on every chunk each is the sum so far, and the last one says all. A little more is looked at
        for fields that it lacks; what the first event says is read anyway, with the model's name.
        """
        left, at = _KEYS_LOOKED_AT, self.raw.rfind(self._format.usage_key)
        while at >= 0 and left:
            left -= 1
            if not self._is_null(at + len(self._format.usage_key)):
                at = self._start_of(at)
                yield at
                left = min(left, _KEYS_BEYOND if self._is_full(at) else _REPORTS_LOOKED_AT)
            at = self.raw.rfind(self._format.usage_key, 0, at)

    def first_ones(self) -> Iterator[int]:
        """The first events, as far as the model has not been named."""
        at = 0
        for _ in range(_NAMED_WITHIN):
            at = self.raw.find(b"data:", at)
            if at < 0:
                return
            end = self.raw.find(b"\n\n", at)
            start = self._start_of(at)
            if (end if end >= 0 else len(self.raw)) - start <= _NAMED_SIZE:
                yield start
                event = self.event_at(start)
                if event is not None and self._format.locate_usage(event).holder.get("model"):
                    return
            if end < 0:
                return
            at = end

    def last_one(self) -> Iterator[int]:
        """The last event that may hold an object: it may be terminal."""
        at = self.raw.rfind(b"{")
        if at >= 0:
            yield self._start_of(at)

    def errors(self) -> Iterator[int]:
        """Events that seem to carry an error."""
        if _ERROR not in self.raw:  # in a long text two thirds of the time of `rfind`
            return
        left, at = _ERRORS_LOOKED_AT, self.raw.rfind(_ERROR)
        while at >= 0 and left:
            if not self._is_null(at + len(_ERROR)):
                left -= 1
                at = self._start_of(at)
                yield at
            at = self.raw.rfind(_ERROR, 0, at)

    def is_done(self) -> bool:
        """Whether some line says that the stream is done."""
        at = self.raw.rfind(DONE)
        while at >= 0:
            before = b"\n" + self.raw[:at] if at < _EDGE else self.raw[at - _EDGE : at]
            if before.endswith((b"\ndata:", b"\ndata: ")):
                return True
            at = self.raw.rfind(DONE, 0, at)
        return False

    def _is_full(self, start: int) -> bool:
        """Whether one report holds both directions."""
        event = self.event_at(start)
        raw = self._format.locate_usage(event).usage if event is not None else None
        usage = self._format.usage(raw, NumberReader()) if raw else Usage()
        return usage.prompt_tokens is not None and usage.completion_tokens is not None

    def _is_null(self, at: int) -> bool:
        value = self.raw[at : at + 16]
        return value.startswith((b":null", b": null")) or value.replace(b" ", b"").startswith(b":null")

    def _start_of(self, at: int) -> int:
        before = self.raw.rfind(b"\n\n", 0, at)
        return 0 if before < 0 else before + 2
