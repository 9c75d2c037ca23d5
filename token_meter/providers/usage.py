"""One mapping from a usage object with OpenAI's names to our counts. Knows no body, no stream and no price."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple

from token_meter.providers.spellings import in_other_words
from token_meter.types import Usage
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import MAX_COUNT, NumberReader

_COUNTS: dict[str, dict[str, int | None]] = {
    "": {"prompt_tokens": 0, "input_tokens": 0, "completion_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    "in": {"cached_tokens": 3, "cache_write_tokens": 4, "audio_tokens": 7, "image_tokens": 10, "text_tokens": None},
    "out": {
        "reasoning_tokens": 6, "audio_tokens": 8, "image_tokens": 11, "text_tokens": None,
        "accepted_prediction_tokens": None, "rejected_prediction_tokens": None,
    },
}  # fmt: skip
"""OpenAI's own names, by where they stand, with the field of `Usage`; whatever else is there may be a dialect."""
_INS = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
_OUTS = ("completion_tokens_details", "output_tokens_details", "output_token_details")
_COMMON = frozenset((*_COUNTS[""], *_INS, *_OUTS))
_COMMON_INS = frozenset((*_COUNTS["in"], "cache_write_tokens_details", "cached_tokens_details"))
_COMMON_OUTS = frozenset(_COUNTS["out"])
_NOTHING: Object = {}
_new = tuple.__new__
_INT = {int}


class _Shape(NamedTuple):
    """Where the counts stand in the values of usages that have the same keys in the same order.

    Attributes:
        counts: picks the counts out of all values.
        usage: puts them, with a `None` behind them, in the order of `Usage`.
    """

    counts: Callable[[tuple[Any, ...]], tuple[Any, ...]]
    usage: Callable[[tuple[int | None, ...]], tuple[int | None, ...]]


_shapes: dict[tuple[str, ...], _Shape | None] = {}
_SHAPES_LIMIT, _KEYS_LIMIT = 256, 2000


def usage_of(raw: Object, numbers: NumberReader) -> Usage:
    """Read a usage object with OpenAI's names of either api, or a vendor's dialect of them."""
    get: Callable[[str], Any] = raw.get
    ins = get("prompt_tokens_details") or get("input_tokens_details") or get("input_token_details") or _NOTHING
    outs = get("completion_tokens_details") or get("output_tokens_details") or get("output_token_details") or _NOTHING
    if type(ins) is dict and type(outs) is dict:
        keys = (*raw, "", *ins, "", *outs)
        shape = _shapes[keys] if keys in _shapes else _learned(keys, raw, ins, outs)
        if shape is not None:
            counts = shape.counts((*raw.values(), *ins.values(), *outs.values()))
            # All at once: this runs for every answer. A bool is no int here, and a null has a way of its own.
            if _INT.issuperset(map(type, counts)) and min(counts) >= 0 and max(counts) <= MAX_COUNT:
                return _new(Usage, shape.usage((*counts, None)))
    return _one_by_one(raw, ins, outs, numbers)


def _learned(keys: tuple[str, ...], raw: Object, ins: Object, outs: Object) -> _Shape | None:
    """The shape of such usages; `None` for one with other names, without a total, or with two names for one count."""
    fields: dict[int, int] = {}
    names = [*(("", name) for name in raw), *(("in", name) for name in ins), *(("out", name) for name in outs)]
    is_plain = "total_tokens" in raw
    for at, (place, name) in enumerate(names):
        if not place and (name in _INS or name in _OUTS):
            continue
        is_plain = is_plain and name in _COUNTS[place]
        field = _COUNTS[place].get(name)
        if field is not None:
            is_plain = is_plain and field not in fields
            fields[field] = at
    shape = None
    if is_plain and len(fields) > 1:
        order = list(fields)
        places = [order.index(field) if field in fields else len(order) for field in range(len(Usage._fields))]
        shape = _Shape(itemgetter(*fields.values()), itemgetter(*places))
    if sum(map(len, keys)) <= _KEYS_LIMIT:
        if len(_shapes) >= _SHAPES_LIMIT:
            _shapes.clear()
        _shapes[keys] = shape
    return shape


def _one_by_one(raw: Object, ins: Any, outs: Any, numbers: NumberReader) -> Usage:
    """The same for a usage with gaps, with values that are no plain counts, or in other words."""
    get, count = raw.get, numbers.count
    if not raw.keys() <= _COMMON or not (_has_only(ins, _COMMON_INS) and _has_only(outs, _COMMON_OUTS)):
        return in_other_words(raw, numbers)
    if (prompt := get("prompt_tokens")) is None:
        prompt = get("input_tokens")
    if type(prompt) is not int or not 0 <= prompt <= MAX_COUNT:
        prompt = count(prompt)
    if (completion := get("completion_tokens")) is None:
        completion = get("output_tokens")
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
        if (cached := part("cached_tokens")) is not None:
            cached = count(cached)
        if (written := part("cache_write_tokens")) is not None:
            written = count(written)
        if (in_audio := part("audio_tokens")) is not None:
            in_audio = count(in_audio)
        if (in_image := part("image_tokens")) is not None:
            in_image = count(in_image)
        if isinstance(by_life := part("cache_write_tokens_details"), dict):
            written_long = count(by_life.get("ttl_12h_tokens"))
        if isinstance(by_kind := part("cached_tokens_details"), dict):
            cached_audio, cached_image = count(by_kind.get("audio_tokens")), count(by_kind.get("image_tokens"))
    if isinstance(outs, dict):
        part = outs.get
        if (reasoning := part("reasoning_tokens")) is not None:
            reasoning = count(reasoning)
        if (out_audio := part("audio_tokens")) is not None:
            out_audio = count(out_audio)
        if (out_image := part("image_tokens")) is not None:
            out_image = count(out_image)
    # fmt: off
    return Usage(
        prompt, completion, total, cached, written, written_long, reasoning, in_audio, out_audio, cached_audio,
        in_image, out_image, cached_image,
    )
    # fmt: on


def _has_only(details: object, names: frozenset[str]) -> bool:
    return not isinstance(details, dict) or details.keys() <= names
