"""How the answers of one api are laid out: where the usage stands, what its events are called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from token_meter.types import Reading, Usage
from token_meter.wire.framing import Framing
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader
from token_meter.wire.safe_access import objects, text_of
from token_meter.wire.usage_merge import merge


class ContentPart(NamedTuple):
    """A visible piece of an answer; *slot* tells parallel tool calls of one choice apart."""

    kind: str
    text: str
    choice: int = 0
    slot: int = 0


class UsageLocation(NamedTuple):
    """Where an object keeps what we read: the usage as reported, and the object with model, id, tier and status."""

    usage: Object | None
    holder: Object


def outer(event: Object) -> UsageLocation:
    """The usual location: `usage` at the top level."""
    usage = event.get("usage")
    return UsageLocation(usage if isinstance(usage, dict) else None, event)


def outer_or_choice(event: Object) -> UsageLocation:
    """The usual location, or the first choice."""
    usage = event.get("usage")
    if not isinstance(usage, dict):
        first = next(objects(event.get("choices")), None)
        usage = first.get("usage") if first else None
    return UsageLocation(usage if isinstance(usage, dict) else None, event)


def no_parts(event: Object) -> Iterator[ContentPart]:
    """Nothing visible."""
    yield from ()


def same_usage(usage: Usage, holder: Object, numbers: NumberReader) -> Usage:
    """Nothing to add."""
    return usage


def no_usage(reported: Object, numbers: NumberReader) -> Usage:
    """No counts."""
    return Usage()


def no_finish(event: Object) -> str | None:
    """No finish reason."""
    return None


located = partial(tuple.__new__, UsageLocation)  # in a fourth of the time of NamedTuple's own constructor
HeaderReader: TypeAlias = Callable[[Reading, Mapping[str, str], NumberReader], Reading]
"""Makes a new reading of what the body said, the answer's headers (names in any case) and the border for numbers."""


class Format(NamedTuple):
    """The layout of one api's answers, whole and streamed.

    Attributes:
        usage: maps the object that reports the usage to counts.
        locate_usage: finds that object, and its holder, in a body or in a stream's event.
        complete: adds what an answer reports outside its usage object.
        stream_parts: the visible parts of a stream's event.
        body_parts: the visible parts of a whole body.
        finish: the finish reason in an event or a body.
        terminal: types of the events that end a stream.
        finish_is_end: an event with a finish reason is the last one that reports usage.
        merge: makes one usage object of two that a stream reported, the older first.
        statuses: what the answer's own `status` means: `complete`, `incomplete`, `failed` or `pending`.
        keys: outer keys of a body that matter; a big body is searched for them.
        optional_keys: outer keys of a big body that are read when they stand near an end.
        usage_key: the key under which the usage stands.
        read_headers: adds what headers say to what the body said, by way of `numbers` or `name_of`: they hold anything.
        has_running_output: a stream says its usage as it goes: of one that is left, the output is still to be counted.
            Where it has an end, only that makes the usage whole.
        framing: finds the objects of a body that is neither JSON nor events: `json_array`, `aws_events`, ...
        frame_marks: bytes that stand only in a frame that ends a stream; with some, no other mark is looked for.
        deep_keys: when a big body holds one of these anywhere, its outer keys do not suffice.
        fees: counts what is billed beside tokens, by name, in all the objects of an answer; `None`: a number unknown.
        fee_marks: bytes of which an answer with a fee holds one.
    """

    usage: Callable[[Object, NumberReader], Usage] = no_usage
    locate_usage: Callable[[Object], UsageLocation] = outer
    complete: Callable[[Usage, Object, NumberReader], Usage] = same_usage
    stream_parts: Callable[[Object], Iterator[ContentPart]] = no_parts
    body_parts: Callable[[Object], Iterator[ContentPart]] = no_parts
    finish: Callable[[Object], str | None] = no_finish
    terminal: frozenset[str] = frozenset()
    finish_is_end: bool = False
    merge: Callable[[Object, Object], Object] = merge
    statuses: Mapping[str, str] | None = None
    keys: tuple[str, ...] = ("usage", "model", "service_tier")
    optional_keys: tuple[str, ...] = ("id", "error")
    usage_key: bytes = b'"usage"'
    framing: Framing | None = None
    frame_marks: tuple[bytes, ...] = ()
    deep_keys: tuple[bytes, ...] = ()
    has_running_output: bool = False
    read_headers: HeaderReader | None = None
    fees: Callable[[Sequence[Object]], dict[str, Any]] | None = None
    fee_marks: tuple[bytes, ...] = ()

    def ends_with(self, event: Object) -> bool:
        """Whether *event* is the last one of a stream that reports usage."""
        return text_of(event.get("type")) in self.terminal or (self.finish_is_end and self.finish(event) is not None)

    @property
    def marks(self) -> tuple[bytes, ...]:
        """Bytes that stand in the end of a stream."""
        return self.frame_marks or (b"[DONE]", *(kind.encode("ascii") for kind in sorted(self.terminal)))


NO_FORMAT = Format()
"""Of an api whose answers are not read."""
