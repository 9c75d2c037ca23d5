"""A failure of ours costs a count at most: never a call, never a second request, never another exception."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract import shapes
from tests.contract.conftest import client, make, prices  # noqa: F401  # fixtures
from token_meter import meter
from token_meter._meter import _ending, _flight, _hub, _meter, _places, _record
from token_meter._meter._hub import HUB
from token_meter._seams import _tap


class Injected(Exception):
    """What a bug of ours might raise."""


def _raise(*_: Any, **__: Any) -> Any:
    raise Injected


HOOKS = [
    (_hub.Hub, "_depart"),
    (_hub.Hub, "place_of"),
    (_places, "route_of"),
    (_hub, "Flight"),
    (_record, "read_body"),
    (_flight, "StreamReader"),
    (_flight.StreamReader, "feed"),
    (_flight.StreamReader, "finish"),
    (_ending, "call_of"),
    (_flight.Flight, "_deliver"),
    (_flight.Flight, "_end"),
    (_flight.Flight, "_is_repeat"),
    (_tap.Taps, "_decoder"),
    (_meter.Meter, "add"),
]


SHAPES = ("chat", "stream", "raw_stream", "streaming_response", "responses_stream")


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: f"{hook[0].__name__}.{hook[1]}")
async def test_a_failure_in_a_hook_changes_nothing_for_the_caller(client, simulator, monkeypatch, hook):  # noqa: F811
    """Same results, one request each on the server's bill."""
    names = [n for n in SHAPES if n not in shapes.NEEDS_RESPONSES or hasattr(client, "responses")]
    HUB._places.clear()
    with meter():
        monkeypatch.setattr(*hook, _raise)
        seen = [await shapes.MEASURED[name](client) for name in names]
    monkeypatch.undo()  # after the block: bodies may be read only when it closes
    failures = dict(HUB.internal_errors)
    HUB.internal_errors.clear()

    assert failures, "the hook was never reached: this test would prove nothing"
    assert all(len(result) >= 2 for result in seen)
    assert simulator.bill("sim-test").calls == simulator.bill("sim-test").requests == len(names)
