"""`token-meter run`: every call of every Python child is counted, for any end of it; exit codes are the command's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run, calls_of
from token_meter.simulator import Simulator

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PROGRAMS = {
    # name: (program, calls, exit code)
    "plain": ("from asking import ask\nask()", 1, 0),
    "child": (
        "import subprocess, sys\nfrom asking import ask\nask()\n"
        "subprocess.run([sys.executable, '-c', 'from asking import ask; ask()'], check=True)",
        2,
        0,
    ),
    "message": ("import sys\nfrom asking import ask\nask()\nsys.exit('fatal: my message')", 1, 1),
    "os._exit": ("import os\nfrom asking import ask\nask()\nos._exit(0)", 1, 0),
    "stream": ("from asking import ask\nprint(len(list(ask(stream=True))))", 1, 0),
    "async": (
        "import asyncio, openai, os\n"
        "async def main():\n"
        "    async with openai.AsyncOpenAI(base_url=os.environ['SIM_URL'], api_key='sim-test') as c:\n"
        "        ask = lambda **m: c.chat.completions.create(model='gpt-4o-mini',"
        " messages=[{'role': 'user', 'content': 'hi'}], **m)\n"
        "        await asyncio.gather(ask(), ask())\n"
        "        async for _ in await ask(stream=True): pass\n"
        "asyncio.run(main())",
        3,
        0,
    ),
    "fork": (
        "import os\nfrom asking import ask\nask()\npid = os.fork()\n"
        "if pid == 0:\n    ask(); os._exit(0)\nos.waitpid(pid, 0)",
        2,
        0,
    ),
    "pool": (
        "import multiprocessing, asking\ndef work(_):\n    asking.ask(); return 1\n"
        "if __name__ == '__main__':\n    pool = multiprocessing.get_context('fork').Pool(2)\n"
        "    assert sum(pool.map(work, range(3))) == 3\n    pool.terminate()",
        3,
        0,
    ),
    "spawn": (
        "import multiprocessing, asking\ndef work():\n    asking.ask()\n"
        "if __name__ == '__main__':\n    p = multiprocessing.get_context('spawn').Process(target=work)\n"
        "    p.start(); p.join()",
        1,
        0,
    ),
    "forkserver": (  # what Python 3.14 does on Linux when nothing is said
        "import multiprocessing, asking\ndef work(_):\n    asking.ask(); return 1\n"
        "if __name__ == '__main__':\n    context = multiprocessing.get_context('forkserver')\n"
        "    context.set_forkserver_preload(['asking'])\n"
        "    with context.Pool(2) as pool: assert sum(pool.map(work, range(3))) == 3",
        3,
        0,
    ),
    "killed": ("import os, signal\nfrom asking import ask\nask()\nos.kill(os.getpid(), signal.SIGKILL)", 1, 137),
    "execv": ("import os, sys\nfrom asking import ask\nask()\nos.execv(sys.executable, [sys.executable, '-c', "
              "'from asking import ask; ask()'])", 2, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_call_is_counted(tm: Run, project: Path, simulator: Simulator, name: str) -> None:
    """The ledger has as many calls as the server's bill, and the exit code is the program's."""
    program, calls, code = PROGRAMS[name]

    done = tm("run", "--prices", "prices.toml", "--", "python", "app.py", program=program)

    assert done.returncode == code, done.stderr
    assert calls_of(project) == simulator.bill().calls == calls
    assert "token_meter" not in done.stdout
    assert "app.py" in done.stderr or "-c" in done.stderr
    if name == "message":
        assert "fatal: my message" in done.stderr


def test_a_budget_stops_calls_and_answers_three_though_the_program_swallows_it(
    tm: Run, project: Path, simulator: Simulator
) -> None:
    """`except Exception` cannot hide it; the child's calls count for the same limit."""
    program = (
        "import subprocess, sys\nfrom asking import ask\n"
        "for _ in range(2):\n    try: ask()\n    except Exception: pass\n"
        "if len(sys.argv) == 1: subprocess.run([sys.executable, 'app.py', 'child'], check=True)"
    )

    done = tm("run", "--max-calls", "3", "app.py", program=program)

    assert done.returncode == 3
    assert simulator.bill().calls == 3
    assert "calls were refused" in done.stderr


