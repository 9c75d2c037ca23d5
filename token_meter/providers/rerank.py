"""Rerankings: Cohere bills searches, which are no tokens, others the tokens of queries and documents."""

from __future__ import annotations

from typing import Any

from token_meter.providers.api import Api
from token_meter.types import Usage
from token_meter.wire.format import Format, UsageLocation
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader


def _locate_usage(answer: Object) -> UsageLocation:
    usage: Any = answer.get("usage")
    return UsageLocation(usage if isinstance(usage, dict) else None, answer)


def _usage(raw: Object, numbers: NumberReader) -> Usage:
    total = numbers.count(raw.get("total_tokens"))
    return Usage(total, None if total is None else 0, total)


RERANK = Api(
    "rerank",
    Format(usage=_usage, locate_usage=_locate_usage, keys=("usage", "model")),
    paths=("v1/rerank", "v2/rerank"),
    needs_sign=True,
)
