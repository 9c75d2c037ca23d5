"""Programs for the command to run: each calls the simulator in another way."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from token_meter.cli import main
from token_meter.simulator import TEST_KEY, Simulator

ASK = f"""
import os, requests
session = requests.Session()
session.headers["Authorization"] = "Bearer " + {TEST_KEY!r}
def ask(*, extra_headers=None, **more):
    body = {{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "hi"}}], **more}}
    answer = session.post(os.environ["SIM_URL"] + "/chat/completions", json=body, headers=extra_headers)
    answer.raise_for_status()
    return answer.text.splitlines() if more.get("stream") else answer.json()
"""
"""Plain posts, because an SDK takes more than a second to import; the program called `async` uses the SDK.

By requests, which imports in a third of the time of httpx: with httpcore come trio and h2.
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with `asking.py`, and prices for loopback."""
    (tmp_path / "asking.py").write_text(ASK)
    (tmp_path / "prices.toml").write_text('hosts = {"127.0.0.1" = "openai"}\n')
    return tmp_path


@pytest.fixture
def tm(project: Path, simulator: Simulator, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `token-meter ARGS` in the project; *program* becomes `app.py`.

    The command runs in this process, which saves its start and its imports; what it starts are processes as ever. With
    `alone` it gets one of its own, so that signals may come to it.
    """

    def run(
        *words: str, program: str | None = None, alone: bool = False, **env: str
    ) -> subprocess.CompletedProcess[str]:
        if program is not None:
            (project / "app.py").write_text(program)
        ours = ("TOKEN_METER", "PYTEST", "GITHUB", "PYTHONPATH")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        clean |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "SIM_URL": simulator.base_url, **env}
        if alone:
            return subprocess.run(
                [sys.executable, "-m", "token_meter", *words], cwd=project, capture_output=True, text=True, timeout=120,
                env=clean,
            )  # fmt: skip
        capfd.readouterr()
        with mock.patch.dict(os.environ, clean, clear=True), contextlib.chdir(project):
            with pytest.raises(SystemExit) as ended:
                main.main(list(words), prog_name="token-meter")
        out, err = capfd.readouterr()
        return subprocess.CompletedProcess(words, int(ended.value.code or 0), out, err)

    return run


def calls_of(project: Path) -> int:
    """How many calls the ledger of the latest run has."""
    from token_meter.ledger import read_run

    return sum(row.calls for row in read_run(project / ".token_meter"))
