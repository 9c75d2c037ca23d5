"""The format of ledger lines: `Call` to line, line to `Row`.

One line is one JSON object in ASCII. Its fields have a fixed order: first those that differ between calls, then the
counts, then those that most calls of a run have in common. Writer and reader cache that last part by its text, so that
an append takes 4 us and reading a million lines a few seconds. A line in another order is read too, but slower.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple

from token_meter._fees import Fees
from token_meter.types import Call, Usage

VERSION = 2
"""The version of the lines that are written; lines of version 1 are read too."""

READABLE = (1, VERSION)

_NAMES_OF_V1 = {
    "flavour": "api", "model_asked": "request_model", "model_served": "response_model", "end": "outcome",
    "beside_tokens": "tool_usage_tokens",
}  # fmt: skip
"""The names of fields in version 1 of ledger lines and JSON reports, with their present names."""

quoted = encode_basestring_ascii
"""A JSON string in ASCII: lone surrogates and control characters are written as escapes."""

COUNTS = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
"""The counts in every line, `null` when unknown. A line has the rarer ones only when they are known."""

FIRST_RARE = 7
"""The index in a `Usage` from which all counts are rare. `cache_write_long_tokens`, before it, is rare too."""

NOTHING_RARE = (None,) * (len(Usage._fields) - FIRST_RARE)

_RARE = tuple(name for name in Usage._fields if name not in COUNTS)
_NAME_LIMIT = 200
_CONTEXT_LIMIT = 500
_MEMO_LIMIT = 2_000
_LATEST_S = 1e11
"""A moment that no clock shows, in the year 5138, and that every calendar still has."""


class Row(NamedTuple):
    """One call in the ledger, or several that differ only in id, time within 15 minutes, duration and counts.

    Attributes:
        call: the call, unpriced; for merged calls the first one, with their mean duration.
        context: the owner: a test id, `fixture:name[scope]`, `(outside tests)`, a label; `None` when none was given.
        phase: `setup`, `call` or `teardown` of a test.
        attempt: the number of the test's attempt, from 1.
        worker: the test worker, `gw0`.
        late: the call ended after its test.
        process: host and pid of the writer.
        calls: the number of calls in this row.
        duration_s: the sum of their durations, in seconds.
        usages: for merged calls, their different usages, each with its number of calls; empty for one call.
    """

    call: Call
    context: str | None = None
    phase: str | None = None
    attempt: int = 1
    worker: str | None = None
    late: bool = False
    process: str = ""
    calls: int = 1
    duration_s: float = 0.0
    usages: tuple[tuple[Usage | None, int], ...] = ()


_memo: dict[tuple[Any, ...], str] = {}


def call_line(
    call: Call, context: str | None, phase: str | None, attempt: int | None, worker: str | None, late: bool
) -> bytes:
    """Write *call* as one line, without its price (reports compute it) and its `base_url` (may contain a key)."""
    (id_, ts, duration, host, api, asked, served, usage, certainty, outcome, status, error, tier, first, *_) = call
    rest = call[14:20]
    key = (
        host,
        api,
        asked,
        served,
        certainty,
        outcome,
        status,
        error,
        tier,
        rest,
        context,
        phase,
        attempt,
        worker,
        late,
    )
    common = _memo.get(key)
    if common is None:
        if len(_memo) >= _MEMO_LIMIT:
            _memo.clear()
        common = _memo[key] = _common(call, context, phase, attempt, worker, late)
    first_ms = "null" if first is None else f"{first * 1e3:.3f}"
    if usage is None:
        counts = _NO_COUNTS
    else:
        prompt, completion, total, cached, written, _, reasoning = usage[:7]
        counts = (
            f'"prompt_tokens":{_n(prompt)},"completion_tokens":{_n(completion)},"total_tokens":{_n(total)},'
            f'"cached_tokens":{_n(cached)},"cache_write_tokens":{_n(written)},"reasoning_tokens":{_n(reasoning)}'
        )
        if usage[5] is not None or usage[7:] != NOTHING_RARE:
            counts += _rare(usage)
    return (
        f'{{"t":"call","v":2,"id":{quoted(id_)},"ts":{ts:.6f},"ms":{duration * 1e3:.3f},"first_ms":{first_ms},'
        f"{counts},{common}}}\n"
    ).encode("ascii")


_NO_COUNTS = ",".join(f'"{name}":null' for name in COUNTS)


def _n(count: int | None) -> int | str:
    return "null" if count is None else count


def _rare(usage: Usage) -> str:
    found = ((name, getattr(usage, name)) for name in _RARE)
    return "".join(f',"{name}":{_rare_json(v)}' for name, v in found if v is not None)


def _rare_json(value: Any) -> str:
    if isinstance(value, Decimal):
        return quoted(str(value))
    return json.dumps({cut(name): n for name, n in value} if isinstance(value, Fees) else value, separators=(",", ":"))


def _common(
    call: Call, context: str | None, phase: str | None, attempt: int | None, worker: str | None, late: bool
) -> str:
    fields = {
        "api": cut(call.api),
        "host": cut(call.host),
        "provider": cut(call.provider),
        "request_model": cut(call.request_model),
        "model": cut(call.response_model),
        "tier": cut(call.service_tier),
        "processing": cut(call.processing),
        "certainty": call.certainty,
        "outcome": call.outcome,
        "status": call.status,
        "error": cut(call.error),
        "attempt": call.attempt,
        "streamed": call.streamed,
        "tags": [cut(tag) for tag in call.tags[:50]],
        "src": call.source,
        "ctx": cut(context, _CONTEXT_LIMIT),
        "phase": phase,
        "try": attempt,
        "worker": worker,
        "late": late or None,
    }
    present = {k: v for k, v in fields.items() if v is not None or k == "api"}
    return json.dumps(present, separators=(",", ":"))[1:-1]


def cut(name: str | None, limit: int = _NAME_LIMIT) -> str | None:
    """Shorten a name from outside. A digest replaces its tail, so that two long names stay different."""
    if name is None or len(name) <= limit:
        return name
    import zlib

    digest = zlib.crc32(name.encode("utf-8", "surrogatepass"))
    return f"{name[: limit - 12]}...{digest:08x}"


def record(kind: str, **fields: Any) -> bytes:
    """Write one of the rarer lines (`open`, `start`, `close`, …)."""
    present = {k: v for k, v in fields.items() if v is not None}
    return json.dumps({"t": kind, "v": VERSION, **present}, separators=(",", ":")).encode("ascii") + b"\n"


def row_of(line: Mapping[str, Any], process: str = "") -> Row:
    """Convert the object of a `call` line to a row.

    Raises:
        ValueError, TypeError, KeyError: the line is not valid.
    """
    line = renamed(line)
    usage = usage_of(line)
    duration_s = _number(line, "ms", 0.0) / 1e3
    if not 0 <= line["ts"] < _LATEST_S:
        raise ValueError(line["ts"])
    first_ms = line.get("first_ms")
    call = Call(
        id_of(line),
        _number(line, "ts"),
        duration_s,
        _text(line, "host"),
        _text(line, "api") or "unknown",
        request_model=_text(line, "request_model"),
        response_model=_text(line, "model"),
        usage=usage,
        certainty=_one_of(line, "certainty", ("exact", "estimated", "lower_bound", "unmeasured")),
        outcome=_one_of(line, "outcome", ("complete", "closed", "cancelled", "error", "abandoned")),
        status=_count(line, "status"),
        error=_text(line, "error"),
        service_tier=_text(line, "tier"),
        first_token_s=None if first_ms is None else _number(line, "first_ms") / 1e3,
        attempt=_count(line, "attempt") or 0,
        streamed=line.get("streamed") is True,
        tags=tuple(tag for tag in line.get("tags", ()) if isinstance(tag, str)),
        source=_one_of(line, "src", ("live", "replay", "mock")),
        processing=_text(line, "processing"),
        provider=_text(line, "provider"),
    )
    return Row(
        call,
        _text(line, "ctx"),
        _text(line, "phase"),
        _count(line, "try") or 1,
        _text(line, "worker"),
        line.get("late") is True,
        process,
        1,
        duration_s,
    )


def renamed(line: Mapping[str, Any]) -> Mapping[str, Any]:
    """Rename the fields of a line, or of a part of one, from version 1 to the present names."""
    if _NAMES_OF_V1.keys().isdisjoint(line):
        return line
    return {_NAMES_OF_V1.get(name, name): value for name, value in line.items()}


def id_of(line: Mapping[str, Any]) -> str:
    """Read a record's id.

    Raises:
        ValueError, KeyError: there is none.
    """
    if not isinstance(line["id"], str):
        raise ValueError(line["t"])
    return line["id"]


def usage_of(line: Mapping[str, Any]) -> Usage | None:
    """Read a line's counts; `None` if none is known.

    Raises:
        ValueError, TypeError: a count is not valid.
    """
    usage = Usage(*(_count(line, name) for name in Usage._fields))
    return usage if any(v is not None for v in usage) else None


def _text(line: Mapping[str, Any], key: str) -> str | None:
    value = line.get(key)
    if value is None or isinstance(value, str):
        return cut(value, _CONTEXT_LIMIT)
    raise ValueError(key)


def _number(line: Mapping[str, Any], key: str, default: float | None = None) -> float:
    value = line.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e15 < value < 1e15:
        raise ValueError(key)
    return float(value)


def _count(line: Mapping[str, Any], key: str) -> Any:
    value = line.get(key)
    if value is None:
        return None
    if key == "provider_cost":
        try:
            money = Decimal(value)
        except InvalidOperation:
            raise ValueError(key) from None
        if not money.is_finite() or not 0 <= money < 10**12:
            raise ValueError(key)
        return money
    if key == "audio_seconds":
        return _number(line, key)
    if key == "fees":
        return Fees({name: _count(value, name) for name in value})
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**18:
        raise ValueError(key)
    return value


def _one_of(line: Mapping[str, Any], key: str, allowed: tuple[Any, ...]) -> Any:
    value = line.get(key, allowed[0])
    if value not in allowed:
        raise ValueError(key)
    return value
