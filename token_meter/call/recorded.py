"""A call that was told by hand: its record, and who hears of it. It knows no seam."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from time import time
from typing import TYPE_CHECKING, Any, cast

from token_meter._failures import internal_error
from token_meter.budget.admission import limits_of, shared_call
from token_meter.call.record import new_id
from token_meter.context.endpoint import Endpoint
from token_meter.context.scope import SCOPES, CallScope
from token_meter.context.stack import CONTEXT_STACK
from token_meter.context.subscriber import unique
from token_meter.events.dispatcher import EventDispatcher
from token_meter.exceptions import ConfigError
from token_meter.providers import Route, api_named, usage_of
from token_meter.types import Call, Outcome, Usage
from token_meter.wire import NumberReader, RequestInfo

if TYPE_CHECKING:
    from token_meter.context.ports import Recipient


def call_recorded(
    model: str | None,
    counts: tuple[int | None, int | None],
    usage: Usage | Mapping[str, Any] | None,
    tags: tuple[str, ...],
    *,
    api: str,
    status: int | None,
    outcome: Outcome | None,
    error: str | None,
    certainty: Any,
    started_s: float | None,
    duration_s: float,
    host: str | None,
    **more: Any,
) -> Call:
    """The record of a call, from what was told of it.

    Raises:
        ConfigError: the counts are no counts.
    """
    numbers = NumberReader()
    found = _usage(usage, counts, api, numbers)
    ended: Outcome = outcome or ("complete" if error is None else "error")
    is_success = status is not None and 200 <= status < 300
    if certainty is None:
        certainty = "exact" if found is not None or not (is_success or status is None) else "unmeasured"
        if found is not None and ended != "complete":
            certainty = "lower_bound"
        elif found is not None and numbers.doubts:
            certainty = "estimated"
    begun = time() - duration_s if started_s is None else started_s
    return Call(
        new_id(), begun, duration_s, host, api, model, model, found, certainty, ended, status, error, tags=tags,
        base_url=host, **more,
    )  # fmt: skip


def _usage(
    given: Usage | Mapping[str, Any] | None, counts: tuple[int | None, int | None], api: str, numbers: NumberReader
) -> Usage | None:
    if given is not None and counts != (None, None):
        msg = "a recorded call has a usage, or prompt_tokens and completion_tokens, not both"
        raise ConfigError(msg)
    if isinstance(given, Mapping):
        row = api_named(api)
        read = row.format.usage if row.is_metered else usage_of
        given = read(dict(given), numbers)
    elif given is None and counts != (None, None):
        prompt, completion = map(numbers.count, counts)
        given = Usage(prompt, completion, (prompt or 0) + (completion or 0))
    if numbers.anomalies:
        msg = "a recorded call's usage must hold whole numbers that are at least 0"
        raise ConfigError(msg)
    if given is not None and not isinstance(cast("object", given), Usage):
        msg = f"usage must be a Usage, or the object as the provider answered it, not {type(given).__name__}"
        raise ConfigError(msg)
    return given


class _Told:
    """A recorded call as the telling of events sees it."""

    def __init__(self, call: Call, meters: tuple[Recipient, ...]) -> None:
        route = Route(api_named(call.api), call.provider or "unknown", "create", model=call.model)
        self.endpoint = Endpoint(route, call.host or "", call.host or "", is_loopback=False)
        self.meters = meters
        self.tags = call.tags

    def request_says(self) -> RequestInfo:
        return RequestInfo()

    def request_body(self) -> bytes:
        return b""

    def dismiss(self) -> None:
        """There is nothing to forget: the call has happened."""

    def failed(self, error: BaseException, *, was_sent: bool) -> None:
        """It has ended."""


def deliver(call: Call, meter: Recipient) -> Call:
    """Count *call* in *meter*, and around its block in all meters of the context; tell who wants to hear of it."""
    scope = SCOPES.of(CONTEXT_STACK.get())
    if meter not in scope.meters:
        is_suppressed, scope = scope.is_suppressed, CallScope((), (meter,))
        if is_suppressed:
            scope.subscribers = ()
    call = call._replace(tags=tuple(dict.fromkeys((*scope.tags, *call.tags))))
    for sink in scope.sinks:
        try:
            sink.on_end(call, sink.on_start(call.id, call.model))
        except Exception:
            internal_error("sink")
    for each in scope.meters:
        each.add(call)
    for budget in limits_of(scope):
        budget.count_made()
        budget.check_warning_threshold()
    shared = shared_call(limits_of(scope), None)
    if shared is not None:
        shared.count(call)
        shared.end(was_sent=True)
        shared.run()
    subscribers = unique(scope.subscribers)
    if subscribers:
        events = EventDispatcher(_Told(call, scope.meters), subscribers, None, call.id)
        events.pending = deque()  # its start is long over
        events.ended(call, None, lambda: None)
        events.dispatch()
    return call
