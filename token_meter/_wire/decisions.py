"""Decisions: usage as in responses, the body has a model and no id."""

from __future__ import annotations

from token_meter._wire._flavour import Flavour

DECISIONS = Flavour("decisions", paths=("decisions",))
