"""Reads what Cohere billed: `billed_units`. Its `tokens` also count its own template, which costs nothing.

`cached_tokens` is a part of `tokens`, and may exceed what was billed: it is no part of the prompt that is shown.
Source: 23 recorded answers, the types of the SDK (cohere 7.3, 2026-11).
"""

from __future__ import annotations

from typing import Any

from token_meter._fees import Fees, fees_of
from token_meter.providers.plain_usage import plain_usage
from token_meter.types import Usage
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader

_TOKENS = frozenset({"input_tokens", "output_tokens", "text_tokens", "image_tokens"})


def usage_of(raw: Object, numbers: NumberReader) -> Usage:
    """Read the usage of v2, or the `meta` of v1."""
    billed = _billed(raw, numbers)
    prompt, completion = numbers.count(billed.get("input_tokens")), numbers.count(billed.get("output_tokens"))
    usage = plain_usage(prompt, completion, None if prompt is None or completion is None else prompt + completion)
    return usage if billed.keys() <= _TOKENS else usage._replace(fees=_others(billed, numbers))


def embedded(raw: Object, numbers: NumberReader) -> Usage:
    """Read the `meta` of embeddings; nothing is generated."""
    billed = _billed(raw, numbers)
    prompt, text, images = (numbers.count(billed.get(f"{kind}_tokens")) for kind in ("input", "text", "image"))
    if images:
        prompt = max(prompt or 0, (text or 0) + images)
    found = Usage(prompt, None if prompt is None else 0, prompt, input_image_tokens=images)
    return found._replace(fees=_others(billed, numbers))


def is_report(usage: Any) -> bool:
    """Whether this is a usage: `meta` may name nothing but the version."""
    return isinstance(usage, dict) and bool(_units(usage))


def _billed(raw: Object, numbers: NumberReader) -> Object:
    """What was billed; what was only counted is not that, and passes with a doubt."""
    numbers.doubts += not isinstance(raw.get("billed_units"), dict) or not raw["billed_units"]
    return _units(raw)


def _others(billed: Object, numbers: NumberReader) -> Fees | None:
    """Billed units that are no tokens: `search_units`, `classifications`, `images`, or one of tomorrow."""
    return fees_of({name: numbers.count(value) or 0 for name, value in billed.items() if name not in _TOKENS})


def _units(raw: Object) -> Object:
    """What was billed, else what was counted."""
    found = raw.get("billed_units") or raw.get("tokens")
    return found if isinstance(found, dict) else {}
