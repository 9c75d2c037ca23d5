"""Random programs under a limit on cost: whatever they call, the provider's bill stops at the limit and one call more.

They call from tasks and from threads, in one meter or in two, with and without hosted tools; they are served by tiers
and models that no list has, leave streams, lose answers and are cancelled. What has no price is billed here at the rate
of the model that was asked for.
"""

from __future__ import annotations

import asyncio
import gc
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from typing import Any, NamedTuple

import openai

from token_meter import BudgetExceededError, meter
from token_meter.prices import PriceBook
from token_meter.simulator import Simulator
from token_meter.simulator.rates import cost_of

MODEL = "gpt-5-nano"
ASKED = {"embeddings": "text-embedding-3-small", "images": "gpt-image-1"}
SHAPES = {
    "chat": 6, "stream": 5, "responses": 2, "responses_stream": 2, "tools": 3, "tools_stream": 2, "embeddings": 1,
    "images": 1,
}  # fmt: skip
LOOKS = (
    "", "", "tier=scale", "tier=priority", "tier=flex", "model=acme-1", "model=acme-1,tier=scale", "usage=none",
    "fail=500x1", "truncate=1", "cut=2", "error=1", "reasoning=30", "usage=none,model=acme-1",
)  # fmt: skip
_RETRIES = 1
LEAVING = ("read", "read", "read", "left", "closed", "dropped")


class Ask(NamedTuple):
    """One call; *turns* of the loop until its task is cancelled."""

    shape: str
    look: str
    tier: str | None
    leaving: str
    size: int
    turns: int | None


class Program(NamedTuple):
    """What a seed decides: limits from the outside in, and groups of calls that run at once."""

    limits: tuple[Decimal, ...]
    in_threads: bool
    groups: tuple[tuple[Ask, ...], ...]


def program_of(seed: int, calls: int = 60) -> Program:
    """The program of *seed*."""
    rng = random.Random(seed)

    def ask() -> Ask:
        return Ask(
            rng.choices([*SHAPES], [*SHAPES.values()])[0], rng.choice(LOOKS), rng.choice((None, None, "scale", "priority")),
            rng.choice(LEAVING), rng.choice((8, 60, 400)), rng.choice((None, None, None, rng.randrange(60))),
        )  # fmt: skip

    limits = [Decimal(rng.choice(("0.0002", "0.001", "0.01", "0.05"))) for _ in range(rng.choice((1, 1, 2)))]
    groups, left = [], calls
    while left > 0:
        groups.append(tuple(ask() for _ in range(min(left, rng.choice((1, 1, 3, 8))))))
        left -= len(groups[-1])
    return Program(tuple(limits), rng.random() < 0.3, tuple(groups))


def _request(ask: Ask) -> tuple[str, dict[str, Any]]:
    """The method of the SDK, and what it is given."""
    more: dict[str, Any] = {"extra_headers": {"x-sim": ask.look}} if ask.look else {}
    text = "a rose " * ask.size
    if ask.shape == "embeddings":
        return "embeddings", {"model": ASKED["embeddings"], "input": text, **more}
    if ask.shape == "images":
        return "images", {"model": ASKED["images"], "prompt": text, **more}
    more |= {"service_tier": ask.tier} if ask.tier else {}
    more |= {"stream": True} if "stream" in ask.shape else {}
    if ask.shape in ("chat", "stream"):
        messages = [{"role": "user", "content": text}]
        return "chat", {"model": MODEL, "messages": messages, "max_completion_tokens": 40, **more}
    more |= {"tools": [{"type": "web_search"}]} if "tools" in ask.shape else {}
    return "responses", {"model": MODEL, "input": text, "max_output_tokens": 40, **more}


def _method(client: Any, name: str) -> Any:
    """The SDK's method."""
    if name == "images":
        return client.images.generate
    return {"chat": client.chat.completions, "responses": client.responses}.get(name, client.embeddings).create


def _call(client: Any, ask: Ask) -> None:
    name, given = _request(ask)
    answer = _method(client, name)(**given)
    if "stream" not in ask.shape or ask.leaving == "dropped":
        return
    if ask.leaving != "closed":
        for n, _ in enumerate(answer):
            if ask.leaving == "left" and n == 1:
                break
    answer.close()


async def _acall(client: Any, ask: Ask) -> None:
    name, given = _request(ask)
    answer = await _method(client, name)(**given)
    if "stream" not in ask.shape or ask.leaving == "dropped":
        return
    if ask.leaving != "closed":
        n = 0
        async for _ in answer:
            if ask.leaving == "left" and n == 1:
                break
            n += 1
    await answer.close()


async def _cancelled(task: asyncio.Task[None], turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()


async def _in_tasks(simulator: Simulator, groups: tuple[tuple[Ask, ...], ...], ended: list[Any]) -> None:
    async with simulator.async_client(max_retries=_RETRIES) as client:
        for group in groups:
            tasks = [asyncio.create_task(_acall(client, ask)) for ask in group]
            stops = [_cancelled(t, a.turns) for t, a in zip(tasks, group, strict=True) if a.turns is not None]
            await asyncio.gather(*stops)
            ended += await asyncio.gather(*tasks, return_exceptions=True)


def _in_threads(simulator: Simulator, groups: tuple[tuple[Ask, ...], ...], ended: list[Any]) -> None:
    def one(ask: Ask) -> Any:
        try:
            return _call(client, ask)
        except Exception as error:  # told below, as gather does
            return error

    with simulator.client(max_retries=_RETRIES) as client, ThreadPoolExecutor(8) as pool:
        for group in groups:
            ended += pool.map(one, group)


def differences(seed: int, simulator: Simulator, calls: int = 60) -> list[str]:
    """Run the program of *seed*; say where a limit did not hold, or that it was never reached: it proves nothing then."""
    simulator.reset()
    program, ended = program_of(seed, calls), list[Any]()
    book = PriceBook(hosts={simulator.url: "openai"})
    with ExitStack() as stack:
        meters = [stack.enter_context(meter(prices=book, max_cost=x, warn_at=None)) for x in program.limits]
        if program.in_threads:
            _in_threads(simulator, program.groups, ended)
        else:
            asyncio.run(_in_tasks(simulator, program.groups, ended))
    gc.collect()
    entries = simulator.bill().entries
    costs = [
        cost_of(e.usage, ASKED.get(e.api, MODEL), None) or Decimal(0) if e.cost is None else e.cost for e in entries
    ]
    bill, dearest, found = sum(costs, Decimal(0)), max(costs, default=Decimal(0)), list[str]()
    odd = [e for e in ended if e is not None and not isinstance(e, (openai.APIError, BudgetExceededError))]
    found += [f"raised {error!r}" for error in odd if not isinstance(error, asyncio.CancelledError)]
    if bill > min(program.limits) + dearest * (1 + _RETRIES):  # which belong to one call
        found.append(f"billed {bill} under a limit of {min(program.limits)}; the dearest call was {dearest}")
    if not any(isinstance(error, BudgetExceededError) for error in ended):
        found.append("nothing was refused")
    for cb in meters:
        if cb.reserved != (0, 0, 0):
            found.append(f"still reserved: {cb.reserved}")
        if cb.cost > bill:
            found.append(f"metered {cb.cost}, billed {bill}")
    return found
