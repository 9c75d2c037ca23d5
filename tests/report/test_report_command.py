"""What a report keeps of the command that was run."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.report.samples import row, summary_of
from token_meter.report import remember, render
from token_meter.report._command import safe_command

KEPT = [
    # as it was typed, as it is shown
    (
        'env KEY=sk-X python app.py --prompt "my prompt" "https://h/v1?api-key=Q"',
        "env ... python app.py --prompt ...",
    ),
    (
        "/venv/bin/python3.12 -u -W ignore -m my.module --key=sk-X -v 5",
        "/venv/bin/python3.12 -u -W ... -m my.module --key=... -v ...",
    ),
    ('python -c "print(1)" app.py', "python -c ..."),  # what follows the code are its arguments
    ("python -- app.py other.py -p1234", "python -- app.py ... -p..."),
    ("uv run app.py sk-X", "uv ... app.py ..."),
    ('sh -c "KEY=sk-X python app.py"', "sh -c ..."),
    ("git commit -m sk-X", "git ... -m ..."),  # only Python's -m has a module
    ("pytest -n2 -q -x tests/test_a.py::TestA::test_b", "pytest -n2 -q -x tests/test_a.py::TestA::test_b"),
    (
        'python -m pytest "test_a.py::test_b[my prompt]" -kb -k b',
        "python -m pytest test_a.py::test_b[...] -k... -k ...",
    ),
    ("uv run https://h/sk-X/app.py", "uv ..."),
    (r"'C:\a b\python.exe' 'C:\a\app.py' -v", r"C:\a b\python.exe C:\a\app.py -v"),
    ('app.py "-a prompt" "--a prompt=b" "-"', "app.py -a... ..."),
]


@pytest.mark.parametrize(("typed", "shown"), KEPT)
def test_a_command_keeps_its_names_and_no_value(typed: str, shown: str) -> None:
    """The program, its script or module, and options stay; values, assignments and arguments do not."""
    assert " ".join(safe_command(shlex.split(typed))) == shown


def test_no_argument_of_a_command_gets_into_a_report(tmp_path: Path) -> None:
    """Whoever gives the command: JSON, HTML and the history are made of the same run."""
    summary = summary_of(row(), command=("python", "app.py", "--prompt", "my prompt", "KEY=sk-X"))
    remember(summary, tmp_path)

    texts = [render(summary, "json"), render(summary, "html"), (tmp_path / "history.jsonl").read_text()]
    assert all("app.py" in text for text in texts)
    assert not [text for text in texts if "my prompt" in text or "sk-X" in text]
