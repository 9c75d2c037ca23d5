"""What OpenTelemetry adds to a call: counters beside a plain meter, and histograms and spans beside the counters."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext

import httpx
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from benchmarks.calls import ANSWER
from benchmarks.pairs import each_us, pair
from token_meter import meter
from token_meter.otel import observe

URL = "https://api.openai.com/v1/chat/completions"


def _work(opened: Callable[[], AbstractContextManager[object]]) -> Callable[[int], None]:
    client = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200, content=ANSWER)))
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "How do roses grow? " * 40}]}

    def work(count: int) -> None:
        with opened():
            for _ in range(count):
                client.post(URL, json=body)

    return work


def main() -> None:
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("bench")

    def spanned() -> ExitStack:
        stack = ExitStack()
        stack.enter_context(tracer.start_as_current_span("x"))
        stack.enter_context(observe(provider=provider, spans=True))
        return stack

    rows: list[tuple[str, Callable[[], AbstractContextManager[object]], Callable[[], AbstractContextManager[object]]]] = [
        ("a meter, beside none", nullcontext, meter),
        ("counters, beside a meter", lambda: meter(scope="process"), lambda: observe(provider=provider)),
        ("counters by a tag, beside a meter", lambda: meter(scope="process"), lambda: observe(provider=provider, tags=["t"])),
        ("histograms, beside counters", lambda: observe(provider=provider), lambda: observe(provider=provider, histograms=True)),
        ("spans, beside counters", lambda: observe(provider=provider), spanned),
    ]  # fmt: skip
    for name, one, other in rows:
        found = pair(_work(one), _work(other), count=1_000, batches=20)
        print(f"{name:<36} {found.added_us:+7.1f} us a call")
    reader = InMemoryMetricReader()
    with observe(provider=MeterProvider([reader], shutdown_on_exit=False), tags=["tenant"]) as observed:
        for n in range(1_000):
            observed.meter.record(
                "gpt-4o", provider="openai", prompt_tokens=1, completion_tokens=1, tags=[f"tenant={n}"]
            )
        each = each_us(lambda count: [reader.get_metrics_data() for _ in range(count)] and None, count=3, batches=5)
        print(f"a collection of 900 attribute sets {each / 1e3:.0f} ms")


if __name__ == "__main__":
    main()
