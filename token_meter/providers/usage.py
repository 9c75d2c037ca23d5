"""One mapping from a usage object with OpenAI's names to our counts. Knows no body, no stream and no price."""

from __future__ import annotations

from token_meter.providers.spellings import in_other_words
from token_meter.types import Usage
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import MAX_COUNT, NumberReader

_COMMON = frozenset({
    *(f"{kind}_tokens" for kind in ("prompt", "completion", "input", "output", "total")),
    *(f"{kind}_tokens_details" for kind in ("prompt", "completion", "input", "output")),
    "input_token_details", "output_token_details",
})  # fmt: skip
_COMMON_INS = frozenset({
    "cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens", "text_tokens", "cache_write_tokens_details",
    "cached_tokens_details",
})  # fmt: skip
_COMMON_OUTS = frozenset({
    "reasoning_tokens", "audio_tokens", "image_tokens", "text_tokens", "accepted_prediction_tokens",
    "rejected_prediction_tokens",
})  # fmt: skip
"""OpenAI's own names; whatever stands beside them may be a vendor's dialect."""
_LIVES, _ZERO = frozenset({"ttl_30m_tokens", "ttl_12h_tokens"}), 0
"""Times to live. Most details are this very 0, which is neither a bool nor a float: what is another one is checked."""
_new = tuple.__new__


def usage_of(raw: Object, numbers: NumberReader) -> Usage:
    """Read a usage object with OpenAI's names of either api, or a vendor's dialect of them."""
    # Counts that are what they should be pass here without a call: this runs for every answer.
    get, count = raw.get, numbers.count
    ins = get("prompt_tokens_details") or get("input_tokens_details") or get("input_token_details")
    outs = get("completion_tokens_details") or get("output_tokens_details") or get("output_token_details")
    if not raw.keys() <= _COMMON or not (_has_only(ins, _COMMON_INS) and _has_only(outs, _COMMON_OUTS)):
        return in_other_words(raw, numbers)
    if (prompt := get("prompt_tokens")) is None:
        prompt = get("input_tokens")
    if prompt != get("input_tokens", prompt):  # a 0 may stand beside the count itself
        return in_other_words(raw, numbers)
    if type(prompt) is not int or not 0 <= prompt <= MAX_COUNT:
        prompt = count(prompt)
    if (completion := get("completion_tokens")) is None:
        completion = get("output_tokens")
    if completion != get("output_tokens", completion):
        return in_other_words(raw, numbers)
    if type(completion) is not int or not 0 <= completion <= MAX_COUNT:
        completion = count(completion)
    if (total := get("total_tokens")) is None:
        total = None if prompt is None or completion is None else prompt + completion
    elif type(total) is not int or not 0 <= total <= MAX_COUNT:
        total = count(total)
    cached = written = written_long = cached_audio = cached_image = None
    in_audio = in_image = reasoning = out_audio = out_image = None
    if isinstance(ins, dict):
        part = ins.get
        if (cached := part("cached_tokens")) is not None and cached is not _ZERO:
            cached = count(cached)
        if (written := part("cache_write_tokens")) is not None and written is not _ZERO:
            written = count(written)
        if (in_audio := part("audio_tokens")) is not None and in_audio is not _ZERO:
            in_audio = count(in_audio)
        if (in_image := part("image_tokens")) is not None and in_image is not _ZERO:
            in_image = count(in_image)
        if isinstance(by_life := part("cache_write_tokens_details"), dict):
            if not by_life.keys() <= _LIVES:
                return in_other_words(raw, numbers)
            written_long = count(by_life.get("ttl_12h_tokens"))
        if isinstance(by_kind := part("cached_tokens_details"), dict):
            cached_audio, cached_image = count(by_kind.get("audio_tokens")), count(by_kind.get("image_tokens"))
    if isinstance(outs, dict):
        part = outs.get
        if (reasoning := part("reasoning_tokens")) is not None and reasoning is not _ZERO:
            reasoning = count(reasoning)
        if (out_audio := part("audio_tokens")) is not None and out_audio is not _ZERO:
            out_audio = count(out_audio)
        if (out_image := part("image_tokens")) is not None and out_image is not _ZERO:
            out_image = count(out_image)
    # NamedTuple's own constructor takes twice as long.
    return _new(Usage, (
        prompt, completion, total, cached, written, written_long, reasoning, in_audio, out_audio, cached_audio,
        in_image, out_image, cached_image, None, None, None, None, None, None,
    ))  # fmt: skip


def _has_only(details: object, names: frozenset[str]) -> bool:
    return not details or (isinstance(details, dict) and details.keys() <= names)
