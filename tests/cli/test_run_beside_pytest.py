"""`token-meter run -- pytest`: a suite that makes errors of warnings sees none of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

import token_meter
from tests.cli.conftest import Run

SUITE = "from asking import ask\ndef test_it():\n    ask()\n"
OTHERS = ("cacheprovider", "asyncio", "langsmith_plugin", "hypothesispytest", "respx", "anyio", "rerunfailures")
STRICT = f"""
[tool.pytest.ini_options]
filterwarnings = ["error"]
addopts = "{" ".join(f"-p no:{name}" for name in OTHERS)}"
"""
"""Plugins are loaded as they are found, which is what is tested; others than ours take a second."""


@pytest.fixture
def installed(project: Path) -> str:
    """A `PYTHONPATH` where token_meter lies as a wheel puts it: its record names the package, which pytest reads."""
    site = project / "site"
    record = site / f"token_meter-{token_meter.__version__}.dist-info"
    record.mkdir(parents=True)
    (site / "token_meter").symlink_to(Path(token_meter.__file__).parent)
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: token-meter\nVersion: {token_meter.__version__}\n")
    (record / "entry_points.txt").write_text("[pytest11]\ntoken_meter = token_meter.pytest_plugin\n")
    (record / "RECORD").write_text("token_meter/__init__.py,,\ntoken_meter/pytest_plugin.py,,\n")
    return str(site)


@pytest.mark.parametrize(
    ("before", "options"),
    [
        pytest.param(["run", "--"], [], id="run"),
        pytest.param(["run", "--max-cost", "9", "--max-spend", "9", "--"], [], id="run with limits"),
        pytest.param(["run", "--"], ["-p", "no:token_meter"], id="run without the plugin"),
        pytest.param(["run", "--"], ["-n1"], id="run with a worker"),
    ],
)
def test_f117_a_suite_that_makes_errors_of_warnings_passes_under_run(
    tm: Run, project: Path, installed: str, before: list[str], options: list[str]
) -> None:
    """pytest warns of packages with a plugin that were imported before it could rewrite their asserts."""
    (project / "pyproject.toml").write_text(STRICT)
    (project / "test_it.py").write_text(SUITE)

    done = tm(*before, "python", "-m", "pytest", "-q", *options, PYTHONPATH=installed)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr


def test_f117_a_program_that_imports_us_before_pytest_is_warned_of_nothing(
    tm: Run, project: Path, installed: str
) -> None:
    """`pytest.main()` behind `import token_meter`, without any run."""
    (project / "pyproject.toml").write_text(STRICT)
    (project / "test_it.py").write_text(SUITE)
    program = "import sys, token_meter, pytest\nsys.exit(pytest.main(['-q']))\n"

    done = tm("run", "app.py", program=program, PYTHONPATH=installed)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr
