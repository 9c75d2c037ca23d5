"""A sample suite for the plugin, run by a pytest of its own."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from token_meter.simulator import TEST_KEY, Simulator

HELPERS = f"""
import os, threading, pytest, requests
def ask(**more):
    body = {{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "hi"}}], **more}}
    answer = requests.post(
        os.environ["SIM_URL"] + "/chat/completions", json=body, headers={{"Authorization": "Bearer " + {TEST_KEY!r}}})
    answer.raise_for_status()
"""
"""A plain post: the SDK takes more than a second to import, in each process and each worker."""

SDK = f"""
import os, threading, openai, pytest
def ask(**more):
    with openai.OpenAI(base_url=os.environ["SIM_URL"], api_key={TEST_KEY!r}, max_retries=0) as client:
        return client.chat.completions.create(
            model="gpt-4o-mini", messages=[{{"role": "user", "content": "hi"}}], **more)
"""

LATE = (
    "genai_prices.data_snapshot", "requests", "token_meter._meter.sink", "token_meter._pytest.lazy_start",
    "token_meter._pytest.outcome", "token_meter._pytest.session", "token_meter._pytest.testmeter",
    "token_meter.budget.limits", "token_meter.ci.harness", "token_meter.ci.run_budgets", "token_meter.prices._file",
    "token_meter.report",
)  # fmt: skip

Suite = Callable[..., Any]


def calls_in(path: Path) -> dict[str, int]:
    """Calls by context in a JSON report."""
    data: dict[str, Any] = json.loads(path.read_text())
    return {context["id"]: context["calls"] for context in data["contexts"]}


@pytest.fixture(autouse=True, scope="session")
def loaded() -> None:
    """What inner suites import is loaded before: pytester forgets after each run which modules that run brought."""
    for name in LATE:
        importlib.import_module(name)


@pytest.fixture
def suite(pytester: pytest.Pytester, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Run a suite: `suite(tests, *options, settings="...")`; *under* is a command that runs pytest.

    What must not be seen here gets a process; the others save the second that it takes to start. One worker (`-n1`) is
    enough where the way from a worker is what is tested, and not that there are several.
    """
    monkeypatch.setenv("SIM_URL", simulator.base_url)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # other plugins cost seconds
    for name in ("GITHUB_ACTIONS", "TOKEN_METER_RUN_DIR", "PYTEST_ADDOPTS", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST_")]:  # the inner suite is not a worker
        monkeypatch.delenv(name)

    def run(
        tests: str,
        *options: str,
        settings: str = "",
        ini: str = "",
        helpers: str = HELPERS,
        alone: bool = False,
        under: tuple[str, ...] = (),
    ) -> Any:
        pytester.makepyfile(helpers=helpers)
        pytester.makefile(".toml", prices='hosts = {"127.0.0.1" = "openai"}\n')
        head = '[tool.pytest.ini_options]\naddopts = "-p no:cacheprovider"\n'
        pytester.makepyprojecttoml(f'{head}{ini}\n[tool.token_meter]\nprices = "prices.toml"\n{settings}')
        pytester.makepyfile(test_it=f"from helpers import *\n{tests}")
        plugins = ["token_meter.pytest_plugin"]
        plugins += ["xdist.plugin"] if {"-n1", "-n2"} & {*options} else []
        plugins += ["pytest_rerunfailures"] if "--reruns=2" in options else []
        more = [word for plugin in plugins for word in ("-p", plugin)]
        if under:
            return pytester.run(*under, sys.executable, "-m", "pytest", *more, *options)
        needs_process = alone or "--reruns=2" in options or "import vcr" in tests
        call = pytester.runpytest_subprocess if needs_process else pytester.runpytest_inprocess
        return call(*more, *options)

    return run
