"""Months that are made up: calls in a ledger, what a provider billed for them, and causes planted between the two."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from token_meter.cli import main
from token_meter.ledger import Ledger
from token_meter.simulator import Simulator
from token_meter.simulator.bill import Books
from token_meter.types import Call, Usage

START = int(datetime(2026, 11, 2, tzinfo=UTC).timestamp())
DAY_S = 86_400
MODELS = ("gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06", "gpt-4.1-mini-2025-04-14", "text-embedding-3-small")
PAGE = '{"data": [{"start_time": 1793664000, "results": [{"amount": {"value": %s, "currency": "%s"}}]}]}'
"""A page of costs: amount and currency."""
CAUSES = {
    "lost": "never-seen",
    "timeout": "never-seen",
    "cut": "estimates",
    "other key": "not-ours",
    "midnight": "midnight",
    "fast clock": "midnight",
    "first midnight": "midnight",
    "last midnight": "midnight",
    "unpriced": "unpriced",
    "unpriced batch": "unpriced",
    "batch": None,
    "batch of another": "never-seen",
    "batch over midnight": "midnight",
    "batch read late": "midnight",
}
"""What can be planted, and the cause that is to be named; `None`: there is no difference."""


@dataclass
class World:
    """A ledger and the books of a provider; `causes` are those that were planted."""

    ledger: Ledger
    books: Books
    rng: random.Random
    causes: set[str] = field(default_factory=set)
    plants: list[str] = field(default_factory=list)
    number: int = 0

    def bill(self, usage: Usage, at_s: float, model: str, **more: Any) -> None:
        """An entry on the bill."""
        api = "embeddings" if "embedding" in model else "chat"
        what = {"key": "sim-test", "id": "x", "path": "/v1/x", "api": api, "status": 200, "key_id": "key_ours", **more}
        number = self.books.begin(usage=usage, model=model, **what)
        self.books.change(number, at_s=at_s, is_open=False)

    def record(self, usage: Usage | None, at_s: float, model: str, **more: Any) -> None:
        """A call in the ledger."""
        self.number += 1
        api = "embeddings" if "embedding" in model else "chat"
        known: dict[str, Any] = {"status": 200, "provider": "openai", "service_tier": "default", **more}
        duration_s = known.pop("duration", 1.5)
        call = Call(
            f"00000000000000b1-{self.number:x}", at_s, duration_s, "api.openai.com", api, model, model, usage, **known
        )
        self.ledger.call(call)

    def usage(self, model: str) -> Usage:
        sent = self.rng.randint(1, 9_000)
        made = 0 if "embedding" in model else self.rng.randint(1, 900)
        return Usage(sent, made, sent + made, self.rng.choice((0, 0, sent // 2)) if made else 0)

    def both(self, at_s: float, model: str) -> None:
        usage = self.usage(model)
        self.bill(usage, at_s + 1.5, model)
        self.record(usage, at_s, model)

    def plant(self, what: str, at_s: float, model: str) -> None:
        """One cause, at one place."""
        self.plants.append(what)
        usage = self.usage(model)
        midnight = at_s - at_s % DAY_S + DAY_S
        if what == "lost":
            self.bill(usage, at_s, model)
        elif what == "other key":
            self.bill(usage, at_s, model, key_id="key_other")
        elif what == "cut":
            self.bill(usage, at_s, model)
            less = usage._replace(completion_tokens=1, total_tokens=(usage.prompt_tokens or 0) + 1)
            self.record(less, at_s, model, certainty="lower_bound", outcome="closed")
        elif what == "timeout":
            self.bill(usage, at_s, model)
            self.record(None, at_s, model, status=None, certainty="unmeasured", outcome="error", error="ReadTimeout")
        elif what == "unpriced":
            model = "gpt-3.5-turbo-0125"
            usage = Usage(5_000, 500, 5_500, 0)
            tier = self.rng.choice(("priority", "flex"))
            self.bill(usage, at_s, model, tier=tier)
            self.record(usage, at_s, model, service_tier=tier)
        elif what.endswith("midnight") and "batch" not in what:
            midnight = {"first midnight": START, "last midnight": START + 6 * DAY_S}.get(what, midnight)
            self.bill(usage, midnight + 0.7, model)
            self.record(usage, midnight - 0.8, model)
            if what == "last midnight":
                self.causes.add("not-settled")
        elif what == "fast clock":  # ours is ahead of the provider's
            self.bill(usage, midnight - 0.7, model)
            self.record(usage, midnight + 0.8, model)
        else:
            self._batch(what, at_s, "gpt-3.5-turbo-instruct" if what == "unpriced batch" else model)
        if (cause := CAUSES[what]) is not None:
            self.causes.add(cause)

    def _batch(self, what: str, at_s: float, model: str) -> None:
        """Some lines on the bill, and one call here."""
        lines = [self.usage(model)._replace(cached_tokens=0) for _ in range(self.rng.randint(2, 5))]
        hour = 3_600
        for n, usage in enumerate(lines):
            later = what == "batch over midnight" and n != 0
            self.bill(usage, at_s + (20 * hour if later else n), model, batch=True)
        if what != "batch of another":
            late = 2 * DAY_S if what == "batch read late" else 0
            whole = sum(lines, Usage())
            self.record(
                whole, at_s + late, model, processing="batch", **({"duration": 20.0 * hour} if not late else {})
            )


def a_world(folder: Path, books: Books, seed: int, *, days: int = 6) -> World:
    """A few days of a few models, and at most one cause at each place."""
    rng = random.Random(seed)
    world = World(Ledger.create(folder), books, rng)
    for day in range(days):
        for model in MODELS:
            noon = START + day * DAY_S + 43_200
            for _ in range(rng.randint(0, 4)):
                world.both(noon + rng.randint(0, 3_600), model)
    # Two planted at one place, or on neighbouring days, could hide each other: each model has one of them.
    for model, what in zip(MODELS[:3], rng.sample(sorted(CAUSES), 3), strict=True):
        day = rng.randint(0, days - 3)
        for n in range(2):  # something is there on both days, so that its price is known
            world.both(START + (day + n) * DAY_S + 43_200, model)
        world.plant(what, START + day * DAY_S + 50_000, model)
    world.ledger.close()
    return world


def base_url(simulator: Simulator, **options: object) -> str:
    """The admin endpoints of a simulator with options."""
    return simulator.base_url_with(**options) if options else simulator.base_url


def reconciled(*words: object) -> Result:
    """`token-meter reconcile WORDS`, in this process."""
    return CliRunner().invoke(main, ["reconcile", *map(str, words)])
