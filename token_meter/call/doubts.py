"""What an answer says and cannot be true, and what it leaves open. It knows no meter and no price."""

from __future__ import annotations

from typing import TYPE_CHECKING

from token_meter.wire.format import no_parts
from token_meter.wire.json_scan import fields
from token_meter.wire.numbers import name_of

if TYPE_CHECKING:
    from token_meter.call.ports import EndedAttempt
    from token_meter.providers import Api
    from token_meter.types import Usage

_USUAL_TIERS = frozenset({"auto", "default", "standard", "standard_only", "on_demand"})
"""Tiers that a request may name and that promise nothing but the standard price."""


def believed(usage: Usage, api: Api, *, is_whole: bool) -> Usage | None:
    """*usage* without a 0 that cannot be true: what was sent is never no prompt, what was shown never no completion.

    An estimate takes the place of such a 0, and takes it back where nothing was shown. `None` where no count is left.
    """
    prompt, completion = usage[:2]
    if usage.audio_seconds is not None:
        return usage
    # Of an api without rules only a prompt of 0 beside it makes a completion of 0 doubtful: it may have been silence.
    is_doubtful = prompt == 0 if api.rules is None else api.format.body_parts is not no_parts
    if completion == 0 and is_whole and is_doubtful:
        completion = None
    if prompt == 0:
        prompt = None
    if (prompt, completion) == usage[:2]:
        return usage
    kept = usage._replace(prompt_tokens=prompt, completion_tokens=completion, total_tokens=None)
    return kept if any(kept) else None


def served_tier(told: str | None, attempt: EndedAttempt) -> str | None:
    """The tier that an answer names, or what its request leaves open of that.

    `flex?` where `flex` was asked for and the answer does not say which tier served it. `window-8h` where a background
    call had so long: it is discounted, and its answer names the standard tier.
    """
    body = attempt.request_body()
    if body.rfind(b'"completion_window"') >= 0:
        options = (fields(body, ["background_options"]) or {}).get("background_options")
        window = name_of(options.get("completion_window")) if isinstance(options, dict) else None
        if window is not None and window != "soonest":
            return f"window-{window}"
    if told is not None or body.rfind(b'"service') < 0:
        return told
    tier = attempt.request_says().service_tier
    return None if tier is None or tier in _USUAL_TIERS else f"{tier}?"
