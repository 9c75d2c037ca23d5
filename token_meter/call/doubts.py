"""What an answer says and cannot be true, and what it leaves open. It knows no meter and no price."""

from __future__ import annotations

from typing import TYPE_CHECKING

from token_meter.wire import read_answer
from token_meter.wire.events import is_events, parse_block, plain
from token_meter.wire.format import no_finish, no_parts
from token_meter.wire.json_scan import fields, parse_object
from token_meter.wire.numbers import name_of

if TYPE_CHECKING:
    from token_meter.call.ports import EndedAttempt
    from token_meter.providers import Api
    from token_meter.types import Usage

_PIECES_LOOKED_AT = 4
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


def is_cut(attempt: EndedAttempt) -> bool:
    """Whether a stream that had no end stopped before its answer was finished: what it said was the usage so far.

    Some say their usage with every piece. Others send no end, but a report of its own, or why the answer ended.
    """
    reader, layout = attempt._reader, attempt.endpoint.route.api.format
    raw = end = plain((attempt._body or b"") if reader is None else reader._joined())
    if not is_events(raw):
        return False
    if layout.finish is no_finish:
        return bool(layout.terminal)
    for _ in range(_PIECES_LOOKED_AT):  # it stands near the end
        end, _, piece = end.rstrip(b"\n").rpartition(b"\n\n")
        event = parse_object(parse_block(piece)[1])
        if event is not None and (event.get("choices") == [] or layout.finish(event) is not None):
            return False
    answer = read_answer(layout, raw) if reader is None else reader.answer()
    return answer.finish is None


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
