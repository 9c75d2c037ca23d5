"""Random programs against the bill for as long as you like: `python -m tests.proof.soak --minutes 20`."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import time
import warnings

from tests.proof import limits
from tests.proof.audit import audit
from tests.proof.machine import World, world_of
from tests.proof.programs import make_program
from token_meter import uninstall
from token_meter.context.stack import CONTEXT_STACK
from token_meter.runtime.hub import HUB
from token_meter.simulator import Simulator

FRESH_CLIENTS_EVERY = 25
"""Streams that are not closed keep their connection, as they do without a meter: now and then the pools are emptied."""


def differences(seed: int, world: World) -> list[str]:
    """Run the program of *seed* on a fresh bill; say what the meters and the bill do not agree on."""
    simulator = world.simulator
    simulator.reset()
    HUB.internal_errors.clear()
    run = world.run(make_program(seed))
    found = audit(run, simulator)
    if CONTEXT_STACK.get():
        found.append(f"left open in this context: {CONTEXT_STACK.get()}")
    return found


def _memory_mib() -> float:
    """Resident memory, where the system tells it."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return 0.0


def soak(minutes: float, first_seed: int) -> int:
    """Run programs until the time is over; return how many of them differed from the bill."""
    warnings.simplefilter("ignore")
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # the server says each time that a client has left
    stop, began, seed, calls, bad = time.monotonic() + minutes * 60, time.monotonic(), first_seed, 0, 0
    told = began
    with Simulator() as simulator:
        while time.monotonic() < stop:
            with world_of(simulator) as world:
                for seed in range(seed, seed + FRESH_CLIENTS_EVERY):  # noqa: B020  # counts on where it stopped
                    found = differences(seed, world)
                    calls += len(simulator.bill(None).entries)
                    bad += bool(found)
                    for text in found:
                        print(f"seed {seed}: {text}", flush=True)
                seed += 1
            for text in limits.differences(seed, simulator):
                bad += 1
                print(f"limits, seed {seed}: {text}", flush=True)
            gc.collect()
            if time.monotonic() - told > 60:
                told = time.monotonic()
                print(
                    f"{seed - first_seed} programs, {calls} billed calls, {bad} differed, {_memory_mib():.0f} MiB",
                    flush=True,
                )
    report_slow = time.monotonic() - began
    print(
        f"{seed - first_seed} programs, {calls} billed calls, {bad} differed from the bill, {report_slow / 60:.1f} minutes"
    )
    uninstall()
    return bad


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1_000_000, help="of the first program")
    parser.add_argument("--one", type=int, help="run the program of this seed only, and show it")
    given = parser.parse_args()
    if given.one is not None:
        print(make_program(given.one))
        with Simulator() as simulator, world_of(simulator) as world:
            found = differences(given.one, world)
        print("\n".join(found) or "as billed")
        sys.exit(bool(found))
    sys.exit(bool(soak(given.minutes, given.seed)))


if __name__ == "__main__":
    main()
