"""A failure of ours costs a count at most: never a call, never a second request, never another exception."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract import shapes
from tests.contract.conftest import client, make, prices  # noqa: F401  # fixtures
from token_meter import meter
from token_meter._meter import block
from token_meter.call import attempt, lifecycle, record
from token_meter.context import endpoint
from token_meter.runtime import hub
from token_meter.runtime.hub import HUB
from token_meter.transports import httpx_body as _tap
from token_meter.transports.httpx import HttpxRequest


class Injected(Exception):
    """What a bug of ours might raise."""


def _raise(*_: Any, **__: Any) -> Any:
    raise Injected


HOOKS = [
    (hub.Hub, "_on_request"),
    (HttpxRequest, "body"),
    (record, "source_of"),
    (endpoint, "route_of"),
    (hub, "Attempt"),
    (record, "read_body"),
    (attempt, "StreamReader"),
    (attempt.StreamReader, "feed"),
    (attempt.StreamReader, "finish"),
    (lifecycle, "call_of"),
    (attempt.Attempt, "_deliver"),
    (attempt.Attempt, "_end"),
    (attempt.Attempt, "_is_repeat"),
    (_tap.Taps, "_decoder"),
    (block.Meter, "add"),
]


SHAPES = ("chat", "stream", "raw_stream", "streaming_response", "responses_stream")


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: f"{hook[0].__name__}.{hook[1]}")
async def test_a_failure_in_a_hook_changes_nothing_for_the_caller(client, simulator, monkeypatch, hook):  # noqa: F811
    """Same results, one request each on the server's bill."""
    names = [n for n in SHAPES if n not in shapes.NEEDS_RESPONSES or hasattr(client, "responses")]
    endpoint.ENDPOINTS.clear()
    with meter(keep_calls=True):
        monkeypatch.setattr(*hook, _raise)
        seen = [await shapes.MEASURED[name](client) for name in names]
    monkeypatch.undo()  # after the block: bodies may be read only when it closes
    failures = dict(HUB.internal_errors)
    HUB.internal_errors.clear()

    assert failures, "the hook was never reached: this test would prove nothing"
    assert all(len(result) >= 2 for result in seen)
    assert simulator.bill("sim-test").calls == simulator.bill("sim-test").requests == len(names)
