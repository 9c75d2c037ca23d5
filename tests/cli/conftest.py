"""Programs for the command to run: each calls the simulator in another way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from token_meter.simulator import TEST_KEY, Simulator

ASK = f"""
import os, httpx
client = httpx.Client(base_url=os.environ["SIM_URL"], headers={{"Authorization": "Bearer " + {TEST_KEY!r}}})
def ask(**more):
    body = {{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "hi"}}], **more}}
    answer = client.post("/chat/completions", json=body).raise_for_status()
    return answer.text.splitlines() if more.get("stream") else answer.json()
"""
"""Plain posts, because an SDK takes most of a second to import; the program called `async` uses the SDK."""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with `asking.py`, and prices for loopback."""
    (tmp_path / "asking.py").write_text(ASK)
    (tmp_path / "prices.toml").write_text('hosts = {"127.0.0.1" = "openai"}\n')
    return tmp_path


@pytest.fixture
def tm(project: Path, simulator: Simulator) -> Run:
    """Run `token-meter ARGS` in the project; *program* becomes `app.py`."""

    def run(*words: str, program: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        if program is not None:
            (project / "app.py").write_text(program)
        ours = ("TOKEN_METER", "PYTEST", "GITHUB", "PYTHONPATH")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        clean["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            [sys.executable, "-m", "token_meter", *words], cwd=project, capture_output=True, text=True, timeout=120,
            env={**clean, "SIM_URL": simulator.base_url, **env},
        )  # fmt: skip

    return run


def calls_of(project: Path) -> int:
    """How many calls the ledger of the latest run has."""
    from token_meter.ledger import read_run

    return sum(row.calls for row in read_run(project / ".token_meter"))
