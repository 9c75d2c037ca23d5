"""Compaction of a conversation: usage as in responses; the answer names no model."""

from __future__ import annotations

from token_meter.providers.api import Api
from token_meter.providers.usage import usage_of
from token_meter.wire.format import Format

COMPACTION = Api("compaction", Format(usage=usage_of), paths=("responses/compact",))