def test_a_refusal_by_the_limit_on_spending_is_on_record(tm: Run, simulator: Simulator) -> None:
    """As one by any other limit is: the program swallows it, and the run answers with 3."""
    program = "from asking import ask\ntry: ask()\nexcept Exception: pass"

    done = tm("run", "--prices", "prices.toml", "--max-spend", "0", "app.py", program=program)

    assert done.returncode == 3
    assert simulator.bill().calls == 0
    assert "calls were refused, because the limit on spent would have been exceeded" in done.stderr


NO_BYTE = """
import resource
from asking import ask
resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))
for _ in range(8):
    try: ask(max_tokens=10)
    except Exception: pass
"""


@pytest.mark.parametrize(
    ("words", "calls", "code"),
    [
        (("--max-tokens", "60", "--on-exceed", "stop"), 3, 3),  # each holds and uses 18
        (("--max-calls", "2", "--on-exceed", "stop"), 2, 3),
        (("--max-calls", "0", "--on-exceed", "stop"), 0, 3),
        (("--max-calls", "9"), 8, 3),  # it was kept, but that cannot be known
        (("--max-calls", "9", "--on-exceed", "warn"), 8, 0),
        ((), 8, 0),
    ],
)
def test_a_disk_that_takes_no_byte_switches_no_limit_off(
    tm: Run, project: Path, simulator: Simulator, words: tuple[str, ...], calls: int, code: int
) -> None:
    """Within the process it holds, and the run knows that its record is not whole."""
    done = tm("run", "--prices", "prices.toml", "-f", "json:r.json", *words, "app.py", program=NO_BYTE)

    found = json.loads((project / "r.json").read_text())
    assert (simulator.bill().calls, done.returncode) == (calls, code), done.stderr
    assert "token_meter: ledger not written: " in done.stderr
    assert "0 LLM calls seen" not in done.stderr
    assert found["run"]["complete"] is False
    assert found["run"]["lost_records"] >= 1
    assert [check["status"] for check in found["budgets"]] == ["unknown"] * bool(words)
    if code:
        assert "cannot be checked: ledger not written: " in done.stderr


def test_a_limit_that_only_warns_lets_all_pass(tm: Run, simulator: Simulator) -> None:
    """The report says so, and the code is 0."""
    done = tm(
        "run", "--max-calls", "1", "--on-exceed", "warn", "app.py", program="from asking import ask\nask()\nask()"
    )

    assert done.returncode == 0
    assert simulator.bill().calls == 2
    assert "run was limited to 1 call but made 2 calls" in done.stderr


def test_another_code_than_three_may_be_asked_for(tm: Run) -> None:
    """`--exit-code`."""
    done = tm("run", "--max-calls", "0", "--exit-code", "9", "app.py",
              program="from asking import ask\ntry: ask()\nexcept Exception: pass")  # fmt: skip

    assert done.returncode == 9


def test_a_run_without_a_python_of_ours_says_what_is_metered(tm: Run) -> None:
    """Another interpreter than expected is the usual reason for no calls at all."""
    done = tm("run", "true")

    assert "0 LLM calls seen in 0 Python processes; only a Python that can import token_meter is metered" in done.stderr


def test_the_users_own_sitecustomize_still_runs(tm: Run, project: Path) -> None:
    """Ours hands over to the one behind it on the path; options after the command are the command's."""
    (project / "site").mkdir()
    (project / "site" / "sitecustomize.py").write_text("import builtins\nbuiltins.THEIRS = 'theirs'\n")

    done = tm("run", "app.py", "--output", "x", PYTHONPATH=str(project / "site"),
              program="import sys, sitecustomize\nprint(THEIRS, sitecustomize.THEIRS if hasattr(sitecustomize, 'x') else 1,"
              " sys.argv[1:])")  # fmt: skip

    assert done.stdout == "theirs 1 ['--output', 'x']\n"
    assert "0 LLM calls seen in 1 Python process\n" in done.stderr


