"""F115: Datadog, New Relic and OpenTelemetry patch names that we patch, as a rule before the program's first line."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.contract.everywhere import CALLS

ROOT = Path(__file__).resolve().parents[2]


class Tracer(NamedTuple):
    """How to start a tracer: a command in front of the program, if it has one, and a statement in it."""

    module: str
    statement: str
    command: tuple[str, ...] = ()


TRACERS = {
    "ddtrace": Tracer("ddtrace", "import ddtrace; ddtrace.patch_all()", ("ddtrace-run",)),
    "newrelic": Tracer("newrelic", "import newrelic.agent; newrelic.agent.initialize()", ("newrelic-admin", "run-program")),
    "opentelemetry": Tracer(
        "opentelemetry.instrumentation.threading",
        "from opentelemetry.instrumentation.threading import ThreadingInstrumentor; ThreadingInstrumentor().instrument()",
    ),
}  # fmt: skip

# What they measure goes nowhere.
QUIET = {
    "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    # Where gevent is installed, ddtrace-run loads asyncio a second time, and no call of an async client connects.
    "DD_UNLOAD_MODULES_FROM_SITECUSTOMIZE": "false",
    "NEW_RELIC_DEVELOPER_MODE": "true",
    "NEW_RELIC_LICENSE_KEY": "0" * 40,
    "NEW_RELIC_APP_NAME": "shop",
    "NEW_RELIC_LOG": "stderr",
}

PROGRAM = """
import json, sys, threading
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType
import token_meter
from token_meter import meter

url, order, statement = sys.argv[1:]
if order == "before":
    exec(statement)
with meter():
    pass
with meter() as first:
    if order == "after":
        exec(statement)
    from tests.contract.everywhere import ask_everywhere  # New Relic patches what is imported after it
    ask_everywhere(url, "sim-traced")
ask_everywhere(url, "sim-traced")
with meter() as second:
    ask_everywhere(url, "sim-traced")
token_meter.uninstall()
ask_everywhere(url, "sim-traced")

import httpx
names = [(httpx.Client, "send"), (httpx.AsyncClient, "send"), (threading.Thread, "start"), (ThreadPoolExecutor, "submit")]
print(json.dumps({
    "counted": [first.successful_requests, second.successful_requests],
    "theirs": sum(type(owner.__dict__[name]) is not FunctionType for owner, name in names),
}))
"""


def _run(tracer: Tracer, command: tuple[str, ...], *args: str) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec(tracer.module.partition(".")[0]) is None:
        pytest.skip("a neighbour that `make compat` installs")
    pytest.importorskip(tracer.module) if "." in tracer.module else None
    front = [str(Path(sys.executable).with_name(command[0])), *command[1:]] if command else []
    return subprocess.run(
        [*front, sys.executable, *args], env={**os.environ, **QUIET}, cwd=ROOT, capture_output=True, text=True, timeout=120
    )  # fmt: skip


def _said(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.mark.parametrize("order", ["in front", "before", "after"])
@pytest.mark.parametrize("tracer", TRACERS.values(), ids=TRACERS.keys())
def test_f115_calls_under_a_tracer_are_counted_and_go_through(simulator, tracer, order):
    """The program under the tracer's command, and with its statement before and inside the first block."""
    if order == "in front" and not tracer.command:
        pytest.skip("its command patches by the same statement")
    command = tracer.command if order == "in front" else ()
    said = _said(_run(tracer, command, "-c", PROGRAM, simulator.base_url, order, tracer.statement))

    assert said["counted"] == [CALLS, CALLS]
    assert simulator.bill("sim-traced").calls == 4 * CALLS
    assert said["theirs"] or order == "after", "the tracer patched nothing of ours: this test would prove nothing"


@pytest.mark.parametrize("tracer", [t for t in TRACERS.values() if t.command], ids=lambda tracer: tracer.module)
def test_f115_a_test_run_with_a_meter_under_a_tracer_passes(tmp_path, tracer):
    """`ddtrace-run pytest --meter` failed the tests that ask for anything over HTTP."""
    (tmp_path / "test_theirs.py").write_text(
        "import httpx\n"
        "def test_it():\n"
        "    transport = httpx.MockTransport(lambda _: httpx.Response(204))\n"
        "    assert httpx.Client(transport=transport).get('http://example.com').status_code == 204\n"
    )
    done = _run(tracer, tracer.command, "-m", "pytest", "-q", "--meter", "--rootdir", str(tmp_path), str(tmp_path))

    assert done.returncode == 0, done.stdout + done.stderr
