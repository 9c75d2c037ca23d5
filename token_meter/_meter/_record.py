"""What is recorded of a flight that has ended: its call, or the means to estimate it. It knows no meter and no seam."""

from __future__ import annotations

import itertools
import os
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from token_meter._forks import in_child
from token_meter._meter._guess import ESTIMABLE, Guess
from token_meter._seams._carrier import is_stand_in
from token_meter._wire import read_answer, read_body
from token_meter._wire._sse import KEPT_LIMIT
from token_meter.types import Answer, Call, Certainty, End, Reading, Source, Usage

if TYPE_CHECKING:
    from token_meter._meter._ending import Ending

_FREE = frozenset({"moderations"})
"""Flavours that report no tokens because the provider charges for none."""
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


def call_of(flight: Ending, reading: Reading, end: End, error: BaseException | None, *, unsent: bool) -> Call:
    """The record of an attempt that ended; it is not priced."""
    route, usage = flight.place.route, reading.usage
    certainty: Certainty = "exact"
    if usage is None:
        if route.flavour in _FREE and flight._is_ok:
            usage = Usage()
        elif flight._is_ok or (flight._status is None and not unsent):
            certainty = "unmeasured"
    elif end != "complete":
        certainty = "lower_bound"
    name = None
    if error is not None:
        name = type(error).__name__
    elif reading.error is not None:
        name, end = reading.error, "error"
    elif not flight._is_ok and flight._status is not None:
        name = f"HTTP {flight._status}"
    asked = route.deployment
    is_shown = flight.news is not None or flight.plan.keeps_calls
    if asked is None and (is_shown or reading.model is None):
        asked = flight.request_says().model
    return Call(
        flight.news.run_id if flight.news is not None else flight._id or new_id(),
        flight._started_s,
        (flight._ended or perf_counter()) - flight._t0,
        flight.place.host,
        route.flavour,
        asked,
        reading.model,
        usage,
        certainty,
        end,
        flight._status,
        name,
        reading.service_tier,
        flight._first_token_s,
        flight.attempt if is_shown else 0,
        flight._streamed,
        flight.plan.tags,
        source_of(flight),
        None,
        None,
        None,
        flight.place.base_url,
    )


def source_of(flight: Ending) -> Source:
    """Whether a server answered, or what stands in for one. On this machine only a price book can tell who is paid."""
    if flight.is_replay:
        return "replay"
    if flight.stand_in is not None:
        return flight.stand_in
    if flight.place.is_loopback and not any(meter.knows_host(flight.place.base_url) for meter in flight.meters):
        return "mock"
    has_answer = flight._status is not None
    return "mock" if not has_answer and is_stand_in(getattr(flight.client, "_transport", None)) else "live"


def guess_of(flight: Ending, call: Call, body: bytes | None, *, is_ended: bool) -> Guess | None:
    """What the call's tokens can be told from, where the provider was silent and somebody may ask."""
    if call.usage is not None:
        return None
    is_silent = call.certainty == "unmeasured" and flight._is_ok and call.flavour in ESTIMABLE
    # What an in-process gateway called itself has been counted, and would be counted twice.
    if not is_silent or flight.inner is not None or not (flight._reader or body):
        return None
    request, reader = flight.request_body(), flight._reader
    if reader is not None:
        answer, size, is_kept = reader.answer, flight._fed, flight._fed <= KEPT_LIMIT
    else:
        answer, size, is_kept = partial(read_answer, call.flavour, body or b""), len(body or b""), True
    return Guess(
        call, request, answer, size=size + len(request), is_stream=reader is not None, is_ended=is_ended,
        is_kept=is_kept,
    )  # fmt: skip


def late_of(flight: Ending, body: bytes) -> Call | Guess:
    """The record of a whole answer whose body was put off."""
    try:
        reading = read_body(flight.place.route.flavour, body)
        call = call_of(flight, reading, "complete", None, unsent=False)
        guess = guess_of(flight, call, body, is_ended=reading.ended)
    except Exception:
        flight.hub.internal_error("settle")
        place = flight.place
        return Call(
            "", flight._started_s, (flight._ended or flight._t0) - flight._t0, place.host, place.route.flavour,
            certainty="unmeasured", status=flight._status, tags=flight.plan.tags,
        )  # fmt: skip
    return call if guess is None else guess


def answer_of(flight: Ending, body: bytes | None) -> Answer | None:
    """What the call said, as far as it was seen."""
    if flight._reader is not None:
        return flight._reader.answer()
    return read_answer(flight.place.route.flavour, body) if body and flight.wants_body else None
