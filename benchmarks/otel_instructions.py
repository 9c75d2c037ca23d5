"""`python -m benchmarks.otel_instructions`: instructions that OpenTelemetry's counters add to a call beside a meter.

As `benchmarks.instructions`: they repeat where times do not. The requests are those of an SDK, which writes the model
behind the messages, and of programs that write it first; they are posted without an SDK, which adds what does not matter.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.calls import MESSAGES
from benchmarks.instructions import Transport, each, in_callgrind, started
from token_meter import meter

_SHORT, _LONG = 128, 384  # multiples of the number of bodies that are read together
_URL = "https://api.openai.com/v1/chat/completions"
_TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "What the weather of a place is like. " * 6,
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


def _body(**fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


_PAGE = [{"role": "user", "content": "How do roses grow? " * 800}]
BODIES = {
    "a short prompt": _body(messages=MESSAGES, model="gpt-4o-mini"),
    "15 KB of prompt": _body(messages=_PAGE, model="gpt-4o-mini"),
    "15 KB, the model first": _body(model="gpt-4o-mini", messages=_PAGE),
    "a short prompt, and a user": _body(messages=MESSAGES, model="gpt-4o-mini", temperature=0.2, user="u-12345"),
    "3 KB of tools": _body(messages=MESSAGES, model="gpt-4o-mini", tools=[_TOOL] * 8),
}


def child(folder: Path) -> None:
    """Count everything, in the hands of callgrind."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    from token_meter.otel import observe

    gc.disable()
    client = httpx2.Client(transport=Transport())
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)

    def work(opened: Callable[[], AbstractContextManager[object]], body: bytes, count: int) -> None:
        with ExitStack() as blocks:
            blocks.enter_context(opened())
            blocks.enter_context(meter(tags=["tenant=a"]))
            for _ in range(count):
                client.post(_URL, content=body)

    rows: dict[str, Callable[[], AbstractContextManager[object]]] = {
        "a meter": partial(meter, scope="process"),
        "counters": partial(observe, provider=provider),
        "by a tag": partial(observe, provider=provider, tags=["tenant"]),
    }
    for opened in rows.values():
        for body in BODIES.values():
            work(opened, body, _SHORT)
    started(folder)
    print(f"{'instructions of one call':<27}" + "".join(f"{name:>12}" for name in rows), flush=True)
    for kind, body in BODIES.items():
        least, *more = (each(partial(work, opened, body), _SHORT, _LONG, folder) for opened in rows.values())
        print(f"{kind:<27}{least:>12,}" + "".join(f"{found - least:>+12,}" for found in more), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]))
    else:
        in_callgrind("benchmarks.otel_instructions")
