"""F169: what takes its time is loaded and counted in a thread of ours, and the caller's event loop goes on.

Each row runs in a process in which nothing of that has been loaded yet: the forks of one that has imported the SDK. It
notes each import of a price list or of tiktoken, and each vocabulary that is opened, and whether the thread of the event
loop did it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

import openai
import pytest

from token_meter import _aside

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import json, os, sys, threading, traceback
import asyncio, openai, trio
from tests.sdk_http import sdk_http
from token_meter import meter

LOOP, heavy, told = threading.get_ident(), set(), []

def watch(event, args):
    if event == "import" and str(args[0]).partition(".")[0] in ("genai_prices", "tiktoken"):
        heavy.add((str(args[0]).partition(".")[0], threading.get_ident() == LOOP))
    elif event == "open" and str(args[0]).endswith("_base.bin"):
        heavy.add(("vocabulary", threading.get_ident() == LOOP))

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
HEAD = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini"}

class Body(sdk_http.AsyncByteStream):
    async def __aiter__(self):
        piece = {**HEAD, "choices": [{"index": 0, "delta": {"content": "a rose"}, "finish_reason": "stop"}]}
        yield f"data: {json.dumps(piece)}\\n\\ndata: [DONE]\\n\\n".encode()

def answer(request):
    if b'"stream":true' in request.content.replace(b" ", b""):
        return sdk_http.Response(200, headers={"content-type": "text/event-stream"}, stream=Body())
    message = {"role": "assistant", "content": "a rose"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return sdk_http.Response(200, json={**HEAD, "choices": choices, "usage": USAGE})

async def ask(streamed):
    http = sdk_http.AsyncClient(transport=sdk_http.MockTransport(answer))
    client = openai.AsyncOpenAI(api_key="sk-x", http_client=http, max_retries=0)
    found = await client.chat.completions.create(
        model="gpt-4o-mini", max_tokens=20, messages=[{"role": "user", "content": "Which rose? " * 9}], stream=streamed
    )
    if streamed:
        async for _ in found:
            pass

async def main(settings, streamed):
    if settings is not None and "handlers" in settings:
        settings["handlers"] = [lambda call: told.append((call.tokens.total_tokens > 0, call.price.cost is not None))]
    if settings is None:
        await ask(streamed)
        return
    with meter(keep_calls=True, **settings) as cb:
        await ask(streamed)
    told.append(len(cb._inbox) + len(cb._guesses))

def run(loop, settings, streamed):
    sys.addaudithook(watch)
    (asyncio if loop == "asyncio" else trio).run(*(
        [main(settings, streamed)] if loop == "asyncio" else [main, settings, streamed]
    ))
    on_loop = sorted(name for name, is_on in heavy if is_on)
    print(json.dumps({"heavy": sorted(name for name, _ in heavy), "on loop": on_loop, "told": told}), flush=True)

for n, row in enumerate(json.loads(sys.argv[1])):
    if not os.fork():
        failed = True
        try:
            os.mkdir(f"row{n}")
            os.chdir(f"row{n}")
            run(*row)
            failed = False
        except BaseException:
            traceback.print_exc()
        os._exit(failed)
    assert os.wait()[1] == 0
"""


class Row(NamedTuple):
    """A meter, how its call is answered, and what that must load."""

    settings: dict[str, Any]
    streamed: bool
    heavy: list[str]


PRICES, WORDS = "genai_prices", "vocabulary"
ROWS = {
    "nobody reads": Row({}, False, []),
    "nobody reads a stream": Row({}, True, []),
    "max_calls": Row({"max_calls": 3}, False, []),
    "a ledger": Row({"ledger": "data"}, False, []),
    "a ledger, a silent stream": Row({"ledger": "data"}, True, [WORDS]),
    "handlers": Row({"handlers": True}, False, [PRICES]),
    "handlers, a silent stream": Row({"handlers": True}, True, [PRICES, WORDS]),
    "max_tokens": Row({"max_tokens": 9999}, False, [WORDS]),
    "max_cost": Row({"max_cost": 1}, False, [PRICES, WORDS]),
    "max_cost, a silent stream": Row({"max_cost": 1}, True, [PRICES, WORDS]),
    "all": Row({"max_cost": 1, "handlers": True, "ledger": "data"}, True, [PRICES, WORDS]),
}


