"""What `token-meter` prints where not every character can be printed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ledger.helpers import a_call
from token_meter.ledger import Ledger

ROSE = "\U0001f339"
PLAIN = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "", "LC_ALL": "C"}


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        pytest.param(PLAIN, ROSE.encode(), id="redirected where the locale has no such character"),
        pytest.param({**PLAIN, "PYTHONIOENCODING": "cp1252"}, b"\\U0001f339", id="a code page that was asked for"),
    ],
)
@pytest.mark.parametrize("format", ["term-all", "md"])
def test_no_character_of_a_name_stops_a_report(
    tmp_path: Path, environment: dict[str, str], shown: bytes, format: str
) -> None:
    """Redirected output is UTF-8, as reports in files are; else what cannot be printed is escaped."""
    ledger = Ledger.join(tmp_path / "run")
    ledger.call(a_call(request_model=f"mod\xe8le-{ROSE}", response_model=f"mod\xe8le-{ROSE}"))
    ledger.close()
    done = subprocess.run(
        [sys.executable, "-m", "token_meter", "report", str(tmp_path / "run"), "-f", format],
        env={**os.environ, **environment}, capture_output=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert shown in done.stdout
