"""Compaction of a conversation: usage as in responses, and no model."""

from __future__ import annotations

from token_meter._wire._flavour import Flavour

COMPACTION = Flavour("compaction", paths=("responses/compact",))
