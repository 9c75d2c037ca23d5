"""Reads Anthropic's usage object. Its input tokens exclude cached ones; compactions and advisors are listed apart.

Source: the types of the SDK (anthropic 2.14, 2026-11) and 560 recorded answers.
"""

from __future__ import annotations

from typing import Any

from token_meter._fees import Fees, fees_of
from token_meter.providers.charge import charge_of
from token_meter.providers.fees import UNKNOWN_LIFE, usage_fees
from token_meter.providers.plain_usage import plain_usage
from token_meter.providers.spellings import CACHED, COMPLETION, PROMPT, REASONING, TOTAL, WRITTEN
from token_meter.types import Usage
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader
from token_meter.wire.safe_access import objects, text_of

_BEGUN = "has_only_begun"
_DIRECTIONS = ("input_tokens", "output_tokens")
_ITERATIONS = frozenset({"message", "fallback_message", "compaction", "advisor_message"})
_USUAL = frozenset({
    *_DIRECTIONS, "cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation", "service_tier",
    "server_tool_use", "output_tokens_details", "inference_geo", "speed", _BEGUN,
})  # fmt: skip
_READ = frozenset({*PROMPT, *COMPLETION, *TOTAL, *CACHED, *WRITTEN, *REASONING})
_LIVES = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
_SPLIT = frozenset(_LIVES)


def as_it_grows(event: Object, usage: Object) -> Object:
    """The usage in an event of a stream: the first event has an output that the last one corrects, as a rule."""
    if event.get("type") == "message_start":
        return {**usage, _BEGUN: True}
    is_last = event.get("type") == "message_delta" and usage.get("output_tokens") is not None
    return {**usage, _BEGUN: False} if is_last else usage


def usage_of(raw: Object, numbers: NumberReader) -> Usage:
    """Read the usage of a message; for a stream, the merged usage of its events."""
    if raw.get(_BEGUN) is True:  # and no event has said what came of it
        numbers.doubts += 1
    long, is_odd = _long_lived(raw, numbers) if "cache_creation" in raw else (None, False)
    usage = _tokens_of(raw, numbers, long)
    outs, tools = raw.get("output_tokens_details"), raw.get("server_tool_use")
    if not (outs or tools or is_odd) and raw.keys() <= _USUAL:
        return usage  # nothing beside the tokens: so are most
    searches, fees = usage_fees(raw, numbers)
    count = numbers.count
    if searches is None and isinstance(tools, dict):
        searches = count(tools.get("web_search_requests"))
    usage = usage._replace(
        reasoning_tokens=count(outs.get("thinking_tokens")) if isinstance(outs, dict) else None,
        web_searches=searches,
        provider_cost=charge_of(raw, numbers),
        fees=fees,
    )
    if left := _left_open(raw, numbers, is_odd=is_odd):
        usage += Usage(fees=Fees(dict.fromkeys(left)))
    beside: int | None = None
    for iteration in objects(raw.get("iterations")):
        kind = iteration.get("type")
        # The top level is the sum of the other iterations; these two kinds are billed on top of it.
        if kind == "compaction":
            usage += _tokens_of(iteration, numbers, _split_of(iteration, numbers)[1])
        elif kind == "advisor_message":  # tokens of another model, which the entry names
            said = _tokens_of(iteration, numbers, _split_of(iteration, numbers)[1])
            beside = (beside or 0) + (said.total_tokens or 0)
            usage += Usage(fees=_of_another_model(iteration, said))
    return usage if beside is None else usage._replace(tool_usage_tokens=beside)


