"""A meter without a `with`: opened and closed by hand; and the meters inside of one, as a tree."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Self

from token_meter.context.stack import CONTEXT_STACK, METER
from token_meter.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEPT = 256
"""Inner meters that one meter remembers. A server opens one a request, and what it forgets stays in the sums."""


class ByHand:
    """The part of a meter for programs that cannot indent what they meter: notebooks, REPLs, set-up and tear-down."""

    is_open: bool
    inner: Sequence[Any] = ()
    """The last meters that were opened inside of this one, in order."""

    def start(self) -> Self:
        """Open the meter, as `with` does, until `stop()`: `cb = meter("chat").start()`.

        Raises:
            ConfigError: it is open already.
        """
        if self.is_open:
            msg = "start() of a meter that is open; call stop() first, or nest another meter"
            raise ConfigError(msg)
        self.__enter__()  # type: ignore[attr-defined]  # a meter's
        return self

    def stop(self) -> Self:
        """Close the meter, as the end of its block does; its numbers can still be read. It may be started again.

        Raises:
            ConfigError: it is not open.
        """
        if not self.is_open:
            msg = "stop() of a meter that is not open; start() opens it"
            raise ConfigError(msg)
        self.__exit__(None, None, None)  # type: ignore[attr-defined]
        return self

    def tree(self) -> str:
        """This meter and those that were opened inside of it, a line each: tokens and US dollars.

        Meters of one name share a line. What no inner meter counted has a line of its own. A meter remembers its last
        256 inner ones.
        """
        from token_meter._meter.tree import drawn

        return drawn(self)


def adopt(meter: Any) -> None:
    """Tell the innermost open meter of this context that *meter* opens inside of it."""
    for entry in reversed(CONTEXT_STACK.get()):
        if entry.kind == METER and entry.is_open and entry is not meter:
            if entry.inner == ():
                entry.inner = deque(maxlen=_KEPT)
            if meter not in entry.inner:
                entry.inner.append(meter)
            return
