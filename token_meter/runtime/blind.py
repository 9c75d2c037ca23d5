"""Lets the meters know of calls that were made and could not be read, or not even seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from token_meter._failures import internal_error
from token_meter.blind_spots import BlindSpot
from token_meter.call.attempt import Attempt
from token_meter.context.endpoint import ENDPOINTS
from token_meter.context.scope import SCOPES
from token_meter.context.stack import CONTEXT_STACK
from token_meter.transports.watched import WatchedRequest

if TYPE_CHECKING:
    from token_meter.budget.admission import CallTicket
    from token_meter.transports.ports import ObservedAttempt, PlannedCall


def not_read(attempt: ObservedAttempt, spot: BlindSpot) -> None:
    """A call is on its way whose answer will not be read."""
    if isinstance(attempt, Attempt):
        for meter in attempt.meters:
            meter.note_blind_spot(spot)


def child_started(spot: BlindSpot, is_fork: bool) -> None:
    """A child process is about to start; what a fork of it does is written to a ledger that its meter has."""
    for meter in SCOPES.of(CONTEXT_STACK.get()).meters:
        if not (meter.is_quiet or (is_fork and meter.sink is not None)):
            meter.note_blind_spot(spot, once=False)


def missed(call: PlannedCall, ticket: CallTicket) -> None:
    """A gate saw a call come and go, and no seam saw its request: it is unmeasured, and named. Never raises.

    Limits hold all the same: what the call had reserved counts as used.
    """
    try:
        endpoint, scope = ENDPOINTS[call.key], SCOPES.of(CONTEXT_STACK.get())
        if endpoint is None or endpoint.route.action != "create" or not scope.meters:
            return
        attempt = Attempt(endpoint, WatchedRequest(call.key, call.client, call.body), scope, None)
        attempt.ticket = ticket
        ticket.begin_attempt()
        if scope.sinks:
            attempt.record_start()
        attempt.respond(200, "", streamed=False)
        attempt.body(b"")
        not_read(attempt, _unseen_client(call))
    except Exception:
        internal_error("missed")


def _unseen_client(call: PlannedCall) -> BlindSpot:
    name = type(getattr(call.client, "_client", call.client)).__name__
    return BlindSpot(
        f"http_client {name}",
        "calls through it pass the SDK and not httpx's `send`, where they are seen, so that each is unmeasured",
        "If it has a `send` of its own, let that call super().send(...), or make its calls within "
        "`with cb.suspended():` and count them by cb.record(...)",
    )
