"""Decisions: usage as in responses, the body has a model and no id."""

from __future__ import annotations

from token_meter.providers.api import Api
from token_meter.providers.usage import usage_of
from token_meter.wire.format import Format

DECISIONS = Api("decisions", Format(usage=usage_of), paths=("decisions",))
