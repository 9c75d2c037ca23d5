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
    return in_other_words(raw, numbers)


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
