"""What OpenTelemetry is told: the sums of an OTLP receiver are the provider's own bill."""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider

from tests.otel.receiver import Receiver
from token_meter import meter
from token_meter.exceptions import ConfigError
from token_meter.otel import NAMES, _observe, observe
from token_meter.prices import PriceBook
from token_meter.simulator import TEST_KEY, Simulator

HEADERS = {"authorization": f"Bearer {TEST_KEY}"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def memory() -> tuple[MeterProvider, InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    return MeterProvider([reader], shutdown_on_exit=False), reader


def _provider(receiver: Receiver) -> MeterProvider:
    """A program's provider with two exporters: cumulative, and delta as some backends want it."""
    readers = [
        PeriodicExportingMetricReader(
            OTLPMetricExporter(f"{receiver.url}/{kind.name}", preferred_temporality={ObservableCounter: kind}),
            export_interval_millis=float("inf"),
        )
        for kind in (AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA)
    ]
    return MeterProvider(readers, shutdown_on_exit=False)


def _prices(simulator: Simulator) -> PriceBook:
    return PriceBook(hosts={simulator.url: "openai"})


def _ask(simulator: Simulator, model: str = "gpt-4o-mini", **options: str) -> int:
    headers = {**HEADERS, **{f"x-sim-{name}": value for name, value in options.items()}}
    body = {"model": model, "messages": [{"role": "user", "content": f"of {model}"}]}
    return httpx.post(f"{simulator.base_url}/chat/completions", json=body, headers=headers).status_code


def _metrics(reader: InMemoryMetricReader) -> dict[str, dict[frozenset[Any], Any]]:
    data = reader.get_metrics_data()
    return {
        metric.name: {
            frozenset((point.attributes or {}).items()): getattr(point, "value", None) or getattr(point, "sum", None)
            for point in metric.data.data_points
        }
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_receiver_knows_the_bill_over_threads_and_forks(simulator: Simulator, receiver: Receiver) -> None:
    """Cumulative and delta; what was counted before a fork is reported once, and the children report what is theirs."""
    provider = _provider(receiver)
    with observe(provider=provider, prices=_prices(simulator), tags=["part"]) as observed:
        with meter(tags={"part": "threads"}), ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: _ask(simulator, ("gpt-4o-mini", "gpt-4o")[n % 2]), range(12)))
        _ask(simulator, fail="500x1")
        provider.force_flush()
        for _ in range(2):
            _ask(simulator)  # not flushed before the fork
            child = os.fork()
            if not child:
                _ask(simulator, "o3-mini")
                provider.force_flush()
                _ask(simulator)
                provider.force_flush()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        _ask(simulator)
        provider.force_flush()
        bill = simulator.bill(None)
        assert observed.meter.successful_requests == 12 + 2 + 1

    assert bill.calls == 12 + 2 + 4 + 1
    for path in ("/CUMULATIVE", "/DELTA"):
        found = receiver.totals(path)
        assert found["token_meter.usage.input_tokens"] == bill.prompt_tokens
        assert found["token_meter.usage.output_tokens"] == bill.completion_tokens
        assert found.get("token_meter.usage.cache_read.input_tokens", 0) == (bill.usage.cached_tokens or 0)
        assert found["token_meter.cost"] == pytest.approx(float(bill.cost), rel=1e-12)
        by_status = receiver.points(path)["token_meter.calls"]
        assert sum(v for k, v in by_status.items() if ("token_meter.status", "ok") in k) == bill.calls
        assert sum(v for k, v in by_status.items() if ("token_meter.status", "failed") in k) == 1
        models = {dict(k)["gen_ai.request.model"] for k in receiver.points(path)["token_meter.cost"]}
        assert models == {"gpt-4o-mini", "gpt-4o", "o3-mini"}


def test_five_thousand_tenants_keep_their_model(memory: Any) -> None:
    """Beyond the bound a tenant reads (other); no SDK drops an attribute, and no token is lost."""
    provider, reader = memory
    with observe(provider=provider, tags=["tenant"]):
        for n in range(5_000):
            with meter(tags={"tenant": n}) as cb:
                cb.record(
                    ("gpt-4o", "gpt-4o-mini", "o3")[n % 3], provider="openai", prompt_tokens=3, completion_tokens=1
                )
        found = _metrics(reader)

    for name, points in found.items():
        assert len(points) < 2_000, name
        assert all("gen_ai.request.model" in dict(key) for key in points)
    tokens = found["token_meter.usage.input_tokens"]
    assert sum(tokens.values()) == 15_000
    assert sum(v for k, v in tokens.items() if ("gen_ai.request.model", "o3") in k) == 1_666 * 3
    assert {dict(k)["tenant"] for k in tokens} >= {"0", "700", "(other)"}


def test_models_without_bound_are_bounded() -> None:
    """A million made-up names are an attack."""
    with observe(limit=20) as observed:
        for n in range(100):
            observed.meter.record(f"m-{n}", provider="openai", prompt_tokens=1, completion_tokens=1)
        groups = observed.meter.groups()

    assert len(groups) == 20
    assert sum(sums.prompt_tokens for sums in groups.values()) == 100


@pytest.mark.parametrize("names", NAMES)
def test_every_convention_has_the_same_sums(memory: Any, names: str) -> None:
    """The names come from one table; tomorrow's counters say a modality."""
    provider, reader = memory
    with observe(provider=provider, names=names), meter() as cb:
        cb.record(
            "gpt-4o", provider="openai", usage={"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100}
        )
        found = _metrics(reader)
    table = NAMES[names]
    (attributes,) = found[table.tokens["prompt_tokens"]]

    assert dict(attributes)[table.provider] == "openai"
    assert dict(attributes).get("gen_ai.token.modality") == ("unknown" if names == "next" else None)
    assert [*found[table.tokens["prompt_tokens"]].values()] == [90]
    assert [*found[table.calls].values()] == [1]
    assert [*found[table.cost].values()] == [float(cb.cost)]


@pytest.mark.parametrize(
    ("opted_in", "first"),
    [
        ("", "token_meter.usage.input_tokens"),
        ("http, gen_ai_latest_experimental", "gen_ai.client.inference.usage.input_tokens"),
    ],
)
def test_the_environment_chooses_what_is_coming(
    memory: Any, monkeypatch: pytest.MonkeyPatch, opted_in: str, first: str
) -> None:
    """As for other instrumentations."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", opted_in)
    with observe(provider=memory[0]) as observed:
        assert observed.names.tokens["prompt_tokens"] == first


class _Callbacks(MeterProvider):
    """Instruments whose callbacks a test calls, as two exporters would at once."""

    def __init__(self) -> None:
        super().__init__(shutdown_on_exit=False)
        self.kept: dict[str, Any] = {}

    def get_meter(self, *_: Any, **__: Any) -> Any:
        return self

    def create_observable_counter(self, name: str, callbacks: Any, *_: Any) -> None:
        self.kept[name] = callbacks[0]


def test_a_slow_exporter_gives_no_old_sums_to_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Amid a collection a sum would fall, and its difference be negative."""
    provider = _Callbacks()

    def told(name: str) -> list[float]:
        return [point.value for point in provider.kept[f"token_meter.{name}"](None)]

    with observe(provider=provider) as observed, ThreadPoolExecutor(1) as slow:
        for n in range(2):
            observed.meter.record("gpt-4o", provider="openai", prompt_tokens=3, completion_tokens=1)
            if not n:
                old = observed.meter.groups()
        assert told("usage.input_tokens") == [6]
        monkeypatch.setattr(observed.meter, "groups", lambda: old)
        assert slow.submit(told, "usage.input_tokens").result() == [3]
        assert (told("usage.output_tokens"), told("calls")) == ([2], [2])
        assert slow.submit(told, "calls").result() == [1]


def test_unknown_is_no_zero(memory: Any) -> None:
    """A cost without a price is no point at all; the calls that lack one are."""
    provider, reader = memory
    with observe(provider=provider, prices=PriceBook()), meter(on_unpriced="ignore") as cb:
        cb.record("no-such-model", host="nowhere.example", prompt_tokens=5, completion_tokens=5)
        found = _metrics(reader)

    assert "token_meter.cost" not in found
    assert [*found["token_meter.unpriced_calls"].values()] == [1]


def test_histograms_and_spans_are_told_of_each_call(simulator: Simulator, memory: Any) -> None:
    """Tokens and cost are on the span that was current at departure, though the stream is read under another one."""
    provider, reader = memory
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("program")
    ask = [{"role": "user", "content": "hello"}]
    body = {"model": "gpt-4o-mini", "messages": ask, "stream": True, "stream_options": {"include_usage": True}}
    with observe(provider=provider, prices=_prices(simulator), histograms=True, spans=True), httpx.Client() as client:
        with tracer.start_as_current_span("request") as span:
            _ask(simulator)
            request = client.build_request("POST", f"{simulator.base_url}/chat/completions", json=body, headers=HEADERS)
            answer = client.send(request, stream=True)
            with tracer.start_as_current_span("reader") as reading:
                answer.read()
        found = _metrics(reader)
    bill = simulator.bill()
    attributes: dict[str, Any] = dict(span.attributes)  # type: ignore[attr-defined]  # of the SDK's span

    assert bill.calls == 2
    assert attributes["gen_ai.usage.input_tokens"] == bill.prompt_tokens
    assert attributes["gen_ai.usage.output_tokens"] == bill.completion_tokens
    assert attributes["gen_ai.usage.cost.amount"] == pytest.approx(float(bill.cost))
    assert (attributes["gen_ai.usage.cost.currency"], attributes["gen_ai.usage.cost.source"]) == ("USD", "local")
    assert dict(reading.attributes) == {}  # type: ignore[attr-defined]
    assert sum(found["gen_ai.client.token.usage"].values()) == bill.total_tokens
    assert "gen_ai.client.operation.duration" in found


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"names": "nxt"}, "did you mean 'next'"),
        ({"by": ["modell"]}, "by must be some of"),
        ({"tags": ["a=b"]}, "names of tags"),
        ({"limit": 3}, "at least 10"),
    ],
)
def test_a_wrong_argument_is_told(wrong: dict[str, Any], said: str) -> None:
    """Before anything is counted."""
    with pytest.raises(ConfigError, match=said):
        observe(**wrong)


