"""Decisions: usage as in responses; the answer has a model but no id."""

from __future__ import annotations

from token_meter.providers.api import Api
from token_meter.providers.usage import usage_of
from token_meter.wire.format import Format

DECISIONS = Api("decisions", Format(usage=usage_of), paths=("decisions",))
