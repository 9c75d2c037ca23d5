"""What a seam tells upstairs, and the book of what it patched. It knows no HTTP library and no tokens."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from token_meter.types import Source

logger = logging.getLogger("token_meter")


class Watch(Protocol):
    """One request on its way. Methods never raise, unless a handler asked for that with `raise_error`.

    Only the first way to end counts: `body`, `exhausted`, `closed`, `failed` or `abandoned`.
    """

    stand_in: Source | None
    """What answered instead of a server; set before `respond`."""

    @property
    def is_local(self) -> bool:
        """Whether the request goes to this machine, where a simulator may serve."""

    @property
    def wants_body(self) -> bool:
        """Whether bytes of the answer are of any use; known after `respond`."""

    @property
    def instead(self) -> Any | None:
        """A request to send in the place of the caller's, which stays as it is."""

    @property
    def sieve(self) -> Any | None:
        """What takes the answer to such a request out of the body (a `Sieve`); known after `respond`."""

    @property
    def has_news(self) -> bool:
        """Whether handlers wait to be told: then the seam calls `tell` or awaits `atell`."""

    def respond(self, status: int, content_type: str, *, streamed: bool) -> None: ...
    def body(self, data: bytes) -> None: ...
    def feed(self, chunk: bytes) -> None: ...
    def exhausted(self) -> None: ...
    def closed(self) -> None: ...
    def abandoned(self) -> None: ...
    def failed(self, error: BaseException, *, was_sent: bool) -> None: ...
    def tell(self) -> None: ...
    def atell(self) -> Awaitable[None]: ...


class Observer(Protocol):
    """Who decides, at departure, whether a request is watched."""

    @property
    def is_listening(self) -> bool:
        """Whether a request outside every block is of interest too (process-wide meters, attached clients)."""

    def depart(self, request: Any, client: Any) -> Watch | None: ...
    def internal_error(self, where: str) -> None:
        """Called inside an `except`: count and log a failure of ours, once per place."""


class Switch:
    """One patched function. Switching off leaves other people's patches alone.

    Where somebody patched on top of ours, taking ours out would take theirs out too. Ours then stays as a shim that
    only passes calls on, because the seam was told to be silent.
    """

    __slots__ = ("_is_covered", "_is_wanted", "_make", "_original", "_ours", "name", "owner")

    def __init__(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        self.owner = owner
        self.name = name
        self._make = make
        self._original: Any = None
        self._ours: Any = None
        self._is_covered = False
        self._is_wanted = False

    @property
    def is_on(self) -> bool:
        """Whether the name leads to our function directly: nobody has patched on top."""
        return self._ours is not None and self.owner.__dict__.get(self.name) is self._ours

    def on(self) -> None:
        """Replace the function, unless ours stands there or stays as a shim under somebody else's."""
        now = self.owner.__dict__[self.name]
        may_be_covered, self._is_wanted = self._is_covered or self._is_wanted, True
        if now is self._ours or (may_be_covered and now is not self._original and self._is_held()):
            return
        if self._ours is None or now is not self._original:
            self._original, self._ours = now, self._make(now)
        self._is_covered = False
        setattr(self.owner, self.name, self._ours)

    def off(self) -> None:
        """Restore the original where ours still stands."""
        if self._ours is None:
            return
        now = self.owner.__dict__.get(self.name)
        if now is self._ours:
            setattr(self.owner, self.name, self._original)
        elif now is not self._original and self._is_wanted:  # what others did since `off` covers nothing of ours
            self._is_covered = self._is_held()
        self._is_wanted = False

    def _is_held(self) -> bool:
        """Whether anybody else has our function. If not, it was taken out: whoever patches on top keeps it to call."""
        ours = weakref.ref(self._ours)
        self._ours = None
        self._ours = ours()
        return self._ours is not None


class Patches:
    """The patched functions of one seam, each class once by its identity."""

    def __init__(self) -> None:
        self._switches: dict[tuple[Any, str], Switch] = {}

    def put(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Replace `owner.name` by `make(original)`; once, however often it is asked for."""
        key = (owner, name)
        switch = self._switches.get(key) or Switch(owner, name, make)
        switch.on()
        self._switches[key] = switch  # not one that could not be put on

    def undo(self) -> None:
        """Restore what is still ours."""
        for switch in self._switches.values():
            switch.off()

    def is_whole(self) -> bool:
        """Whether every patched name still leads to our function directly."""
        return all(switch.is_on for switch in self._switches.values())
