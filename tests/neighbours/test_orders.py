"""F104: sentry, OpenTelemetry and vcrpy together with a meter, installed and removed in every order."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

import token_meter
from tests.conftest import sdk_http
from tests.contract import shapes
from tests.neighbours.children import in_child
from token_meter import meter

WHY = "a neighbour that `make compat` installs"
sentry_sdk = pytest.importorskip("sentry_sdk", reason=WHY)
otel = pytest.importorskip("opentelemetry.instrumentation.httpx", reason=WHY)
vcr = pytest.importorskip("vcr", reason=WHY)

Counts = dict[str, int]


class Metered:
    """Us."""

    def on(self, _: Path) -> None:
        self.block = meter()
        self.cb = self.block.__enter__()

    def off(self) -> None:
        self.block.__exit__(None, None, None)
        token_meter.uninstall()

    def seen(self) -> int:
        return self.cb.successful_requests


class _Nowhere(sentry_sdk.Transport):
    def capture_envelope(self, envelope: Any) -> None: ...


class Sentry:
    """Patches `Client.send` for good; there is no way to take it out."""

    def on(self, _: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it imports all that it could watch, langchain-community among them
            sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0, transport=_Nowhere)
        self.transaction = sentry_sdk.start_transaction(name="shop").__enter__()

    def seen(self) -> int:
        return sum(span.op == "http.client" for span in self.transaction._span_recorder.spans)


class OpenTelemetry:
    """Patches the transports, those of each library by an instrumentor of its own."""

    def __init__(self) -> None:
        names = ("HTTPXClientInstrumentor", "HTTPX2ClientInstrumentor")
        self.instrumentors = [getattr(otel, name)() for name in names if hasattr(otel, name)]

    def on(self, _: Path) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        for instrumentor in self.instrumentors:
            instrumentor.instrument(tracer_provider=provider)

    def off(self) -> None:
        for instrumentor in self.instrumentors:
            instrumentor.uninstrument()

    def seen(self) -> int:
        return len(self.exporter.get_finished_spans())


class Cassette:
    """Patches the connection pools, and answers from a file."""

    def on(self, tape: Path) -> None:
        self.manager = vcr.VCR(record_mode="none").use_cassette(str(tape), allow_playback_repeats=True)
        self.cassette = self.manager.__enter__()

    def off(self) -> None:
        self.manager.__exit__(None, None, None)

    def seen(self) -> int:
        return self.cassette.play_count


NEIGHBOURS: dict[str, Callable[[], Any]] = {
    "meter": Metered,
    "sentry": Sentry,
    "otel": OpenTelemetry,
    "vcr": Cassette,
}
REMOVABLE = ("meter", "otel", "vcr")
MANY_LIBRARIES = 1 if sdk_http is httpx else 2


def _clients(base_url: str) -> list[OpenAI]:
    """One for each HTTP library that the SDK takes, made before anything is installed."""
    options: dict[str, Any] = {"base_url": base_url, "api_key": "sim-neighbours", "max_retries": 0}
    return [
        OpenAI(http_client=library.Client(verify=False), **options)
        for library in {sdk_http, httpx if MANY_LIBRARIES == 2 else sdk_http}
    ]


def _walk(arrive: Sequence[str], leave: Sequence[str], base_url: str, tape: Path) -> tuple[int, dict[str, Counts]]:
    """Install in one order, remove in another, call after every step.

    Returns how often the server must have been asked, and what each neighbour saw after each step.
    """
    clients = _clients(base_url)
    with vcr.VCR(record_mode="all").use_cassette(str(tape)):
        clients[0].chat.completions.create(**shapes.CHAT)
    hits = 1
    here: dict[str, Any] = {}
    steps: dict[str, Counts] = {}
    for sign, name in [*(("+", name) for name in arrive), *(("-", name) for name in leave)]:
        if sign == "+":
            here[name] = NEIGHBOURS[name]()
            here[name].on(tape)
        else:
            here.pop(name).off()
        before = {other: it.seen() for other, it in here.items()}
        for client in clients:
            client.chat.completions.create(**shapes.CHAT)
        steps[sign + name] = {other: it.seen() - before[other] for other, it in here.items()}
        hits += 0 if "vcr" in here else len(clients)
    return hits, steps


def _without_meter(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name != "meter")


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """Before the forks, which would each import all that Sentry could watch."""
    from sentry_sdk.integrations import iter_default_integrations

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        list(iter_default_integrations(True))


@pytest.fixture(scope="module")
def alone() -> dict[tuple[Sequence[str], Sequence[str]], dict[str, Counts]]:
    """What the neighbours see among themselves, by their orders; kept, for it is asked for many times."""
    return {}


@pytest.mark.parametrize("arrive", list(itertools.permutations(NEIGHBOURS)), ids="+".join)
def test_a_meter_counts_each_call_once_and_changes_nothing_for_its_neighbours(simulator, tmp_path, alone, arrive):
    """In every order of coming and going. What one of them hides from another it hides without a meter too:
    under a cassette OpenTelemetry sees nothing, if the cassette came last.
    """
    at = list(itertools.permutations(NEIGHBOURS)).index(arrive)
    leaving = list(itertools.permutations(REMOVABLE))
    for number, leave in enumerate((leaving[at % 6], leaving[(at + at // 6 + 1) % 6])):  # each with eight arrivals
        order = (_without_meter(arrive), _without_meter(leave))
        tape = tmp_path / f"{number}.yaml"
        if order not in alone:
            alone[order] = in_child(lambda order=order, tape=tape: _walk(*order, simulator.base_url, tape))[1]
        simulator.reset()

        hits, steps = in_child(lambda leave=leave, tape=tape: _walk(arrive, leave, simulator.base_url, tape))

        assert simulator.bill("sim-neighbours").calls == hits
        metered = {step: seen.pop("meter") for step, seen in steps.items() if "meter" in seen}
        assert set(metered.values()) == {len({sdk_http, httpx})}
        assert {step: seen for step, seen in steps.items() if not step.endswith("meter")} == alone[order]


@pytest.mark.parametrize("arrive", [("meter", "otel"), ("otel", "meter")], ids="+".join)
async def test_async_calls_are_seen_once_beside_opentelemetry(simulator, arrive):
    """The async clients have patches of their own."""
    import asyncio

    from openai import AsyncOpenAI

    async def ask() -> None:
        async with AsyncOpenAI(base_url=simulator.base_url, api_key="sim-neighbours") as client:
            await asyncio.gather(*[client.chat.completions.create(**shapes.CHAT) for _ in range(3)])

    def act() -> Counts:
        here = {name: NEIGHBOURS[name]() for name in arrive}
        for it in here.values():
            it.on(Path())
        asyncio.run(ask())
        return {name: it.seen() for name, it in here.items()}

    # The child has no business with the loop that runs here.
    seen = await asyncio.to_thread(in_child, act)

    assert seen == {"meter": 3, "otel": 3}