def test_an_interpreter_without_token_meter_is_left_alone(tm: Run, project: Path) -> None:
    """`-S` has no site packages: the boot module finds nothing and says nothing."""
    done = tm("run", "--", "python", "-S", "-c", "import sitecustomize; print('ran')")

    assert done.stdout == "ran\n"
    assert "Traceback" not in done.stderr


def test_a_signal_reaches_the_command_and_the_report_comes_all_the_same(tm: Run, project: Path) -> None:
    """The program sends SIGTERM to its parent, which is `run`; `run` passes it on, waits, and reports."""
    program = (
        "import os, signal, sys\nfrom asking import ask\nask()\n"
        "def end(*_):\n    print('told'); sys.exit(7)\n"
        "signal.signal(signal.SIGTERM, end)\nos.kill(os.getppid(), signal.SIGTERM)\nsignal.pause()"
    )

    done = tm("run", "--", "python", "app.py", program=program, alone=True)

    assert (done.returncode, done.stdout) == (7, "told\n")
    assert "total" in done.stderr
    assert calls_of(project) == 1


def test_a_run_that_is_killed_itself_leaves_its_records(tm: Run) -> None:
    """SIGKILL of `token-meter run` and its child: a later `report` shows the call, and the one that was under way."""
    program = (
        "import os, pathlib, signal, threading\nfrom asking import ask\nask()\n"
        "late = threading.Thread(target=ask, kwargs={'extra_headers': {'x-sim-latency': '60'}}, daemon=True)\n"
        "late.start()\nrun = pathlib.Path(os.environ['TOKEN_METER_RUN_DIR'])\n"
        "while sum(p.read_text().count('\"t\":\"start\"') for p in run.glob('*.jsonl')) < 2: pass\n"
        "os.kill(os.getppid(), signal.SIGKILL)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )

    done = tm("run", "--prices", "prices.toml", "app.py", program=program, alone=True)
    report = json.loads(tm("report", "--json").stdout)

    assert done.returncode == -9
    assert report["totals"]["calls"] == 1
    assert (report["run"]["in_flight"], report["run"]["complete"]) == (1, False)
    assert "in-flight" in [warning["code"] for warning in report["warnings"]]


def test_a_refusal_for_want_of_a_price_is_not_told_as_a_spent_limit(tm: Run, project: Path) -> None:
    """Raising the limit would not help."""
    program = "from asking import ask\nask()\n"
    done = tm("run", "--max-cost", "100", "--unpriced", "fail", "-f", "json:r.json", "app.py", program=program)
    (check,) = [c for c in json.loads((project / "r.json").read_text())["budgets"] if c["status"] == "exceeded"]

    assert done.returncode != 0
    assert check["field"] == "unpriced"
    assert "calls were refused, because a model has no price" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run"], 2, "no command given"),
        (["run", "--max-cots", "1", "python"], 2, "did you mean '--max-cost'?"),
        (["run", "--max-cost", "lots", "true"], 2, "must be an amount of US dollars such as 0.05"),
        (["run", "-f", "jsno", "true"], 2, "did you mean 'json'?"),
        (["run", "no-such-command-here"], 127, "command not found"),
        (["run", "nowhere.py"], 127, "nowhere.py: no such file"),
        (["run", "--label", "x", "true"], 2, "--label must be KEY=VALUE"),
    ],
)
def test_mistakes_are_said_before_anything_runs(tm: Run, words: list[str], code: int, said: str) -> None:
    """One clear line with what was expected."""
    done = tm(*words)

    assert done.returncode == code
    assert "LLM calls seen" not in done.stderr
    assert said in " ".join(done.stderr.split())
