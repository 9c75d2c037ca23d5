"""Random programs: what every meter reads is what the simulator billed for its block, call by call."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from tests.proof.machine import World, world_of
from tests.proof.programs import make_program
from tests.proof.soak import differences
from token_meter import Call, Usage, meter
from token_meter._meter.block import Meter
from token_meter.simulator import Simulator

BATCH = 10
BATCHES = 8
"""The seeds of `make test`; `make soak` makes new programs for as long as it is told."""


@pytest.fixture
def world(simulator: Simulator) -> Iterator[World]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # streams that a program drops leave sockets behind, as without a meter
        with world_of(simulator) as made:
            yield made


@pytest.mark.parametrize("batch", range(BATCHES))
@pytest.mark.filterwarnings("ignore")
def test_meters_read_what_the_server_billed_for_their_blocks(world: World, batch: int) -> None:
    """Sync, async, threads, nests, streams left and dropped, cancelled tasks, retries, errors, odd bytes."""
    found = [
        f"seed {seed}: {text}"
        for seed in range(batch * BATCH, (batch + 1) * BATCH)
        for text in differences(seed, world)
    ]

    assert found == [], "see one again: python -m tests.proof.soak --one SEED"


def test_a_seed_makes_the_same_program_every_time() -> None:
    """A difference can be looked at again."""
    assert make_program(77) == make_program(77)
    assert make_program(77) != make_program(78)


def _lose_every_third(self: Meter, call: object, *, _add=Meter.add, _seen=[0]) -> None:  # noqa: B006  # counts
    _seen[0] += 1
    if _seen[0] % 3:
        _add(self, call)


def _count_twice(self: Meter, call: object, *, _add=Meter.add) -> None:
    _add(self, call)
    _add(self, call)


def _misread(self: Meter, call: object, *, _add=Meter.add) -> None:
    if isinstance(call, Call) and call.usage is not None:
        call = call._replace(usage=call.usage + Usage(prompt_tokens=1))
    _add(self, call)


@pytest.mark.parametrize("broken", [_lose_every_third, _count_twice, _misread])
@pytest.mark.filterwarnings("ignore")
def test_a_meter_that_miscounts_is_found_out(world: World, monkeypatch: pytest.MonkeyPatch, broken: object) -> None:
    """The proof proves something: a broken heart differs from the bill."""
    monkeypatch.setattr(Meter, "add", broken)

    assert any(differences(seed, world) for seed in range(4))


def test_a_bill_is_held_per_key(simulator: Simulator) -> None:
    """The ground truth itself: a call's key finds its entries, and no others."""
    with simulator.client(api_key="sim-a") as a, simulator.client(api_key="sim-b") as b, meter():
        for client in (a, b, b):
            client.embeddings.create(model="text-embedding-3-small", input="a rose")

    assert [simulator.bill(key).calls for key in ("sim-a", "sim-b", "sim-c")] == [1, 2, 0]
