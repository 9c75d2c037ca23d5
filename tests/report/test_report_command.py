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
    ("'/my dir/bin/python' -m mod sk-X", "/my dir/bin/python -m mod ..."),  # folders with anything in them
    ("/opt/(a)/b+c@1/~d/python -m mod", "/opt/(a)/b+c@1/~d/python -m mod"),
    (r"'C:\Program Files\Python\python.exe' -m mod", r"C:\Program Files\Python\python.exe -m mod"),
    ("env '/my dir/bin/python' '/my dir/app.py' sk-X.py", "env /my dir/bin/python /my dir/app.py ..."),
    ("python '/home/me/my dir/app.py' 'my prompt.py'", "python /home/me/my dir/app.py ..."),
    ("python -W my.py 'my dir/app.py'", "python -W ... my dir/app.py"),
    ("python -um mod sk-X.py", "python -um mod ..."),
    ("python -mmod sk-X.py", "python -mmod ..."),
    ("python -mpytest -k sk.py a/test_a.py", "python -mpytest -k ... a/test_a.py"),
    ("python '-m my prompt' sk.py", "python -m... ..."),
    ("python -uc 'print(1)' sk.py", "python -uc ..."),
    ("coverage run -p --source sk.py -m myapp.main sk.py", "coverage run -p --source ... -m myapp.main ..."),
    ("python -m coverage run --branch -m pytest -n 2 test_a.py", "python -m coverage run --branch -m pytest -n ... test_a.py"),
    ("coverage report -m sk.py", "coverage ... -m ..."),
    ("pytest -k sk.py -vk sk.py --secret sk.py -p sk.py --lf test_a.py",
     "pytest -k ... -v... ... --secret ... -p ... --lf test_a.py"),
    ("pytest -c sk.py --secret=sk.py '/my dir/test_a.py::test_b[sk]'",
     "pytest -c ... --secret=... /my dir/test_a.py::test_b[...]"),
    ("h://sk/python x.py", "... x.py"),
    ("uv run 'my prompt about app.py' k=/sk/app.py s3://sk/app.py c://sk/app.py", "uv ..."),
]  # fmt: skip


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
