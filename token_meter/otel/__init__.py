"""Metrics of all LLM calls of a process for OpenTelemetry, read from a meter's sums when they are collected.

Needs `opentelemetry-api` only (the extra `otel`); SDK, exporter and collector are the program's own.
"""

from __future__ import annotations

try:
    import opentelemetry.metrics as _metrics  # noqa: F401  # in front of our own modules, to say what is missing
except ModuleNotFoundError as exc:
    msg = "token_meter.otel needs opentelemetry-api; install it with: pip install 'token-meter[otel]'"
    raise ModuleNotFoundError(msg, name=exc.name) from exc

from token_meter.otel._names import NAMES
from token_meter.otel._observe import Observation, observe

__all__ = ["NAMES", "Observation", "observe"]
