"""The hand-derived price cases, and how their raw bodies become calls. Knows no price."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from token_meter.types import Call, Usage

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("price_cases.json").read_text(encoding="utf-8"))
A_THURSDAY_NOON_S = datetime.fromisoformat("2026-11-19T12:00:00Z").timestamp()


def usage_of(case: dict[str, Any]) -> Usage | None:
    """Map the provider's own words to ours, by hand: totals include their parts."""
    raw = case["usage"]
    if raw is None:
        return None
    if raw.get("type") == "duration":
        return Usage(audio_seconds=raw["seconds"])
    if case["endpoint"] == "messages":
        written, read = raw["cache_creation_input_tokens"], raw["cache_read_input_tokens"]
        return Usage(
            prompt_tokens=raw["input_tokens"] + written + read,
            completion_tokens=raw["output_tokens"],
            cached_tokens=read,
            cache_write_tokens=written,
            cache_write_long_tokens=raw["cache_creation"]["ephemeral_1h_input_tokens"],
        )
    sent = raw.get("prompt_tokens_details") or raw.get("input_tokens_details") or {}
    made = raw.get("completion_tokens_details") or raw.get("output_tokens_details") or {}
    return Usage(
        prompt_tokens=raw.get("prompt_tokens", raw.get("input_tokens")),
        completion_tokens=raw.get("completion_tokens", raw.get("output_tokens")),
        total_tokens=raw.get("total_tokens"),
        cached_tokens=sent.get("cached_tokens"),
        cache_write_tokens=sent.get("cache_write_tokens"),
        cache_write_long_tokens=sent.get("cache_write_tokens_details", {}).get("ttl_12h_tokens"),
        reasoning_tokens=made.get("reasoning_tokens"),
        input_audio_tokens=sent.get("audio_tokens"),
        output_audio_tokens=made.get("audio_tokens"),
        input_image_tokens=sent.get("image_tokens"),
        output_image_tokens=made.get("image_tokens"),
        output_text_tokens=made.get("text_tokens"),
    )


def call_of(case: dict[str, Any]) -> Call:
    """The finished call of a case."""
    return a_call(
        case["model"],
        usage_of(case),
        api=case["endpoint"],
        base_url=case["base_url"],
        service_tier=case["service_tier"],
        processing=case.get("processing"),
        started_s=datetime.fromisoformat(case["at"]).timestamp() if "at" in case else A_THURSDAY_NOON_S,
    )


def a_call(model: str | None, usage: Usage | None, **fields: Any) -> Call:
    """A finished chat call at OpenAI on a Thursday noon, UTC, unless *fields* say otherwise."""
    known: dict[str, Any] = {
        "id": "call-1",
        "started_s": A_THURSDAY_NOON_S,
        "duration_s": 0.1,
        "host": None,
        "api": "chat",
        "base_url": "https://api.openai.com/v1",
    }
    return Call(**{**known, "response_model": model, "usage": usage, **fields})
