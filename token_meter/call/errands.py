"""What a call does in its caller's thread or task: ask and tell stores, tell handlers. A plain call has nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from token_meter.budget.admission import CallTicket, limits_of, shared_call

if TYPE_CHECKING:
    from token_meter.call.put_off import PutOff
    from token_meter.context.scope import CallScope
    from token_meter.events.dispatcher import EventDispatcher


class Errands:
    """The part of an attempt that transports run, or await, before a request and after each part of its answer."""

    ticket: CallTicket | None = None
    events_out: EventDispatcher | None = None
    _put_off: PutOff | None = None  # ended, and its estimate takes its time

    @staticmethod
    def ticket_under_way(scope: CallScope) -> CallTicket | None:
        """The ticket of what may turn out to be a call: no limit is asked, and shared budgets are told of its end."""
        shared = shared_call(limits_of(scope), None) if scope.budgets else None
        if shared is None:
            return None
        ticket = CallTicket(is_entered=False)
        ticket.is_checked, ticket.shared = True, shared
        ticket.begin_attempt()
        return ticket

    def dismiss(self) -> None:
        """Forget a call that never left and that nobody shall hear of."""
        raise NotImplementedError

    @property
    def has_pending_events(self) -> bool:
        """Whether the store of a budget has to be asked or told, or handlers wait to be told."""
        if self._put_off is not None or (self.ticket is not None and self.ticket.is_due):
            return True
        return self.events_out is not None and bool(self.events_out.pending)

    def dispatch(self) -> None:
        """Ask or tell stores and handlers, in the caller's thread."""
        if self._put_off is not None:
            self._put_off.finish()
        if self.ticket is not None and self.ticket.is_due:
            self.ticket.ask(self.dismiss)
        if self.events_out is not None:
            self.events_out.dispatch()

    async def adispatch(self) -> None:
        """Ask or tell stores and handlers, in the caller's task."""
        if self._put_off is not None:
            await self._put_off.afinish()
        if self.ticket is not None and self.ticket.is_due:
            await self.ticket.aask(self.dismiss)
        if self.events_out is not None:
            await self.events_out.adispatch()
