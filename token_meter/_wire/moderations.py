"""Moderations: a model and no usage."""

from __future__ import annotations

from token_meter._wire._flavour import Flavour

MODERATIONS = Flavour("moderations", paths=("moderations",), metered=False)
