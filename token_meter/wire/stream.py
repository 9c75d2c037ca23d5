"""Server-sent events: chunks in, a Reading out. Knows no HTTP; chunks are kept, and parsed only at the end."""

from __future__ import annotations

import logging

from token_meter.types import Answer, Reading
from token_meter.wire.answer import answer_of
from token_meter.wire.body import read_objects
from token_meter.wire.events import BOM, DONE, events_of, is_events, is_json, read_events
from token_meter.wire.fees import with_fees
from token_meter.wire.format import Format
from token_meter.wire.framing import Framing, several
from token_meter.wire.json_scan import parse_object

KEPT_LIMIT = 8 * 1024 * 1024
_ARRIVING_LIMIT = 6 * 1024 * 1024
_HEAD = 16 * 1024
_BLANKS = (b"\n\n", b"\r\r", b"\r\n\r\n")
_LINE_ENDS = (b"\n", b"\r")
_EDGE = 16
_BRACE, _NO_BYTE = ord("}"), -1
# What may stand between a line's start and the mark of an end.
_BEFORE: dict[bool, tuple[bytes, ...]] = {
    True: (b"\ndata:", b"\ndata: "),
    False: (b"\nevent:", b"\nevent: "),
}

_log = logging.getLogger("token_meter")


class StreamReader:
    """Reads one streamed answer. `feed` is cheap; `finish` may be called again after more was fed.

    Attributes:
        ended: the end of the answer has been seen (`[DONE]` or a terminal event, with its blank line).
    """

    __slots__ = (
        "_chunks", "_format", "_held", "_is_cut", "_let_go", "_marks", "_ordinary_end", "_read_at", "_reading",
        "ended",
    )  # fmt: skip

    def __init__(self, layout: Format) -> None:
        self._format = layout
        self._marks = self._format.marks
        # Where `[DONE]` alone ends a stream, a piece that ends with an object and a blank line is not its end.
        self._ordinary_end = _NO_BYTE if layout.terminal else _BRACE
        self._chunks: list[bytes] = []
        self._held = 0
        self._let_go = 0
        self._is_cut = False
        self._reading = Reading()
        self._read_at = 0
        self.ended = False

    @property
    def is_json(self) -> bool:
        """Whether what came is JSON, and no events."""
        return is_json(self._chunks[0]) if self._chunks else False

    @property
    def bytes_seen(self) -> int:
        """How many bytes have passed, whether they were kept or not."""
        return self._held + self._let_go

    def takes(self, chunk: bytes) -> bool:
        """Keep an ordinary piece; return False for one that may hold the end, or does not fit: `feed` takes that one.

        It runs for every chunk of a stream, and little else does.
        """
        try:
            if chunk[-3] != self._ordinary_end and (self.ended or self._mark_in(chunk) is not None):
                return False
        except Exception:  # noqa: BLE001 - too short, or no bytes at all: `feed` finds out
            return False
        held = self._held + len(chunk)
        if held > KEPT_LIMIT:
            return False
        self._held = held
        self._chunks.append(chunk)
        return True

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the stream, whatever it holds."""
        self._chunks.append(chunk)
        self._held += len(chunk)
        if not self.ended:
            mark = self._mark_in(chunk)
            if mark is not None:
                self._look(mark)
        if self._held > KEPT_LIMIT:
            self._cut()

    def _mark_in(self, chunk: bytes) -> bytes | None:
        for mark in self._marks:
            if chunk.rfind(mark) >= 0:  # a fraction of the time of `in`
                return mark
        return None

    def finish(self) -> Reading:
        """What the stream has said so far."""
        if self._read_at != self._held:
            self._read_at = self._held
            try:
                self._reading = self._read()
                if self._format.fees is not None:
                    self._reading = with_fees(self._format, self._joined(), self._reading)
            except Exception as exc:  # noqa: BLE001 - the observer never harms the observed
                _log.warning("a streamed answer could not be read: %s", type(exc).__name__)
                self._reading = Reading(ended=self.ended)
            self.ended = self._reading.ended
        return self._reading

    def at_end(self) -> Reading | None:
        """What it has said, once its end was seen; `None` where that is not worth another look.

        A look goes over all that has come, and behind an end that said no usage anything may still come: so the next
        look is when there is twice as much, or when the stream is over.
        """
        return self.finish() if self.ended and self._held >= 2 * self._read_at else None

    def answer(self) -> Answer:
        """What the stream has shown so far; nothing when part of it could not be kept."""
        try:
            raw = b"" if self._is_cut else self._joined()
            if self._is_objects(raw):
                return answer_of(self._format, several(raw, self._format.framing), parse_object(raw))
            return answer_of(self._format, events_of(raw), None)
        except Exception as exc:  # noqa: BLE001 - the observer never harms the observed
            _log.warning("a streamed answer could not be put together: %s", type(exc).__name__)
            return Answer()

    def _look(self, mark: bytes) -> None:
        """Whether *mark* stands where only an end can stand: at a line's start, never inside of a text."""
        before = self._chunks[-2][-_EDGE:] if len(self._chunks) > 1 else b""
        seen = before + self._chunks[-1]
        if mark in _LINE_ENDS or self._format.frame_marks:
            self.ended = mark not in _LINE_ENDS or any(blank in seen for blank in _BLANKS)
            return
        at = seen.find(mark)
        while at >= 0:
            line = seen[max(0, at - _EDGE) : at].replace(b"\r", b"\n")
            if at < _EDGE and len(seen) == self._held and not self._is_cut:
                line = b"\n" + line.removeprefix(BOM)
            if line.endswith(_BEFORE[mark == DONE]):
                # The end has begun; it is there when its event is, with the blank line behind it.
                self.ended = any(blank in seen[at:] for blank in _BLANKS)
                self._marks, self._ordinary_end = _LINE_ENDS, _NO_BYTE
                return
            at = seen.find(mark, at + 1)

    def _read(self) -> Reading:
        raw = self._joined()
        if not raw:
            return Reading(ended=self.ended)
        if self._is_objects(raw):
            return read_objects(self._format, raw, is_whole=False)
        reading = read_events(self._format, raw)
        return reading._replace(ended=True) if self.ended else reading

    def _is_objects(self, raw: bytes) -> bool:
        """Whether this is JSON, or the layout's own framing, and not server-sent events."""
        return is_json(raw) or (self._format.framing is not None and not is_events(raw))

    def _joined(self) -> bytes:
        if len(self._chunks) > 1:
            self._chunks = [b"".join(self._chunks)]
        return self._chunks[0] if self._chunks else b""

    def _cut(self) -> None:
        """Let the middle go: the first events name the model, and the one that now arrives may be the last.

        Finished images are megabytes, and their usage stands behind them.
        """
        raw = self._joined()
        framing = self._format.framing if self._is_objects(raw) else None
        first, arriving = raw[: _whole(raw[:_HEAD], framing)], raw[_whole(raw, framing) :]
        self._chunks = [first, arriving] if len(arriving) <= _ARRIVING_LIMIT else [first]
        self._held = sum(map(len, self._chunks))
        self._let_go += len(raw) - self._held
        self._is_cut = True
        self._read_at = -1


def _whole(raw: bytes, framing: Framing | None) -> int:
    """Where the last whole object of *raw* ends, or the last blank line: up to there its events are whole."""
    if framing is not None:
        return max((end for _, end in framing(raw)), default=0)
    return max(at + len(blank) if (at := raw.rfind(blank)) >= 0 else 0 for blank in _BLANKS)
