"""Providers whose answers cannot be read yet. Their hosts are known, so that calls to them count as unmeasured."""

from __future__ import annotations

from token_meter.providers.provider import Provider

XAI = Provider("x-ai", hosts=("api.x.ai", "*.api.x.ai"), free=("tokenize-text", "files", "files/**"))

ROWS = (XAI,)
