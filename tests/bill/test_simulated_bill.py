"""Batches, tools, own keys and several providers: meter, ledger, report and the simulator's bill agree to the last digit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bill.test_budgets import CALLS
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


BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-haiku-4-5-20251001-v1:0/converse"
CONVERSED = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}}, "stopReason": "end_turn",
    "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100},
}  # fmt: skip
BY_HAND: dict[str, tuple[str, Any, Any, str]] = {
    **{name: CALLS[name] for name in ("searches of a message", "queries of Gemini", "requests of Perplexity")},
    # 1.10 and 5.50 a million in a region
    "Bedrock": (BEDROCK, {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}, CONVERSED, "0.00165"),
}
"""Providers that the simulator is not, and what they charge, worked out by a person."""
ROSE: Any = [{"role": "user", "content": "a rose"}]


def served(request: httpx.Request) -> httpx.Response:
    return next(httpx.Response(200, json=row[2]) for row in BY_HAND.values() if row[0] == str(request.url))


async def in_tasks(sims: dict[str, Simulator]) -> None:
    """Everything at once."""
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(served)) as others,
        sims["openai"].async_client() as openai,
    ):
        stream = await openai.responses.create(model="gpt-5-nano", input="tulips", tools=TOOLS, stream=True)
        chat = openai.chat.completions.create
        await asyncio.gather(
            *(others.post(url, json=asked) for url, asked, _, _ in BY_HAND.values()),
            *(chat(model=MODEL, messages=ROSE) for _ in range(3)),
            openai.responses.create(model="gpt-5", input="roses", tools=TOOLS),
            openai.embeddings.create(model="text-embedding-3-small", input="roses"),
            *(asyncio.to_thread(own_charge, sims, provider) for provider in ("openrouter", "x-ai")),
        )
        async for _ in stream:
            pass


def own_charge(sims: dict[str, Simulator], provider: str) -> None:
    with client_of(sims[provider], PROVIDERS[provider]) as client:
        client.chat.completions.create(model="gpt-4.1-mini", messages=ROSE)


def in_threads(sims: dict[str, Simulator]) -> None:
    """The same, by clients that wait."""
    with ThreadPoolExecutor(4) as pool, sims["openai"].client() as openai:
        with httpx.Client(transport=httpx.MockTransport(served)) as others:
            found = [pool.submit(others.post, url, json=asked) for url, asked, _, _ in BY_HAND.values()]
            found += [pool.submit(own_charge, sims, provider) for provider in ("openrouter", "x-ai")]
            bodies = [{"model": MODEL, "messages": ROSE} for _ in range(3)]
            found.append(pool.submit(batch, openai, "/v1/chat/completions", bodies, reads_file=True))
            found.append(pool.submit(openai.responses.create, model="gpt-5", input="roses", tools=TOOLS))
            for each in found:
                each.result()


def test_f141_tasks_and_threads_at_seven_providers_agree_to_the_last_digit(
    sims: dict[str, Simulator], tmp_path: Path
) -> None:
    """Chats, responses with tools, a batch and its file, own keys, native messages: one bill over all, cent by cent."""
    book = PriceBook(hosts={sim.url: provider for provider, sim in sims.items()})
    for sim in sims.values():
        sim.reset()
    with meter(prices=book, ledger=tmp_path) as cb:
        asyncio.run(in_tasks(sims))
        in_threads(sims)

    bills = [sim.bill() for sim in sims.values()]
    bill = sum((bill.cost for bill in bills), 2 * sum((Decimal(row[3]) for row in BY_HAND.values()), Decimal(0)))
    summary = summarise(read_run(tmp_path), book=book)
    assert (cb.cost, cb.is_complete, cb.successful_requests) == (bill, True, 20)
    assert (summary.totals.cost, summary.totals.open, summary.totals.calls) == (bill, 0, 20)
    assert sum(bill.calls for bill in bills) == 12
    assert sum((sums.cost for sums in cb.by_model.values()), Decimal(0)) == bill
    assert sum((row.totals.cost for row in summary.models), Decimal(0)) == bill


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