CASES = [*((name, "asyncio") for name in ROWS), ("all", "trio")]
if openai.__version__.startswith("1.58."):
    CASES.pop()  # this SDK runs under asyncio alone
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

Case = tuple[str, dict[str, Any] | None, bool]


def _run(place: Path, cases: list[Case], *before: str) -> list[dict[str, Any]]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *before, "-c", PROGRAM, json.dumps(cases)],
        cwd=place, env=env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == len(cases)
    return said


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, Any]]:
    """What each row notes, on each loop."""
    cases: list[Case] = [(loop, ROWS[name].settings, ROWS[name].streamed) for name, loop in CASES]
    return dict(zip(CASES, _run(tmp_path_factory.mktemp("rows"), cases), strict=True))


@needs_fork
@pytest.mark.parametrize(("name", "loop"), CASES)
def test_f169_what_takes_its_time_is_loaded_beside_the_event_loop(said, name, loop):
    """And only what is needed; tiktoken's engine, which holds all threads while it loads, never is."""
    row, found = ROWS[name], said[name, loop]

    assert (found["heavy"], found["on loop"]) == (row.heavy, [])
    if "handlers" in row.settings:
        assert found["told"][0] == [True, True]


@needs_fork
@pytest.mark.parametrize("limits", [[], ["--max-cost", "5"], ["--max-tokens", "9999"]], ids=["", "cost", "tokens"])
def test_f169_nor_under_token_meter_run(tmp_path, limits):
    """Its meters are open before the program begins."""
    before = ["-m", "token_meter", "run", "--data-dir", "data", *limits, "--", sys.executable]
    found = _run(tmp_path, [("asyncio", None, False), ("asyncio", None, True)], *before)

    assert [one["on loop"] for one in found] == [[], []]
    assert not [one for one in found if "tiktoken" in one["heavy"]]


UNDER_PYTEST = (
    PROGRAM.partition("\ndef run(")[0]
    + """

def test_it():
    sys.addaudithook(watch)
    asyncio.run(main(None, True))
    with open("said.json", "w") as file:
        json.dump({"heavy": sorted(n for n, _ in heavy), "on loop": sorted(n for n, is_on in heavy if is_on)}, file)
"""
)


@pytest.mark.parametrize(
    "options", [["--meter"], ["--meter-max-cost=5", "--meter-max-tokens=9999"]], ids=["", "limits"]
)
def test_f169_nor_under_the_pytest_plugin(tmp_path, options):
    """A stream without usage in a test, whose record the plugin writes down."""
    (tmp_path / "test_theirs.py").write_text(UNDER_PYTEST)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "token_meter.pytest_plugin", *options]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    said = json.loads((tmp_path / "said.json").read_text())

    assert done.returncode == 0, done.stdout
    assert (said["on loop"], "vocabulary" in said["heavy"]) == ([], True)


def test_f169_our_threads_delay_no_exit():
    """One that works for an hour ends with the program."""
    program = "import threading\nfrom token_meter._aside import begin\nbegin(lambda: threading.Event().wait(3600))"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


@needs_fork
def test_f169_a_fork_waits_for_what_is_being_loaded():
    """The child would find the import lock of a thread that it does not have."""
    done: list[bool] = []
    go = threading.Event()
    _aside.begin(lambda: done.append(go.wait(10)))
    threading.Timer(0.05, go.set).start()
    child = os.fork()
    if child == 0:
        os._exit(0 if done and not _aside._busy else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


async def test_f169_a_task_that_waits_for_us_can_be_cancelled():
    """At once; the thread ends by itself."""
    go = threading.Event()
    task = asyncio.create_task(_aside.aside(lambda: go.wait(10)))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()


async def test_f169_what_goes_wrong_in_the_thread_is_raised_in_the_task():
    """As if it had been done here."""
    with pytest.raises(ZeroDivisionError):
        await _aside.aside(lambda: 1 // 0)
    assert await _aside.aside(threading.get_ident) != threading.get_ident()
