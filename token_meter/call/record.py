"""The record of an attempt that has ended: its call, or the means to estimate it. It knows no meter."""

from __future__ import annotations

import itertools
import os
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from token_meter._failures import internal_error
from token_meter._fork import in_child
from token_meter.call.doubts import believed, is_cut, served_tier
from token_meter.call.pending_estimate import PendingEstimate
from token_meter.transports.httpx_stand_ins import is_stand_in
from token_meter.types import Call, Certainty, Outcome, Reading, Source, Usage
from token_meter.wire import asked_model, read_answer, read_body
from token_meter.wire.stream import KEPT_LIMIT

if TYPE_CHECKING:
    from token_meter.call.ports import EndedAttempt

_new = tuple.__new__
_numbers = itertools.count()
_prefix = os.urandom(8).hex()


@in_child
def _renumber() -> None:
    """Give a forked child ids of its own."""
    global _prefix
    _prefix = os.urandom(8).hex()


def new_id() -> str:
    """An id that no other call has, in any process."""
    return f"{_prefix}-{next(_numbers):x}"


def call_of(
    attempt: EndedAttempt, reading: Reading, end: Outcome, error: BaseException | None, *, unsent: bool
) -> Call:
    """The record of an attempt that ended; it is not priced."""
    endpoint, scope, is_ok, http = attempt.endpoint, attempt.call_scope, attempt._is_ok, attempt._status
    route, api, form = endpoint.route, endpoint.route.api, endpoint.route.api.format
    usage, model, tier, _, status, ended, fault, _, anomalies = reading
    certainty: Certainty = "exact"
    doubtful = usage is not None and 0 in usage[:2] and fault is None and status in (None, "complete")
    if doubtful and usage is not None:
        usage = believed(usage, api, is_whole=end == "complete")
    if usage is None and is_ok:
        usage = Usage() if api.is_free else (ask := api.asked_usage) and ask(attempt.request_body())
        certainty = "unmeasured" if usage is None else "exact"
    elif usage is None:
        certainty = "exact" if http is not None or unsent else "unmeasured"
    elif (
        (doubtful and usage != reading.usage)
        or end != "complete"
        or status == "pending"
        or not ((ended and not fault) or (usage.prompt_tokens is not None and not is_cut(attempt)))
        or ((fault or not ended) and form.has_running_output and (form.terminal or form.finish_is_end))
    ):
        certainty = "lower_bound"
    elif anomalies:
        certainty = "estimated"
    name = None if error is None else type(error).__name__
    if name is None and fault is not None:
        name, end = fault, "error"
    elif name is None and not is_ok and http is not None:
        name = f"HTTP {http}"
    request = attempt.request_body()
    if usage is not None:
        for add in api.asked_fees:
            usage = add(usage, request)
        if request.rfind(b'"background_options"') >= 0 or (tier is None and request.rfind(b'"service') >= 0):
            tier = served_tier(tier, attempt)
    asked, listener, is_shown = route.model, attempt.events_out, attempt.is_shown
    if asked is None and (is_shown or model is None or request.rfind(b"router") >= 0):  # it chooses, for a fee
        asked = attempt.request_says().model
    elif asked is None and scope.names_asked:
        asked = asked_model(request)
    # NamedTuple's own constructor takes twice as long.
    return _new(Call, (
        attempt._id or new_id() if listener is None else listener.run_id,
        attempt._started_s,
        (attempt._ended or perf_counter()) - attempt._t0,
        endpoint.host,
        api.name,
        asked, model,
        usage, certainty,
        end, http, name,
        tier,
        attempt._first_token_s,
        attempt.attempt if is_shown else 0,
        attempt._streamed,
        scope.tags,
        source_of(attempt) if is_shown else "live",
        api.job and api.job.processing,
        None,
        None,
        endpoint.base_url,
    ))  # fmt: skip


def pending_estimate_of(
    attempt: EndedAttempt, call: Call, body: bytes | None, *, is_ended: bool
) -> PendingEstimate | None:
    """What the call's tokens can be told from, where the provider was silent and somebody may ask."""
    api = attempt.endpoint.route.api
    usage = call.usage
    if usage is not None and (call.certainty == "exact" or not (api.format.has_running_output or None in usage[:2])):
        return None
    is_silent = call.certainty != "exact" and attempt._is_ok
    # What an in-process gateway called itself has been counted, and would be counted twice.
    if api.rules is None or not is_silent or attempt.inner is not None or not (attempt._reader or body):
        return None
    request, reader = attempt.request_body(), attempt._reader
    is_stream = reader is not None and not (is_ended and reader.is_json)
    if reader is not None:
        answer, size, is_untruncated = reader.answer, reader.bytes_seen, reader.bytes_seen <= KEPT_LIMIT
    else:
        answer, size, is_untruncated = partial(read_answer, api.format, body or b""), len(body or b""), True
    return PendingEstimate(
        call, api.rules, request, answer, size=size + len(request), is_stream=is_stream, is_ended=is_ended,
        is_untruncated=is_untruncated,
    )  # fmt: skip


def late_of(attempt: EndedAttempt, body: bytes) -> Call | PendingEstimate:
    """The record of a whole answer whose body was put off."""
    try:
        reading = read_body(attempt.endpoint.route.api.format, body)
        call = call_of(attempt, reading, "complete", None, unsent=False)
        pending = pending_estimate_of(attempt, call, body, is_ended=reading.ended)
    except Exception:
        internal_error("settle")
        endpoint = attempt.endpoint
        return Call(
            "", attempt._started_s, (attempt._ended or attempt._t0) - attempt._t0, endpoint.host,
            endpoint.route.api.name, certainty="unmeasured", status=attempt._status, tags=attempt.call_scope.tags,
        )  # fmt: skip
    return call if pending is None else pending


def source_of(attempt: EndedAttempt) -> Source:
    """Whether a server answered, or what stands in for one. On this machine only a price book can tell who is paid."""
    if attempt.is_replay:
        return "replay"
    if attempt.stand_in is not None:
        return attempt.stand_in
    if attempt.is_local and not any(meter.knows_host(attempt.endpoint.base_url) for meter in attempt.meters):
        return "mock"
    if attempt._status is not None or attempt._request is None:
        return "live"
    return "mock" if is_stand_in(getattr(attempt._request.client, "_transport", None)) else "live"
