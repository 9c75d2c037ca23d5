"""One small class for each peer: how it is switched on, and where its numbers stand. It judges and times nothing.

A class that needs what is not installed fails when it is made, not when this module is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

Reader = Callable[[], "Read"]

LIST_PRICES = {
    "gpt-4o-mini": ("0.15", "0.60"),
    "gpt-4o-mini-2024-07-18": ("0.15", "0.60"),
    "gpt-3.5-turbo-instruct": ("1.50", "2.00"),
    "text-embedding-3-small": ("0.02", "0"),
}


class Read(NamedTuple):
    """What a peer says after a block.

    Attributes:
        cost: US dollars; `None` when the peer has no number of its own.
        is_marked: the peer says itself that its number is not the whole truth.
    """

    prompt: int
    completion: int
    cost: float | None = None
    is_marked: bool = False


class Peer:
    """A way of reading calls. `block` switches it on, and off again so that bare calls can be timed in the same process."""

    title: str
    package: str
    imported: str

    def __init__(self, host: str) -> None:
        self.host = host

    def wrap(self, client: Any) -> Any:
        """The client that the user of this peer would hold."""
        return client

    @contextmanager
    def block(self) -> Iterator[Reader]:
        raise NotImplementedError
        yield


class TokenMeter(Peer):
    title, package, imported = "token_meter", "token-meter", "from token_meter import meter"

    def __init__(self, host: str) -> None:
        super().__init__(host)
        from token_meter.prices import PriceBook

        self.prices = PriceBook(hosts={host: "openai", "mock.invalid": "openai"})

    @contextmanager
    def block(self) -> Iterator[Reader]:
        from token_meter import meter

        with meter(prices=self.prices) as cb:
            yield lambda: Read(cb.prompt_tokens, cb.completion_tokens, cb.total_cost, not cb.is_complete)
        _ = cb.total_cost  # numbers are worked out when they are read; that is part of the price


class LangChainCallback(Peer):
    title, package = "LangChain get_openai_callback", "langchain-community"
    imported = "from langchain_community.callbacks import get_openai_callback"

    def __init__(self, host: str) -> None:
        super().__init__(host)
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from langchain_community.callbacks import get_openai_callback
        self.get_openai_callback = get_openai_callback

    @contextmanager
    def block(self) -> Iterator[Reader]:
        with self.get_openai_callback() as cb:
            yield lambda: Read(cb.prompt_tokens, cb.completion_tokens, cb.total_cost)


class Shekel(Peer):
    title, package, imported = "shekel", "shekel", "from shekel import budget"

    @contextmanager
    def block(self) -> Iterator[Reader]:
        from shekel import budget

        with budget() as b:
            yield lambda: self._read(b.summary_data()["calls"], b.spent)

    def _read(self, calls: list[Any], spent: float) -> Read:
        return Read(sum(c["input_tokens"] for c in calls), sum(c["output_tokens"] for c in calls), spent)


class BudgetGuard(Peer):
    title, package, imported = "budget-guard-llm", "budget-guard-llm", "from budget_guard import BudgetGuard"

    def __init__(self, host: str) -> None:
        super().__init__(host)
        from budget_guard import BudgetGuard as Guard
        from budget_guard import default_pricing

        # It drops the tokens of a model whose price it does not know, and it knows six. Ours are given to it, as its
        # documentation says.
        pricing = default_pricing()
        for model, (prompt, completion) in LIST_PRICES.items():
            pricing.set("openai", model, {"input": prompt, "output": completion})
        self.records: list[Any] = []
        # Its loop detection would stop the same question asked ten times, which is what a benchmark does.
        self.guard = Guard(
            loop_detection=None, on_unknown_model="ignore", pricing=pricing, on_record=self.records.append
        )

    def wrap(self, client: Any) -> Any:
        return self.guard.wrap(client)

    @contextmanager
    def block(self) -> Iterator[Reader]:
        self.records.clear()
        yield lambda: Read(
            sum(r.usage.prompt_tokens for r in self.records),
            sum(r.usage.output_tokens for r in self.records),
            float(sum(r.cost for r in self.records)),
        )


class Classes:
    """The SDK's classes as an instrumentation left them and as they were: swapped, to time both in turn."""

    def __init__(self) -> None:
        self._before = {cls: dict(vars(cls)) for cls in self._all()}
        self._changes: list[tuple[type, str, Any, Any]] = []

    def patched(self) -> None:
        """Note what has changed since, and put the SDK back."""
        for cls, before in self._before.items():
            for name in {*before, *vars(cls)}:
                was, now = before.get(name, self), vars(cls).get(name, self)
                if was is not now and name not in ("__dict__", "__weakref__", "_abc_impl"):
                    self._changes.append((cls, name, was, now))
        if not self._changes:
            msg = "the instrumentation has patched no class of the SDK"
            raise RuntimeError(msg)
        self.put(patched=False)

    def put(self, *, patched: bool) -> None:
        for cls, name, was, now in self._changes:
            value = now if patched else was
            if value is self:
                delattr(cls, name)
            else:
                setattr(cls, name, value)

    def _all(self) -> set[type]:
        # These are imported on first use, after which it would be too late to see how they were.
        from openai import OpenAI

        client = OpenAI(api_key="sk-none")
        _ = (client.chat, client.beta, client.responses, client.embeddings, client.completions, client.images)
        modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == "openai"]
        return {value for module in modules for value in vars(module).values() if isinstance(value, type)}


