"""A ledger that cannot be written, for any umask and owner, costs the ledger, never the command."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run, calls_of
from token_meter.ledger import Ledger

pytestmark = pytest.mark.skipif(os.name == "nt", reason="mode bits and links mean something else there")

ASKS = "from asking import ask\nask()\nprint('ran')\n"
UMASKS = [0o000, 0o002, 0o022, 0o077, 0o277, 0o777]


@pytest.fixture(params=UMASKS, ids=[f"{umask:03o}" for umask in UMASKS])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """What the process was started with."""
    before = os.umask(request.param)
    try:
        yield request.param
    finally:
        os.umask(before)


def modes_below(path: Path) -> dict[str, int]:
    """The mode bits of all that lies there."""
    return {str(one.relative_to(path)): stat.S_IMODE(one.lstat().st_mode) for one in sorted(path.rglob("*"))}


def test_f118_what_we_make_is_ours_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """Directories above the data directory too."""
    ledger = Ledger.create(tmp_path / "a" / "b" / "data")
    ledger.note("run", exit_status=0)
    ledger.close()
    ledger.note("run", exit_status=0)  # opens the shard again
    modes = modes_below(tmp_path)

    assert (ledger.problem, ledger.lost) == (None, 0)
    assert not [name for name, mode in modes.items() if mode & 0o022]
    assert not [name for name, mode in modes.items() if mode & 0o600 != 0o600 and not name.endswith(".gitignore")]
    assert modes[str(ledger.run_dir.relative_to(tmp_path))] == 0o700
    assert stat.S_IMODE((ledger.shard or tmp_path).stat().st_mode) == 0o600


@pytest.mark.parametrize("umask", [0o000, 0o777], ids=["000", "777"], indirect=True)
@pytest.mark.parametrize("words", [(), ("--max-calls", "5", "--on-exceed", "stop")], ids=["no limit", "a limit"])
def test_f118_a_run_keeps_its_record_under_any_umask(
    tm: Run, project: Path, umask: int, words: tuple[str, ...]
) -> None:
    """The command is metered, its limits are judged, the history is kept."""
    (project / "app.py").touch()
    (project / "app.py").chmod(0o644)
    done = tm("run", *words, "python", "app.py", program=ASKS)

    assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr
    assert "not written" not in done.stderr
    assert calls_of(project) == 1
    assert not [name for name, mode in modes_below(project / ".token_meter").items() if mode & 0o022]


def everybody_may_write(data: Path) -> None:
    """As a version before this one left it under umask 000."""
    (data / "runs").mkdir(parents=True)
    (data / "runs").chmod(0o777)


def a_file_stands_there(data: Path) -> None:
    """Or a link to nowhere."""
    data.write_text("")


def a_link_to_nowhere(data: Path) -> None:
    """Dangling."""
    data.symlink_to(data.parent / "gone")


def a_file_stands_for_the_runs(data: Path) -> None:
    """One floor lower."""
    data.mkdir()
    (data / "runs").write_text("")


PLACES = [everybody_may_write, a_file_stands_there, a_link_to_nowhere, a_file_stands_for_the_runs]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param((), 0, "", id="no limit"),
        pytest.param(("--max-calls", "5"), 3, "cannot be checked", id="a limit"),
        pytest.param(("--max-calls", "5", "--on-exceed", "warn"), 0, "not written", id="a limit that warns"),
    ],
)
def test_f118_the_command_runs_where_no_record_can_be_kept(
    tm: Run, project: Path, place: Callable[[Path], None], words: tuple[str, ...], code: int, said: str
) -> None:
    """What is missing is said before it starts, and in the report."""
    place(project / ".token_meter")
    done = tm("run", *words, "-f", "json:r.json", "app.py", program=ASKS)
    found = json.loads((project / "r.json").read_text())

    assert (done.returncode, done.stdout) == (code, "ran\n"), done.stderr
    assert "this run cannot be recorded, the command runs anyway: " in done.stderr
    assert "0 LLM calls seen" not in done.stderr
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    assert found["run"]["complete"] is False


def test_f118_a_limit_stops_a_process_of_a_run_without_record(tm: Run, project: Path) -> None:
    """Each process holds it for itself."""
    a_file_stands_there(project / ".token_meter")
    program = "from asking import ask\nask()\nprint('one', flush=True)\nask()\nprint('two')\n"
    done = tm("run", "--max-calls", "1", "--on-exceed", "stop", "app.py", program=program)

    assert done.stdout == "one\n"
    assert done.returncode != 0
    assert "BudgetExceededError" in done.stderr


def test_f118_a_command_that_does_not_exist_is_still_said_where_no_record_can_be_kept(tm: Run, project: Path) -> None:
    """With its own code, and no report of nothing."""
    a_file_stands_there(project / ".token_meter")

    done = tm("run", "no-such-command-here")

    assert done.returncode == 127
    assert "command not found" in done.stderr