def _left_open(raw: Object, numbers: NumberReader, *, is_odd: bool) -> list[str]:
    """What of a usage has no known rate, by name."""
    found = [UNKNOWN_LIFE] if is_odd else []
    if raw.keys() <= _USUAL:
        return found
    iterations = [
        each for each in objects(raw.get("iterations")) if any(numbers.count(each.get(n)) for n in _DIRECTIONS)
    ]
    served = [text_of(each.get("model")) for each in iterations if each.get("type") == "fallback_message"]
    tried = [text_of(each.get("model")) for each in iterations if each.get("type") == "message"]
    if served and any(model not in served for model in tried):
        found.append("tokens of another model")  # of the one that declined: the sum has both
    is_new = any(each.get("type") not in _ITERATIONS for each in iterations)
    if is_new or any(name.endswith("_tokens") and name not in _READ and numbers.count(raw[name]) for name in raw):
        found.append("tokens of no known kind")
    credit: Any = raw.get("fallback_credit")
    status = credit.get("status") if isinstance(credit, dict) else None
    if (status.get("type") if isinstance(status, dict) else status) == "redeemed":
        found.append("fallback credit")  # the retry is billed as if its model had had the conversation all along
    return found


def _of_another_model(iteration: Object, said: Usage) -> Fees | None:
    """Tokens that are billed at the rates of the model which an iteration names, by what they cost."""
    model = text_of(iteration.get("model"))
    prompt, completion, _, read, written, long = (count or 0 for count in said[:6])
    counts = {
        "input": prompt - read - written, "cached_input": read, "cache_write": written - long,
        "cache_write_long": long, "output": completion,
    }  # fmt: skip
    return fees_of({f"{unit}@{model}": max(0, count) for unit, count in counts.items()}) if model else None


def _tokens_of(raw: Object, numbers: NumberReader, written_long: int | None) -> Usage:
    """Read the counts that both the whole usage and each of its iterations have."""
    count = numbers.count
    prompt, completion = count(raw.get("input_tokens")), count(raw.get("output_tokens"))
    read, written = count(raw.get("cache_read_input_tokens")), count(raw.get("cache_creation_input_tokens"))
    if written is None and "cache_creation" in raw:
        written = _written(raw, numbers)
    if prompt is not None:
        prompt += (read or 0) + (written or 0)
    total = None if prompt is None or completion is None else prompt + completion
    return plain_usage(prompt, completion, total, read, written, written_long)


def _written(raw: Object, numbers: NumberReader) -> int | None:
    """Tokens written to the cache, for whatever time; some say only their split."""
    said = raw.get("cache_creation_input_tokens")
    split = raw.get("cache_creation")
    if said is not None or not isinstance(split, dict):
        return numbers.count(said)
    parts = [number for value in split.values() if (number := numbers.count(value)) is not None]
    return sum(parts) if parts else None


def _long_lived(raw: Object, numbers: NumberReader) -> tuple[int | None, bool]:
    """Tokens written to the cache for one hour, `None` when unknown; and whether the answer contradicts itself there.

    The last event of a stream repeats the sum of written tokens but not their split by time to live, so the split is
    that of the first event. If the sum has grown since (web search), the split is incomplete; if it has shrunk
    (compaction), the split belongs to another request. Where nothing lives for an hour there, nothing does here, unless
    the request asked for that (`spellings.asked_lives`).
    """
    split = raw.get("cache_creation")
    if not isinstance(split, dict):
        return None, False
    short, long = _split_of(raw, numbers)
    if not split.keys() <= _SPLIT and any(numbers.count(split[name]) for name in split.keys() - _SPLIT):
        return long, True  # a time to live that is not known here
    written = _written(raw, numbers)
    if written is None or (short or 0) + (long or 0) == written:
        return long, False
    messages = [
        _split_of(iteration, numbers)
        for iteration in objects(raw.get("iterations"))
        if iteration.get("type") in ("message", "fallback_message")
    ]
    if messages and sum((short or 0) + (long or 0) for short, long in messages) == written:
        return sum(long or 0 for _, long in messages), False
    is_odd = _BEGUN not in raw or (bool(long) and written > 0)
    return (0 if not written else long if long and long <= written else None), is_odd


def _split_of(raw: Object, numbers: NumberReader) -> tuple[int | None, int | None]:
    """Tokens written to the cache for five minutes, and for one hour."""
    split = raw.get("cache_creation")
    if not isinstance(split, dict):
        return None, None
    return numbers.count(split.get(_LIVES[0])), numbers.count(split.get(_LIVES[1]))