class Spans(Peer):
    """An instrumentation that writes OpenTelemetry spans; they are kept in memory and go nowhere."""

    prompt_keys: tuple[str, ...] = ("gen_ai.usage.input_tokens",)
    completion_keys: tuple[str, ...] = ("gen_ai.usage.output_tokens",)
    cost_key: str | None = None

    def __init__(self, host: str) -> None:
        super().__init__(host)
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.exporter = InMemorySpanExporter()
        self.processor = SimpleSpanProcessor(self.exporter)
        self.provider = TracerProvider()
        self.provider.add_span_processor(self.processor)
        self.classes = Classes()
        self.activate()
        self.classes.patched()

    def activate(self) -> None:
        raise NotImplementedError

    def settle(self) -> None:
        """Wait for spans that are on their way."""

    @contextmanager
    def block(self) -> Iterator[Reader]:
        self.exporter.clear()
        self.classes.put(patched=True)
        try:
            yield self._read
            self.settle()
        finally:
            self.classes.put(patched=False)
            self.exporter.clear()

    def _read(self) -> Read:
        import gc

        gc.collect()  # streams that were left end their spans in a finalizer
        self.settle()
        rows = [dict(span.attributes or {}) for span in self.exporter.get_finished_spans()]
        costs = [row[self.cost_key] for row in rows if self.cost_key in row]
        prompt, completion = (
            sum(self.tokens(row, keys) for row in rows) for keys in (self.prompt_keys, self.completion_keys)
        )
        return Read(prompt, completion, sum(costs) if costs else None)

    def tokens(self, row: dict[str, Any], keys: tuple[str, ...]) -> int:
        return next((int(row[key]) for key in keys if key in row), 0)


class OpenInference(Spans):
    title, package = "OpenInference", "openinference-instrumentation-openai"
    imported = "from openinference.instrumentation.openai import OpenAIInstrumentor"
    prompt_keys, completion_keys = ("llm.token_count.prompt",), ("llm.token_count.completion",)

    def activate(self) -> None:
        from openinference.instrumentation.openai import OpenAIInstrumentor

        OpenAIInstrumentor().instrument(tracer_provider=self.provider)


class Traceloop(Spans):
    title, package = "traceloop", "opentelemetry-instrumentation-openai"
    imported = "from opentelemetry.instrumentation.openai import OpenAIInstrumentor"
    prompt_keys = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
    completion_keys = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")

    def activate(self) -> None:
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor

        OpenAIInstrumentor().instrument(tracer_provider=self.provider)


class Logfire(Spans):
    title, package, imported = "Logfire", "logfire", "import logfire"
    cost_key = "operation.cost"

    def activate(self) -> None:
        import logfire

        logfire.configure(
            send_to_logfire=False, console=False, metrics=False, inspect_arguments=False,
            additional_span_processors=[self.processor],
        )  # fmt: skip
        logfire.instrument_openai()


class Langfuse(Spans):
    title, package, imported = "Langfuse", "langfuse", "from langfuse.openai import openai"

    def activate(self) -> None:
        from langfuse import Langfuse as Client

        # The port of discard: what does not go to the exporter goes nowhere.
        self.langfuse = Client(
            public_key="pk-bench", secret_key="sk-bench", base_url="http://127.0.0.1:9", span_exporter=self.exporter
        )
        from langfuse.openai import openai  # noqa: F401  # patches the SDK when it is imported

    def settle(self) -> None:
        self.langfuse.flush()

    def tokens(self, row: dict[str, Any], keys: tuple[str, ...]) -> int:
        import json

        usage = json.loads(row.get("langfuse.observation.usage_details", "{}"))
        names = (
            ("prompt_tokens", "input", "input_tokens")
            if keys is self.prompt_keys
            else ("completion_tokens", "output", "output_tokens")
        )
        return next((int(usage[name]) for name in names if usage.get(name) is not None), 0)


PEERS: dict[str, type[Peer]] = {
    cls.__name__.lower(): cls
    for cls in (TokenMeter, LangChainCallback, OpenInference, Traceloop, Logfire, Langfuse, Shekel, BudgetGuard)
}
