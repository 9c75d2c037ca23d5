"""The service that examples talk to: a simulator on loopback, or with `--live` the real one. It knows no example.

A program is a function that takes a service, and ends with

    if __name__ == "__main__":
        run(main)

so that `python examples/dialogue.py` runs it with a simulator, and a test can run it with its own.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from token_meter import Meter
from token_meter.prices import PriceBook

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

    from token_meter.simulator import Simulator

KEY = "sim-example"
TEXT_MODEL = "gpt-3.5-turbo-instruct"
CHAT_MODEL = "gpt-4o-mini"


class Service:
    """Where an example sends its requests.

    Attributes:
        is_live: requests go to the real service, and cost money.
        text_model: the lesson's model for plain text; the real service took it down in September 2026.
        prices: the price book for a meter: the simulator's host is not OpenAI's, so a book must say who is paid there.
        pace: pauses last so many times as long as written; tests are in a hurry.
    """

    def __init__(self, simulator: Simulator | None = None, pace: float = 1.0) -> None:
        self._simulator = simulator
        self.is_live = simulator is None
        self.text_model = CHAT_MODEL if self.is_live else TEXT_MODEL
        self.prices = None if simulator is None else PriceBook(hosts={simulator.url: "by-model"})
        self.pace = pace

    def where(self, path: str = "/v1", **options: object) -> dict[str, str]:
        """`base_url` and `api_key` for a client; *options* are the simulator's, the real service has none of them."""
        if self._simulator is None:
            return {}
        base_url = self._simulator.base_url_with(**options) if options else self._simulator.base_url
        return {"base_url": base_url.removesuffix("/v1") + path, "api_key": KEY}

    def client(self, **options: Any) -> OpenAI:
        """A plain client; *options* go to its constructor."""
        from openai import OpenAI

        return OpenAI(**{**self.where(), **options})

    def async_client(self, **options: Any) -> AsyncOpenAI:
        """The same, async."""
        from openai import AsyncOpenAI

        return AsyncOpenAI(**{**self.where(), **options})

    async def pause(self, seconds: float) -> None:
        """Wait, as a program does that waits for something else."""
        await asyncio.sleep(seconds * self.pace)

    def print_bill(self, *meters: Meter) -> None:
        """Print what *meters* read together and, where the service tells, what it billed."""
        costs = [cb.cost for cb in meters if not cb.unpriced_calls]
        cost = sum(costs, Decimal(0)) if len(costs) == len(meters) else None
        print(f"\nmetered {amount(sum(cb.total_tokens for cb in meters), cost)}")
        if self._simulator is not None:
            bill = self._simulator.bill(None)
            print(f"billed  {amount(bill.total_tokens, bill.cost if cost is not None else None)}")


def amount(tokens: int, cost: Decimal | None) -> str:
    """Tokens and exact dollars, for people; an unknown cost is not zero."""
    return f"{tokens:,} tokens, " + ("cost unknown" if cost is None else f"${cost.normalize():f}")


def run(main: Callable[[Service], object], key: str = "OPENAI_API_KEY") -> None:
    """Run an example by itself: `python examples/dialogue.py [--live]`; *key* is what `--live` needs."""
    if sys.argv[1:] not in ([], ["--live"]):
        sys.exit(f"usage: python {os.path.relpath(sys.argv[0])} [--live]")
    is_live = sys.argv[1:] == ["--live"]
    if is_live and not os.environ.get(key):
        sys.exit(f"--live talks to the real service, costs money, and needs {key} in the environment")
    with nullcontext() if is_live else _simulator() as simulator:
        main(Service(simulator))


def _simulator() -> Simulator:
    try:
        from token_meter.simulator import Simulator
    except ImportError as error:
        sys.exit(f"{error}\nor run this with --live against the real service")
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"  # no proxy knows this machine
    return Simulator()
