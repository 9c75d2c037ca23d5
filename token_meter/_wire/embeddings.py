"""Embeddings: a prompt and no output."""

from __future__ import annotations

from token_meter._wire._flavour import Flavour
from token_meter._wire._json import Object
from token_meter._wire._numbers import Border
from token_meter._wire._usage import usage_of
from token_meter.types import Usage


def _usage(raw: Object, border: Border) -> Usage:
    usage = usage_of(raw, border)
    if raw.get("completion_tokens") is None:
        # Not a guess: the flavour generates nothing, and its usage has no such field.
        total = usage.prompt_tokens if raw.get("total_tokens") is None else usage.total_tokens
        return usage._replace(completion_tokens=0, total_tokens=total)
    return usage


EMBEDDINGS = Flavour("embeddings", paths=("embeddings",), usage=_usage, keys=("usage", "model"), glances=())
