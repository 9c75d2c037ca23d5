"""Batches, tools, own keys and several providers: meter, ledger, report and the simulator's bill agree to the last digit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from token_meter import BudgetExceededError, meter
from token_meter.call import jobs
from token_meter.call.background import BACKGROUND
from token_meter.ledger import read_run
from token_meter.prices import PriceBook
from token_meter.report import summarise
from token_meter.simulator import Simulator

MODEL = "gpt-4o-mini"
TOOLS: Any = [{"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["vs"]}]
PROVIDERS = {"openai": "openai", "openrouter": "byok", "x-ai": "xai"}
"""Who is paid at which simulator, and how its answers state what they cost."""


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    BACKGROUND.clear()
    jobs.ENDED.clear()
    jobs.RESULTS.clear()


@pytest.fixture(scope="module")
def sims() -> Iterator[dict[str, Simulator]]:
    with ExitStack() as stack:
        yield {provider: stack.enter_context(Simulator()) for provider in PROVIDERS}


def client_of(sim: Simulator, style: str) -> Any:
    return sim.client(default_headers={"x-sim-usage": style})


def batch(client: Any, endpoint: str, bodies: list[Any], *, reads_file: bool) -> None:
    lines = [{"custom_id": str(n), "method": "POST", "url": endpoint, "body": body} for n, body in enumerate(bodies)]
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    file = client.files.create(file=("batch.jsonl", content), purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h")
    while made.status != "completed":
        made = client.batches.retrieve(made.id)
    if reads_file:
        client.files.content(made.output_file_id).read()


def test_f141_meter_ledger_report_and_bill_agree_to_the_last_digit(sims: dict[str, Simulator], tmp_path: Path) -> None:
    book = PriceBook(hosts={sim.url: provider for provider, sim in sims.items()})
    for sim in sims.values():
        sim.reset()
    with meter(prices=book, keep_calls=True, ledger=tmp_path) as cb, ExitStack() as stack:
        clients = {p: stack.enter_context(client_of(sims[p], style)) for p, style in PROVIDERS.items()}
        for client in clients.values():
            client.chat.completions.create(model="gpt-4.1-mini", messages=[{"role": "user", "content": "roses"}])
        openai = clients["openai"]
        openai.responses.create(model="gpt-5-nano", input="roses", tools=TOOLS)
        for _ in openai.responses.create(model="gpt-5", input="tulips", tools=TOOLS, stream=True):
            pass
        chats = [{"model": MODEL, "messages": [{"role": "user", "content": f"rose {n}"}]} for n in range(5)]
        batch(openai, "/v1/chat/completions", chats, reads_file=True)
        batch(openai, "/v1/responses", [{"model": "gpt-4.1-nano", "input": f"{n}"} for n in range(3)], reads_file=False)

    bill = sum((sim.bill().cost for sim in sims.values()), Decimal(0))
    calls = sum(sim.bill().calls for sim in sims.values())
    summary = summarise(read_run(tmp_path), book=book)
    assert (cb.cost, cb.is_complete, len(cb.calls)) == (bill, True, calls)
    assert (summary.totals.cost, summary.totals.open, summary.totals.calls) == (bill, 0, calls)
    assert sum(call.processing == "batch" for call in cb.calls) == 2


def test_a_batch_whose_results_say_what_it_cost_is_open_until_they_are_read(sims: dict[str, Simulator]) -> None:
    sim = sims["openai"]
    sim.reset()
    asked = {"custom_id": "a", "body": {"model": MODEL, "messages": [{"role": "user", "content": "a rose"}]}}
    quiet: Any = {"x-sim-usage": "none"}  # the batch itself names no usage, as before 2025-09
    with meter(prices=PriceBook(hosts={sim.url: "openai"})) as cb, sim.client() as client:
        file = client.files.create(file=("b.jsonl", json.dumps(asked).encode()), purpose="batch")
        made = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        while made.status != "completed":
            made = client.batches.retrieve(made.id, extra_headers=quiet)
        assert (cb.is_complete, cb.open_streams) == (False, 1)
        client.files.content(made.output_file_id or "").read()

    assert (cb.cost, cb.is_complete) == (sim.bill().cost, True)
    assert sim.bill().cost > 0


def test_a_limit_around_tools_holds_by_the_simulators_bill(sims: dict[str, Simulator]) -> None:
    sim = sims["openai"]
    sim.reset()
    limit = Decimal("0.05")
    with meter(prices=PriceBook(hosts={sim.url: "openai"}), max_cost=limit, warn_at=None) as cb, sim.client() as client:
        with pytest.raises(BudgetExceededError):
            for n in range(100):
                client.responses.create(model="gpt-5-nano", input=f"{n}", tools=TOOLS)
        dearest = max(entry.cost or Decimal(0) for entry in sim.bill().entries)

    assert cb.cost == sim.bill().cost
    assert sim.bill().cost <= limit + dearest
