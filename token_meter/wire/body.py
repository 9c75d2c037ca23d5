"""Whole bodies: bytes in, a Reading out. Knows no HTTP; what is read where, the apis say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from token_meter.types import Reading
from token_meter.wire.format import Format, same_usage
from token_meter.wire.framing import is_object, json_lines, several
from token_meter.wire.json_scan import FULL_PARSE_LIMIT, SMALL, Object, fields, parse
from token_meter.wire.numbers import NumberReader, name_of
from token_meter.wire.safe_access import text_of

NOTHING = Reading()
_new = tuple.__new__
_ABOUT_ITSELF = ("model", "id", "service_tier", "status", "last_error")


def read_json(layout: Format, body: bytes) -> Reading:
    """Read a JSON body; what cannot be read is unknown."""
    found: Any = None
    if len(body) > SMALL and not any(body.rfind(key) >= 0 for key in layout.deep_keys):
        found = fields(body, layout.keys, layout.optional_keys)
        if found is not None and layout.locate_usage(found).usage is None and body.rfind(layout.usage_key) >= 0:
            found = None  # not at the top level: the api may know another place
    if found is None and len(body) <= FULL_PARSE_LIMIT:
        found = parse(body)
    return _reading_of_one(layout, found) if isinstance(found, dict) else NOTHING


def read_objects(layout: Format, body: bytes, *, is_whole: bool) -> Reading:
    """Read a JSON body, or one of several objects: an object a line, or in the layout's own framing."""
    is_stream = layout.framing is json_lines and not is_whole  # of which the first object may have come alone
    may_be_one = layout.framing is None or (is_object(body) and not is_stream)
    reading = read_json(layout, body) if may_be_one else NOTHING
    if reading != NOTHING:
        return reading
    found = list(several(body, layout.framing))  # only now: most bodies are one object, and may be large
    if not found:
        return reading if may_be_one else read_json(layout, body)
    ended = is_whole or layout.ends_with(found[-1])
    return reading_of(layout, found, is_whole=ended)


def _reading_of_one(layout: Format, body: Object) -> Reading:
    """The same as `reading_of` for the one object of a body that reports its usage: the way of nearly every call."""
    reported, holder = layout.locate_usage(body)
    if not reported or body.get("error") or body.get("last_error"):
        return reading_of(layout, [body], is_whole=True)
    numbers = NumberReader()
    usage = layout.usage(reported, numbers)
    if layout.complete is not same_usage:
        usage = layout.complete(usage, holder, numbers)
    if usage.prompt_tokens is None:
        return reading_of(layout, [body], is_whole=True)
    get = holder.get
    status = layout.statuses.get(text_of(get("status"))) if layout.statuses is not None else None
    # NamedTuple's own constructor takes twice as long.
    return _new(Reading, (
        usage, name_of(get("model")), name_of(get("service_tier") or reported.get("service_tier")), name_of(get("id")),
        status, status != "pending", None, numbers.coerced, numbers.anomalies + numbers.doubts,
    ))  # fmt: skip


def reading_of(layout: Format, events: Sequence[Object], *, is_whole: bool) -> Reading:
    """Make one reading of one answer's events, given in the order in which they came; a body is one event."""
    numbers = NumberReader()
    raw: Object | None = None
    about: Object = {}
    beside: Object = {}
    error = None
    for event in events:
        reported, holder = layout.locate_usage(event)
        if reported and not (raw and _is_all_zero(reported)):
            raw = layout.merge(raw, reported) if raw else reported
            beside = holder
        about = _later(about, holder) if about else holder
        if "error" in event or "last_error" in event or event.get("type") == "error":
            error = error_of(event) or error
        elif holder is not event:
            error = error_of(holder) or error
    usage = tier = None
    if raw is not None:
        usage = layout.complete(layout.usage(raw, numbers), beside, numbers)
        if usage.prompt_tokens is None and usage.count(None) == len(usage):
            usage = None
        tier = raw.get("service_tier")  # some apis keep it there
    status = layout.statuses.get(text_of(about.get("status"))) if layout.statuses is not None else None
    return Reading(
        usage,
        name_of(about.get("model")),
        name_of(about.get("service_tier") or tier),
        name_of(about.get("id")),
        status,
        is_whole and status != "pending",
        error,
        numbers.coerced,
        numbers.anomalies + numbers.doubts,
    )


def _is_all_zero(reported: Object) -> bool:
    """Whether a report is a placeholder: behind a real one it takes nothing back."""
    counts = [value for value in reported.values() if type(value) is int]
    return len(counts) > 1 and not any(counts)


def _later(older: Object, newer: Object) -> Object:
    """What an answer says about itself; a later word wins unless it is null or empty."""
    both = dict(older)
    for key in _ABOUT_ITSELF:
        if value := newer.get(key):
            both[key] = value
    return both


def error_of(event: Object) -> str | None:
    """The code or type of an error that an object carries; never its message."""
    error: Any = event.get("error") or event.get("last_error")
    if error is None and event.get("type") == "error":
        error = event
    if not error:
        return None
    if isinstance(error, dict):
        for key in ("code", "type"):
            value = error.get(key)
            if type(value) is int:
                value = str(value)[:20] if abs(value) < 10**9 else None
            if (name := name_of(value)) is not None:
                return name
    return "error"
