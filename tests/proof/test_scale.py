"""Many of everything at once: nothing is lost and nothing is left. (The large numbers run in `make soak`.)"""

from __future__ import annotations

import gc
import threading
import weakref

from tests.proof.scale import TOKENS, abandoned_streams, concurrent_tasks, growth_mib, meters
from token_meter import Meter, meter
from token_meter.context.scope import SCOPES


def test_f59_five_hundred_tasks_at_once_read_right() -> None:
    """Each its own call, the outer meter all of them."""
    whole, inner = concurrent_tasks(500)

    assert whole.total_tokens == inner == 500 * TOKENS


def test_f06_a_thousand_abandoned_streams_all_end() -> None:
    """None is open, none is a silent zero."""
    cb = abandoned_streams(1_000)

    assert (cb.successful_requests, cb.open_streams) == (1_000, 0)
    assert cb.estimated_calls + cb.unmeasured_calls + cb.total_tokens // TOKENS >= 1_000


def test_f114_memory_does_not_grow_with_streams_and_meters() -> None:
    """The second half takes no more than the first; a leak of a record a call would be 10 MiB here."""
    assert min(growth_mib(abandoned_streams, 500) for _ in range(3)) < 2
    assert min(growth_mib(meters, 10_000) for _ in range(3)) < 2


def test_f114_closed_meters_are_not_remembered() -> None:
    """Of a thousand closed meters none lives on, and no thread was started."""
    before = threading.active_count()
    references: list[weakref.ref[Meter]] = []
    for _ in range(1_000):
        with meter() as cb:
            references.append(weakref.ref(cb))
    del cb
    gc.collect()

    assert not any(reference() for reference in references)
    assert threading.active_count() <= before
    assert len(SCOPES._known) <= 256
