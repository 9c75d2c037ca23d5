"""Report formats of other people: by entry point, or by a dotted path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from token_meter import ConfigError, meter
from token_meter.report import FORMATS, render, summarise

MODULE = '''
from token_meter.report import Format

def shout(summary, view):
    """Totals in capitals."""
    return f"{summary.totals.calls} CALLS\\n"

WHISPER = Format(lambda summary, view: f"{summary.totals.calls} calls, quietly\\n", "for libraries")
NUMBER = 7
'''


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """An installed package of another author: a module, and metadata that register a format."""
    (tmp_path / "their_formats.py").write_text(MODULE)
    metadata = tmp_path / "their_formats-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: their-formats\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[token_meter.report_formats]\nshout = their_formats:shout\nbroken = their_formats:missing\n"
    )
    with meter(ledger=tmp_path / "data") as cb:
        cb.record("gpt-4o", provider="openai", prompt_tokens=1, completion_tokens=1)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def _report(package: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "token_meter", "report", str(package / "data"), *words]
    return subprocess.run(command, cwd=package, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("shout", "1 CALLS\n"),
        ("their_formats.shout", "1 CALLS\n"),
        ("their_formats.WHISPER", "1 calls, quietly\n"),
    ],
)
def test_a_format_of_theirs_can_be_asked_for(package, format, text):
    assert _report(package, "--format", format).stdout == text


def test_a_format_of_theirs_goes_to_a_file_too(package):
    _report(package, "--format", "shout:out.txt")

    assert (package / "out.txt").read_text() == "1 CALLS\n"


@pytest.mark.parametrize(
    ("format", "words"),
    [
        ("broken", "report 'broken' cannot be loaded"),
        ("their_formats.nothing", "report 'their_formats.nothing' cannot be loaded: AttributeError"),
        ("no_such_module.x", "cannot be loaded: ModuleNotFoundError"),
        ("their_formats.NUMBER", "is int; expected a token_meter.report.Format"),
        ("shuot", "did you mean 'shout'?"),
    ],
)
def test_a_format_that_cannot_be_had_is_one_clear_line(package, format, words):
    done = _report(package, "--format", format)

    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["azure", "buildkite", "benchmark", "gitlab-codequality"])
def test_ours_are_registered_as_theirs_are(name):
    assert name in FORMATS
    assert render(summarise([]), name) is not None


def test_a_name_without_a_format_is_an_error():
    with pytest.raises(ConfigError, match="is none of"):
        render(summarise([]), "nothing")
