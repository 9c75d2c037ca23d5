"""Moderations: the answer has a model but no usage."""

from __future__ import annotations

from token_meter.providers.api import Api

MODERATIONS = Api("moderations", paths=("moderations",), is_metered=False, is_free=True)
