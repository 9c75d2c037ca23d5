"""What single calls leave in OpenTelemetry where a program asks for it: histograms, and numbers on its own spans."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from token_meter.otel._names import DURATION_BUCKETS, TOKEN_BUCKETS
from token_meter.types import Call

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, Meter

    from token_meter.otel._names import Names
    from token_meter.otel._sums import Key, ProcessMeter

_SPAN_TOKENS = {
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}

_ANY_CALL = Call("", 0.0, 0.0, "api.openai.com", "chat", "gpt-4o")


class CallSink:
    """A sink of a meter: it notes the span at the departure of a call, because an answer may be read under another."""

    def __init__(
        self,
        meter: ProcessMeter,
        names: Names,
        attributes_of: Callable[[Key], tuple[tuple[str, str], ...]],
        instruments: Meter,
        *,
        histograms: bool,
        spans: bool,
    ) -> None:
        self._meter = meter
        self._attributes_of = attributes_of
        self._spans = spans
        self._sums: weakref.WeakKeyDictionary[trace.Span, dict[str, Any]] = weakref.WeakKeyDictionary()
        self._histograms = _Histograms(names, instruments) if histograms else None
        if (loads := meter.book.slow_part(_ANY_CALL)) is not None:
            loads()  # now, not at the end of a first call, which may stand on an event loop

    def on_start(self, id: str, model: str | None) -> trace.Span | None:
        span = trace.get_current_span() if self._spans else None
        return span if span is not None and span.is_recording() else None

    def on_end(self, call: Call, token: trace.Span | None) -> None:
        if self._histograms is not None:
            attributes = dict(self._attributes_of(self._meter.key_of(call)))
            self._histograms.record(attributes, self._meter.priced(call) if self._histograms.has_cost else call)
        if token is not None and token.is_recording():
            self._write(token, self._meter.priced(call))

    def on_discard(self, id: str) -> None:
        """Nothing was noted but the span."""

    def on_refused(self, field: str) -> None:
        """A refused call used nothing."""

    def close(self) -> None:
        """There is nothing to close."""

    def _write(self, span: trace.Span, call: Call) -> None:
        """Add the call to what earlier calls left on this span."""
        sums = self._sums.setdefault(span, {})
        for field, name in _SPAN_TOKENS.items():
            if (count := getattr(call.tokens, field)) is not None:
                sums[name] = sums.get(name, 0) + count
        if call.cost is not None:
            name = "gen_ai.usage.cost.amount"
            sums[name] = sums.get(name, Decimal(0)) + call.cost
            is_theirs = call.price is not None and call.price.source == "provider"
            known = sums.get("gen_ai.usage.cost.source")
            source = "provider" if is_theirs and known in (None, "provider") else "local"
            sums |= {"gen_ai.usage.cost.currency": "USD", "gen_ai.usage.cost.source": source}
        span.set_attributes({name: float(v) if isinstance(v, Decimal) else v for name, v in sums.items()})


class _Histograms:
    def __init__(self, names: Names, instruments: Meter) -> None:
        self._duration = _histogram(instruments, names.duration, "s", DURATION_BUCKETS)
        self._is_one = names.token_histogram is not None
        one, two = names.token_histogram or names.input_histogram, names.output_histogram
        self._input = self._output = _histogram(instruments, one, "{token}", TOKEN_BUCKETS)
        if not self._is_one:
            self._output = _histogram(instruments, two, "{token}", TOKEN_BUCKETS)
        self._cost = None if names.cost_histogram is None else instruments.create_histogram(names.cost_histogram, "USD")

    @property
    def has_cost(self) -> bool:
        """Whether it records costs, and so needs a price."""
        return self._cost is not None

    def record(self, attributes: dict[str, Any], call: Call) -> None:
        usage = call.tokens
        for instrument, count, kind in (
            (self._input, usage.prompt_tokens, "input"), (self._output, usage.completion_tokens, "output"),
        ):  # fmt: skip
            if count is not None:
                instrument.record(count, {**attributes, "gen_ai.token.type": kind} if self._is_one else attributes)
        if self._cost is not None and call.cost is not None:
            self._cost.record(float(call.cost), attributes)
        if not call.is_success:
            attributes["error.type"] = call.error or (str(call.status) if call.status else "_OTHER")
        self._duration.record(call.duration_s, attributes)


def _histogram(instruments: Meter, name: str, unit: str, buckets: tuple[float, ...]) -> Histogram:
    return instruments.create_histogram(name, unit, explicit_bucket_boundaries_advisory=buckets)
