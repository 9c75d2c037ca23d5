"""What one api flavour may say about itself. Knows no flavour by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from token_meter._wire._json import Object
from token_meter._wire._numbers import Border
from token_meter._wire._shapes import objects
from token_meter._wire._usage import usage_of
from token_meter.types import Usage


class Piece(NamedTuple):
    """A visible piece of an answer; *slot* tells parallel tool calls of one choice apart."""

    kind: str
    text: str
    choice: int = 0
    slot: int = 0


class Place(NamedTuple):
    """Where an object keeps what we read: the usage as reported, and the object with model, id, tier and status."""

    usage: Object | None
    holder: Object


def outer(event: Object) -> Place:
    """The usual place: `usage` at the top level."""
    usage = event.get("usage")
    return Place(usage if isinstance(usage, dict) else None, event)


def outer_or_choice(event: Object) -> Place:
    """The usual place, or the first choice, where Moonshot puts it."""
    usage = event.get("usage")
    if not isinstance(usage, dict):
        first = next(objects(event.get("choices")), None)
        usage = first.get("usage") if first else None
    return Place(usage if isinstance(usage, dict) else None, event)


def no_pieces(event: Object) -> Iterator[Piece]:
    """Nothing visible."""
    yield from ()


def same_usage(usage: Usage, holder: Object, border: Border) -> Usage:
    """Nothing to add."""
    return usage


class Flavour(NamedTuple):
    """One api flavour: where its answers keep what, and what its events are called.

    Attributes:
        name: as it stands in records.
        paths: suffixes of the POST paths that create; `{}` is any one segment, and a `v1` that a common word needs
            before it belongs to the prefix.
        retrieves: `(method, suffix)` of the paths that ask again for what was created.
        sockets: suffixes of the paths of websockets, as if their method were `WS`.
        metered: an answer may carry usage.
        place: finds usage and its holder in a body or in a stream's event.
        usage: maps the reported object.
        complete: adds what the flavour reports beside its usage.
        pieces: the visible pieces of a stream's event.
        answer: the visible pieces of a whole body.
        finish: the finish reason in an event or a body.
        terminal: types of the events that end a stream.
        statuses: what the answer's own `status` means.
        keys: outer keys of a body that matter; a big body is searched for them.
        glances: outer keys of a big body that are nice to have.
        deep_key: when a big body holds this key anywhere, its outer keys do not suffice.
    """

    name: str
    paths: tuple[str, ...] = ()
    retrieves: tuple[tuple[str, str], ...] = ()
    sockets: tuple[str, ...] = ()
    metered: bool = True
    place: Callable[[Object], Place] = outer
    usage: Callable[[Object, Border], Usage] = usage_of
    complete: Callable[[Usage, Object, Border], Usage] = same_usage
    pieces: Callable[[Object], Iterator[Piece]] = no_pieces
    answer: Callable[[Object], Iterator[Piece]] = no_pieces
    finish: Callable[[Object], str | None] = lambda event: None
    terminal: frozenset[str] = frozenset()
    statuses: Mapping[str, str] | None = None
    keys: tuple[str, ...] = ("usage", "model", "service_tier")
    glances: tuple[str, ...] = ("id", "error")
    deep_key: bytes | None = None

    @property
    def marks(self) -> tuple[bytes, ...]:
        """Bytes that stand in the end of a stream."""
        return (b"[DONE]", *(kind.encode("ascii") for kind in sorted(self.terminal)))
