"""An ended call that sinks and handlers are told of once it has been estimated, while the event loop goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from token_meter._aside import aside
from token_meter._failures import internal_error
from token_meter.events.dispatcher import LATE, EventDispatcher
from token_meter.types import Answer, Call
from token_meter.wire import read_answer

if TYPE_CHECKING:
    from token_meter.call.pending_estimate import PendingEstimate
    from token_meter.call.ports import EndedAttempt
    from token_meter.wire import StreamReader


class PutOff:
    """Tells of the call once, after its estimate."""

    def __init__(self, pending: PendingEstimate, tell: Callable[[Call], None], events: EventDispatcher | None) -> None:
        self._pending = pending
        self._tell = [tell]
        self._events = events

    def finish(self) -> None:
        """Estimate here, and tell. Never raises."""
        try:
            while self._tell:
                self._tell.pop()(self._pending.resolve())
        except Exception:
            internal_error("tell")

    async def afinish(self) -> None:
        """Estimate in another thread, and tell in the caller's task."""
        try:
            await aside(self._pending.resolve)
        except Exception:
            internal_error("estimate")
        except BaseException:  # the caller goes without its answer; handlers are told with the next call
            self.finish()
            if self._events is not None:
                LATE.append(self._events)
            raise
        self.finish()


def answer_of(attempt: EndedAttempt, reader: StreamReader | None, body: bytes | None) -> Answer | None:
    """What the call said, as far as *reader* saw it, or as *body* has it."""
    if reader is not None:
        return reader.answer()
    return read_answer(attempt.endpoint.route.api.format, body) if body and attempt.wants_body else None
