"""Summaries for the report tests, made from a ledger that these lines write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from token_meter.ledger import Ledger, Row, read_run
from token_meter.report import Summary, Vcs, summarise
from token_meter.types import Call, Price, Usage

T0 = 1_795_169_700.0  # 2026-11-20T10:15:00Z
NOW = datetime(2026, 11, 20, 10, 16, tzinfo=UTC)
VCS = Vcs("9c1e0f2a4b6d8c1e0f2a4b6d8c1e0f2a4b6d8c1e", "feat/x", False, None, "github", None, 42)


class FlatBook:
    """A book by hand: $1 per million prompt tokens, $10 per million completion tokens; `acme-7b` has no price."""

    def __init__(self, factor: int = 1) -> None:
        self.factor = factor
        self.version = f"flat {factor}"

    def price_each(self, call: Call, usages: Iterable[Usage | None]) -> Iterator[Price]:
        """Price by the two rates above."""
        return (self.price(call._replace(usage=usage)) for usage in usages)

    def price(self, call: Call) -> Price:
        """Price one call."""
        if call.model == "acme-7b":
            return Price(None, None, "no price for acme-7b")
        if call.usage is None:
            return Price(None, None, "the answer has no usage")
        usage = call.usage
        cost = Decimal((usage.prompt_tokens or 0) + 10 * (usage.completion_tokens or 0)) / 1_000_000
        return Price(cost * self.factor, self.version)


def call(n: int = 0, model: str = "gpt-4o-mini", prompt: int = 1000, completion: int = 100, **changes: object) -> Call:
    """A finished call by the n-th id."""
    made = Call(
        f"00000000000000a1-{n:x}",
        T0 + n,
        0.5,
        "api.openai.com",
        "chat",
        request_model=model,
        response_model=model,
        usage=Usage(prompt, completion, prompt + completion, 0, None, None, 0),
        status=200,
        provider="openai",
    )
    return made._replace(**changes)  # type: ignore[arg-type]


def row(context: str | None = "tests/test_a.py::test_one", n: int = 0, calls: int = 1, **changes: object) -> Row:
    """One row of a ledger."""
    made = call(n, **changes)  # type: ignore[arg-type]
    return Row(made, context, "call", calls=calls, process="vm1:1", duration_s=made.duration_s * calls)


def summary_of(*rows: Row, **options: object) -> Summary:
    """Sum up by the flat book."""
    return summarise(rows, **{"book": FlatBook(), "now": NOW, "vcs": VCS, **options})  # type: ignore[arg-type]


def write_sample(data_dir: Path) -> Path:
    """Write the run that the documentation shows; give its directory."""
    ledger = Ledger.create(data_dir)
    n = 0

    def one(context: str, model: str, prompt: int, completion: int, **changes: object) -> None:
        nonlocal n
        made = call(n, model, prompt, completion, **changes)
        ledger.start(made.id, made.request_model, context=context)
        ledger.call(made, context=context, phase="call", attempt=1)
        n += 1

    for _ in range(6):
        one("tests/test_agent.py::test_plans_a_trip", "gpt-4o", 8200, 480)
    for _ in range(2):
        one("tests/test_rag.py::test_answers_with_sources", "gpt-4o-mini", 6100, 405, source="replay")
    one("tests/test_rag.py::test_refuses_off_topic", "gpt-4o-mini", 1900, 40, source="replay")
    one("tests/test_rag.py::test_own_model", "acme-7b", 700, 60, host="llm.acme.internal", provider=None)
    for _ in range(2):
        one("fixture:index[session]", "text-embedding-3-small", 44_000, 0, api="embeddings", source="replay")
    ledger.note("context", id="tests/test_agent.py::test_plans_a_trip", outcome="passed", line=12)
    ledger.close()
    return ledger.run_dir


def sample(tmp_path: Path) -> Summary:
    """Read the documentation's run back."""
    return summarise(read_run(write_sample(tmp_path)), now=NOW, vcs=VCS)