def test_who_keeps_no_handle_is_told_all_the_same(memory: Any) -> None:
    """A server's hook says `observe()` and returns."""
    provider, reader = memory
    observe(provider=provider)
    gc.collect()
    with meter() as cb:
        cb.record("gpt-4o", provider="openai", prompt_tokens=1, completion_tokens=1)
    found = _metrics(reader)
    for observed in list(_observe._open):
        observed.stop()

    assert [*found["token_meter.calls"].values()] == [1]


def test_what_was_stopped_counts_no_more_and_keeps_its_sums(memory: Any) -> None:
    """A collector expects that a sum stays."""
    provider, reader = memory
    observed = observe(provider=provider)
    observed.meter.record("gpt-4o", provider="openai", prompt_tokens=1, completion_tokens=1)
    observed.stop()
    observed.stop()
    with meter() as cb:
        cb.record("gpt-4o", provider="openai", prompt_tokens=1, completion_tokens=1)

    assert [*_metrics(reader)["token_meter.calls"].values()] == [1]


def test_the_dashboard_asks_for_what_is_exported() -> None:
    """Each series of its queries is in a scrape of the exporter for Prometheus, with the labels that it is grouped by."""
    prometheus = pytest.importorskip("opentelemetry.exporter.prometheus")
    from prometheus_client import REGISTRY

    dashboard = json.loads((Path(__file__).parents[2] / "examples" / "grafana_dashboard.json").read_text())
    reader = prometheus.PrometheusMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    details = {"prompt_tokens_details": {"cached_tokens": 20}, "completion_tokens_details": {"reasoning_tokens": 4}}
    usage = {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100, **details}
    with observe(provider=provider), meter(on_unpriced="ignore") as cb:
        cb.record("gpt-4o", provider="openai", usage=usage)
        cb.record("no-such-model", provider="openai", prompt_tokens=5, completion_tokens=5, certainty="estimated")
        cb.record("gpt-4o", provider="openai", status=500)
        cb.record("gpt-4o", provider="openai", certainty="unmeasured")
        scraped = {sample.name: sample for metric in REGISTRY.collect() for sample in metric.samples}
    provider.shutdown()
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    series = {name for text in asked for name in re.findall(r"token_meter_\w+_total", text)}
    labels = {name for text in asked for name in re.findall(r"by \((\w+)\)|\{(\w+)=", text) for name in name if name}

    assert len(series) >= 8
    assert series <= scraped.keys()
    assert labels <= scraped["token_meter_calls_total"].labels.keys()


def test_nothing_of_the_sdk_is_imported() -> None:
    """The api is enough, and a plain meter needs not even that."""
    program = (
        "import sys, token_meter; from token_meter import meter\n"
        "assert not [m for m in sys.modules if m.startswith('opentelemetry')], 'plain'\n"
        "from token_meter.otel import observe\n"
        "observe()\n"
        "assert not [m for m in sys.modules if m.startswith('opentelemetry.sdk')], 'sdk'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
