"""How long an event loop stands still in the first calls of a process, bare and under each kind of meter.

`python -m benchmarks.loop_lag` prints a table. A task beats as fast as the loop lets it. The longest time between two
beats is the lag; the processor time of the loop's thread in it is what held the loop, and others on the machine disturb
it least. The SDK has been used before, so that its own first call (0.2 s) hides nothing.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = 5
ROOT = Path(__file__).resolve().parents[1]
KINDS = {
    "bare": None,
    "meter()": {},
    "max_calls": {"max_calls": 99},
    "max_tokens": {"max_tokens": 99_999},
    "max_cost": {"max_cost": 1},
    "a handler": {"handlers": True},
    "a ledger": {"ledger": "data"},
    "all of it": {"max_cost": 1, "max_calls": 99, "handlers": True, "ledger": "data"},
    "run --max-cost": None,
    "pytest --meter-max-cost": None,
}
"""What each row passes to `meter()`; the last two are commands around the bare program."""

PROGRAM = """
import asyncio, json, os, sys, time
import httpx2, openai
from token_meter import meter

HEAD = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini"}
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
PIECE = {**HEAD, "choices": [{"index": 0, "delta": {"content": "a rose"}, "finish_reason": "stop"}]}

class Body(httpx2.AsyncByteStream):
    async def __aiter__(self):
        yield f"data: {json.dumps(PIECE)}\\n\\ndata: [DONE]\\n\\n".encode()

async def answer(request):
    if b'"stream":true' in request.content.replace(b" ", b""):
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Body())
    choices = [{"index": 0, "message": {"role": "assistant", "content": "a rose"}, "finish_reason": "stop"}]
    return httpx2.Response(200, json={**HEAD, "choices": choices, "usage": USAGE})

async def ask(client):
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Which rose? " * 20}]}
    await client.chat.completions.create(**asked)
    async for _ in await client.chat.completions.create(**asked, stream=True):
        pass

async def main(settings):
    lags, holds = [], []

    async def beat():
        while True:
            at, used = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0)
            lags.append(time.perf_counter() - at)
            holds.append(time.thread_time() - used)

    transport = httpx2.MockTransport(answer)
    async with openai.AsyncOpenAI(api_key="k", http_client=httpx2.AsyncClient(transport=transport)) as client:
        await ask(client.with_options(base_url="http://nobody.example/paths/of/no/api"))  # which no meter counts
        beating = asyncio.create_task(beat())
        await asyncio.sleep(0)
        if settings is None:
            await ask(client)
        else:
            if settings.pop("handlers", False):
                settings["handlers"] = [lambda call: None]
            with meter(**settings) as cb:
                await ask(client)
                cb.total_tokens if "max_calls" in settings else None
        beating.cancel()
    with open(os.environ["LAG"], "w") as file:
        json.dump([max(lags) * 1000, max(holds) * 1000], file)

def test_it():
    asyncio.run(main(json.loads(os.environ["SETTINGS"])))

if __name__ == "__main__":
    test_it()
"""


def stop_ms(kind: str) -> tuple[float, float]:
    """The longest stop of the loop in one run, and the longest time that its thread worked in one; in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "test_lag.py"
        program.write_text(PROGRAM)
        words = {
            "run --max-cost": ["-m", "token_meter", "run", "-q", "--max-cost", "5", "--", str(program)],
            "pytest --meter-max-cost": ["-m", "pytest", "-q", "-p", "token_meter.pytest_plugin", "--meter-max-cost=5", str(program)],
        }.get(kind, [str(program)])  # fmt: skip
        lag = Path(folder) / "lag"
        env = {
            **os.environ, "PYTHONPATH": str(ROOT), "LAG": str(lag), "SETTINGS": json.dumps(KINDS[kind]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }  # fmt: skip
        subprocess.run([sys.executable, *words], cwd=folder, env=env, check=True, capture_output=True)
        lagged, held = json.loads(lag.read_text())
        return lagged, held


def main() -> None:
    """Print the medians, the runs of all kinds in turn: a shared machine disturbs them alike."""
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for _ in range(RUNS):
        for kind, stops in found.items():
            stops.append(stop_ms(kind))
    print(f"{'longest stop of the loop, first calls':<40} {'held':>10} {'ours':>10} {'lag':>10}")
    bare = statistics.median(held for _, held in found["bare"])
    for kind, stops in found.items():
        lag, held = (statistics.median(each) for each in zip(*stops, strict=True))
        ours = "" if kind == "bare" else f"{held - bare:+.1f} ms"
        print(f"{kind:<40} {held:>7.1f} ms {ours:>10} {lag:>7.1f} ms")


if __name__ == "__main__":
    main()
