"""Decides whether a call may be sent, and keeps its reservation until it ends."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

from token_meter._failures import internal_error
from token_meter.context.endpoint import ENDPOINTS
from token_meter.context.registry import CLIENTS
from token_meter.context.scope import SCOPES, CallScope
from token_meter.context.stack import CONTEXT_STACK, TICKET
from token_meter.exceptions import BudgetExceededError, BudgetStoreError, TokenMeterWarning
from token_meter.transports.own_send import has_own_send

if TYPE_CHECKING:
    from token_meter.budget.account import Ask, Reservation
    from token_meter.budget.foresight import CallForecast
    from token_meter.budget.limits import MeterBudget
    from token_meter.budget.shared_call import SharedCall
    from token_meter.context.endpoint import Endpoint
    from token_meter.context.ports import WaitingEstimate
    from token_meter.transports.ports import Key, PlannedCall
    from token_meter.types import Call

REFUSALS = (BudgetExceededError, BudgetStoreError, TokenMeterWarning)
"""The exceptions that a hook may raise: a refusal, and a warning that the user has turned into an error."""


_OPEN: weakref.WeakSet[CallTicket] = weakref.WeakSet()
"""Calls of unknown size whose stream is still open. They block other such calls until it ends."""


def _nothing() -> None:
    """Do nothing: the caller hears of the refusal."""


class CallTicket:
    """One logical call. Its attempts share one reservation, which is released when the last of them has ended.

    Attributes:
        client: the SDK's client that makes the call; `None` where it did not pass a gate.
        deferred: the exception to raise instead of the answer, once the SDK is done with the call.
        size_unknown: the usage of the call cannot be estimated.
        is_checked: the limits that apply to the call have been checked.
        shared: what the call holds in the stores of shared budgets.
        was_seen: a seam saw a request of the call.
        retries: how many attempts were made before the last one.
    """

    __slots__ = (
        "__weakref__", "_ended", "_holds", "_is_sent", "_reservation", "budgets", "client", "deferred", "is_checked",
        "retries", "shared", "size_unknown", "was_seen",
    )  # fmt: skip
    kind = TICKET

    def __init__(self, *, is_entered: bool, client: Any = None) -> None:
        self.client = client
        self.deferred: BaseException | None = None
        self.size_unknown = self.is_checked = self.was_seen = False
        self.budgets: tuple[MeterBudget, ...] = ()
        self.shared: SharedCall | None = None
        self._reservation: Reservation | None = None
        self._ended: list[Call | WaitingEstimate] = []
        self._holds = [True] if is_entered else []
        self._is_sent = False
        self.retries = -1

    def keep(self, reservation: Reservation | None, budgets: tuple[MeterBudget, ...]) -> None:
        """Take over the reservation that the limits have granted."""
        self.is_checked = True
        self._reservation = reservation
        self.budgets = budgets

    def begin_attempt(self) -> None:
        """Count an attempt that starts."""
        self._is_sent = self.was_seen = True
        self.retries += 1
        self._holds.append(True)

    def count(self, call: Call | WaitingEstimate) -> None:
        """Take what an attempt that ends has told, for its limits. One append: a finalizer may do it."""
        if self._reservation is not None:
            self._ended.append(call)
        if self.shared is not None:
            self.shared.count(call)

    def end_attempt(self, *, is_paid: bool) -> None:
        """Count an attempt that has ended. After an answer with status 2xx (*is_paid*), the SDK makes no other one."""
        if self._holds:
            self._holds.pop()
        if is_paid or not self._holds:
            if self._reservation is not None:
                self._reservation.release(was_sent=self._is_sent, calls=tuple(self._ended))
            if self.shared is not None:
                self.shared.end(was_sent=self._is_sent)

    @property
    def is_due(self) -> bool:
        """Whether a store has to be asked, or told: the transport then calls `ask`, or awaits `aask`."""
        return self.shared is not None and self.shared.is_due

    def ask(self, refused: Callable[[], None] = _nothing) -> None:
        """Ask the stores for the call, or tell them of its end. Raises only a refusal, after calling *refused*."""
        try:
            if self.shared is not None:
                self.shared.run()
        except BaseException:
            refused()
            raise

    async def aask(self, refused: Callable[[], None] = _nothing) -> None:
        """The same, awaited."""
        try:
            if self.shared is not None:
                await self.shared.arun()
        except BaseException:
            refused()
            raise

    def leave(self) -> None:
        """Note that the SDK's method has returned, and tell the stores; a stream may still be open."""
        self._leave()
        if self.is_due:
            self.ask()

    async def aleave(self) -> None:
        """The same, awaited."""
        self._leave()
        if self.is_due:
            await self.aask()

    def _leave(self) -> None:
        try:
            self.end_attempt(is_paid=False)
            if self.size_unknown and self._holds:
                _OPEN.add(self)
            for budget in self.budgets:
                budget.check_warning_threshold()
        except TokenMeterWarning:
            # The answer is paid: a warning that a filter turns into an error must not take it from the caller.
            internal_error("warning")
        except Exception:
            internal_error("leave")


class AdmissionController:
    """Checks the limits once a call: at the SDK's gate, or at its first request if it did not pass a gate."""

    def slow_part(self, request: Planned) -> Callable[[], CallForecast | None] | None:
        """What has to be loaded and counted before the limits are checked; `None`: nothing that takes long.

        It may run in another thread, never raises, and gives the forecast of the call.
        """
        try:
            stack = CONTEXT_STACK.get()
            budgets = limits_of(SCOPES.of(stack))
            if not budgets or any(entry.kind == TICKET and entry.is_checked for entry in stack):
                return None
            endpoint = ENDPOINTS[request.key]
            if endpoint is None or endpoint.route.action != "create":
                return None
            body = request.body() if any(budget.needs_tokens for budget in budgets) else b""
            from token_meter.budget.foresight import is_slow

            if not (is_slow(endpoint, body) or any(budget.is_slow(endpoint, body) for budget in budgets)):
                return None
            return partial(_prepared, endpoint, body, budgets)
        except Exception:
            internal_error("gate")
            return None

    def concerns(self, stack: tuple[Any, ...], *, counts_attempts: bool = False) -> bool:
        """Whether a limit or a handler applies to a call that starts with this stack, or the call may miss the seam.

        Where the gate *counts_attempts*, it also matters who keeps single calls.
        """
        try:
            scope = SCOPES.of(stack)
            if scope.needs_ticket is None:
                scope.needs_ticket = has_own_send()
            return scope.needs_ticket or bool(CLIENTS) or (counts_attempts and scope.keeps_calls)
        except Exception:
            internal_error("gate")
            return False

    def enter(self, call: PlannedCall, forecast: CallForecast | None = None) -> CallTicket:
        """Admit a call of the SDK, or raise the refusal. *forecast* is what `slow_part` gave."""
        ticket = CallTicket(is_entered=True, client=call.client)
        try:
            budgets = limits_of(SCOPES.of(CONTEXT_STACK.get()))
            if budgets:
                endpoint = ENDPOINTS[call.key]
                if endpoint is not None and endpoint.route.action == "create":
                    self._check(ticket, endpoint, call.body, budgets, forecast)
        except REFUSALS:
            raise
        except Exception:
            internal_error("gate")
        return ticket

    def on_request(
        self, endpoint: Endpoint, body: Callable[[], bytes], ticket: CallTicket | None, budgets: tuple[MeterBudget, ...]
    ) -> CallTicket | None:
        """Assign a request to its ticket. If no gate has checked the limits, check them, and raise the refusal."""
        if budgets and (ticket is None or not ticket.is_checked):
            ticket = ticket or CallTicket(is_entered=False)
            try:
                self._check(ticket, endpoint, body, budgets)
            except BudgetExceededError as refusal:
                # Old SDKs wrap an exception of their transport in an error of their own; the gate raises this instead.
                ticket.deferred = refusal
                raise
            except TokenMeterWarning:
                raise
            except Exception:  # the limit was not checked; the call is counted all the same
                internal_error("gate")
        elif budgets and ticket is not None and not ticket.budgets:
            ticket.shared = shared_call(budgets, None)  # under way already
        if ticket is not None:
            ticket.begin_attempt()
        return ticket

    def _check(
        self,
        ticket: CallTicket,
        endpoint: Endpoint,
        body: Callable[[], bytes],
        budgets: tuple[MeterBudget, ...],
        forecast: CallForecast | None = None,
    ) -> None:
        from token_meter.budget.account import admit
        from token_meter.budget.foresight import foreseen

        if forecast is None:
            forecast = foreseen(endpoint, body() if any(budget.needs_tokens for budget in budgets) else b"")
        asks = [budget.ask(forecast) for budget in budgets]
        ticket.size_unknown = forecast.tokens is None
        admission = admit(asks)
        if admission.reservation is None and admission.exceeded[0].is_transient and _OPEN:
            gc.collect()  # a dropped stream blocks other calls until it is collected
            admission = admit(asks)
        by_account = {budget.account: budget for budget in budgets}
        if admission.reservation is None:
            excess = admission.exceeded[0]
            raise by_account[excess.account].refusal(excess)
        try:
            for excess in admission.exceeded:
                by_account[excess.account].passed(excess)
            for budget in budgets:
                budget.check_warning_threshold()
        except BaseException:
            admission.reservation.release(was_sent=False)
            raise
        ticket.keep(admission.reservation, budgets)
        ticket.shared = shared_call(budgets, asks)


def shared_call(budgets: Sequence[MeterBudget], asks: Sequence[Ask] | None) -> SharedCall | None:
    """A call under the shared budgets of meters, if they have any; without *asks*, it is under way already."""
    if not any(budget.shared for budget in budgets):
        return None
    from token_meter.budget.shared_call import SharedCall

    return SharedCall.of(budgets, asks)


def limits_of(scope: CallScope) -> tuple[MeterBudget, ...]:
    """The limits that apply to a call, outermost first. `CallScope` has them as the Protocol `Limits`."""
    return cast("tuple[MeterBudget, ...]", scope.budgets)


class Planned(Protocol):
    """A call that is not sent yet: `PlannedCall`, or `OutgoingRequest`."""

    @property
    def key(self) -> Key:
        """Its destination."""

    def body(self) -> bytes:
        """Its body."""


def _prepared(endpoint: Endpoint, body: bytes, budgets: tuple[MeterBudget, ...]) -> CallForecast | None:
    from token_meter.budget.foresight import foreseen

    try:
        forecast = foreseen(endpoint, body)
        for budget in budgets:
            budget.prepare(forecast)
    except Exception:  # the check itself says what is wrong
        return None
    return forecast
