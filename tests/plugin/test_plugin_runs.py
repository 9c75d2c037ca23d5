"""The plugin in the runs that people have: under another meter, distributed, interrupted, strict, compared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.conftest import Suite, calls_in
from token_meter.ledger import read_run
from token_meter.simulator import Simulator

TWO = "class TestA:\n    def test_a(self): ask()\n    def test_b(self): ask(); ask()\ndef test_c(): ask()\n"
TWO_CALLS = {"test_it.py::TestA::test_a": 1, "test_it.py::TestA::test_b": 2, "test_it.py::test_c": 1}
RUN = (sys.executable, "-m", "token_meter", "run")


def report(pytester: pytest.Pytester, name: str = "r.json") -> dict[str, Any]:
    """A JSON report of the run."""
    data: dict[str, Any] = json.loads((pytester.path / name).read_text())
    return data


@pytest.mark.parametrize("options", [(), ("-n1",)], ids=["alone", "xdist"])
def test_a_run_around_pytest_counts_every_call_once(
    suite: Suite, pytester: pytest.Pytester, simulator: Simulator, options: tuple[str, ...]
) -> None:
    """`token-meter run -- pytest`: both reports say the same, by test, and so does the bill."""
    words = (*RUN, "-f", "json:run.json", "--")
    done = suite(TWO, *options, "-q", "--meter-report=json:r.json", under=words)

    assert done.ret == 0
    assert calls_in(pytester.path / "r.json") == calls_in(pytester.path / "run.json") == TWO_CALLS
    assert simulator.bill().calls == 4
    assert len(list((pytester.path / ".token_meter" / "runs").iterdir())) == 1
    assert (pytester.path / ".token_meter" / "history.jsonl").read_text().count('"run": ') == 2  # one run, said twice


def test_the_limit_of_a_run_around_pytest_holds_in_it(suite: Suite, simulator: Simulator) -> None:
    """The tests fail whose calls were refused; the command answers with pytest's code."""
    done = suite(TWO, "-n2", under=(*RUN, "--max-calls", "2", "--"))

    assert simulator.bill().calls == 2
    assert done.ret == 1
    done.stderr.fnmatch_lines(["*calls were refused, because the limit on calls would have been exceeded*"])


@pytest.mark.parametrize(
    ("options", "calls", "status"),
    [
        (("--meter-max-calls=0",), 4, "exceeded"),
        (("--meter-max-calls=0", "-n1"), 4, "exceeded"),
        (("--meter-max-calls=50", "-n2"), 4, "unknown"),
        (("--meter-max-tokens=60", "--meter-on-exceed=stop"), 3, "unknown"),  # each holds and uses 18
    ],
    ids=["over", "over, xdist", "within, xdist", "stop"],
)
def test_a_limit_of_a_ledger_that_cannot_be_written_fails_the_run(
    suite: Suite, pytester: pytest.Pytester, options: tuple[str, ...], calls: int, status: str
) -> None:
    """What is known in memory is shown and judged; that a limit held is not said."""
    (pytester.path / "file").write_text("")
    tests = "".join(f"def test_{n}(): ask(max_tokens=10)\n" for n in range(4))

    done = suite(tests, *options, "--meter", "--meter-data=file/x", "--meter-report=json:r.json")

    found = report(pytester)
    assert done.ret == 1
    assert "no LLM call was seen" not in done.stdout.str()
    done.stdout.fnmatch_lines(["*= token usage =*", "token_meter: ledger not written: *"])
    assert found["totals"]["calls"] == calls
    assert (found["run"]["complete"], found["run"]["lost_records"] > 0) == (False, True)
    assert [check["status"] for check in found["budgets"]] == [status]


def test_a_limit_on_children_that_can_write_nothing_fails_the_run(suite: Suite, pytester: pytest.Pytester) -> None:
    """`--meter-subprocess`: their calls cannot be known."""
    (pytester.path / "file").write_text("")
    tests = (
        "import subprocess, sys\ndef test_a():\n"
        "    subprocess.run([sys.executable, '-c', 'import helpers; helpers.ask()'], check=True)\n"
    )

    done = suite(tests, "--meter", "--meter-subprocess", "--meter-max-calls=5", "--meter-data=file/x")

    assert done.ret == 1
    assert "no LLM call was seen" not in done.stdout.str()
    done.stdout.fnmatch_lines(["*UNKNOWN: the limit on calls cannot be checked: ledger not written: *"])


def test_a_limit_around_pytest_holds_while_no_byte_can_be_written(suite: Suite, simulator: Simulator) -> None:
    """The run's own sums are told at once what pytest's ledger could not take; written later, it counts once."""
    tests = (
        "import resource\ndef test_a():\n    before = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))\n"
        "    for _ in range(8):\n        try: ask(max_tokens=10)\n        except Exception: pass\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, before)\n"
    )
    done = suite(tests, under=(*RUN, "--max-tokens", "60", "--"))

    assert simulator.bill().calls == 3
    assert done.ret == 3
    done.stderr.fnmatch_lines(["total * 3 *", "budget  run used 54 of 60 tokens (90%)  ok", "*calls were refused*"])


def test_tests_that_stay_together_pay_as_ever(suite: Suite, pytester: pytest.Pytester) -> None:
    """`--dist loadscope`."""
    suite(TWO, "-n2", "--dist", "loadscope", "--meter-report=json:r.json")

    assert calls_in(pytester.path / "r.json") == TWO_CALLS


@pytest.mark.parametrize("options", [(), ("-n1",)], ids=["alone", "xdist"])
def test_a_run_that_ends_early_is_reported(suite: Suite, pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    """`--maxfail`: what was called is there, with the exit code of the failure."""
    done = suite(
        "def test_a(): ask(); assert 0\n" + "".join(f"def test_{n}(): ask()\n" for n in range(20)),
        "--maxfail=1", *options, "--meter-report=json:r.json",
    )  # fmt: skip

    assert done.ret != 0
    assert calls_in(pytester.path / "r.json")["test_it.py::test_a"] == 1
    assert report(pytester)["contexts"][0]["calls"] == 1
    done.stdout.fnmatch_lines(["token_meter: * call*mocked* --meter for the table"])


@pytest.mark.parametrize("options", [(), ("-n1",)], ids=["alone", "xdist"])
def test_an_interrupted_run_is_reported(suite: Suite, pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    """Ctrl-C, given to the process that a terminal would give it to; pytest's own exit code stays."""
    # Where this suite runs in a shell's background it inherits a Ctrl-C that is ignored.
    pytester.makeconftest("import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n")
    tests = (
        "import signal, time\ndef test_a():\n    ask()\n"
        "    os.kill(os.getppid() if os.environ.get('PYTEST_XDIST_WORKER') else os.getpid(), signal.SIGINT)\n"
        "    time.sleep(3)\n"
    )
    done = suite(tests, *options, "--meter-report=json:r.json", alone=True)

    assert done.ret == pytest.ExitCode.INTERRUPTED
    assert calls_in(pytester.path / "r.json") == {"test_it.py::test_a": 1}
    done.stdout.fnmatch_lines(["token_meter: 1 call, *"])


@pytest.mark.parametrize("options", [(), ("--meter-max-cost=0.00063", "--meter-on-exceed=stop")], ids=["", "limited"])
def test_money_is_exact_though_the_tests_round_theirs(
    suite: Suite, pytester: pytest.Pytester, simulator: Simulator, options: tuple[str, ...]
) -> None:
    """A program may set two digits for its thread, and forbid rounding."""
    pytester.makeconftest("import decimal\nc = decimal.getcontext()\nc.prec = 2\nc.traps[decimal.Inexact] = True\n")

    suite(TWO, "--meter-report=json:r.json", *options, alone=True)

    bill = simulator.bill()
    assert report(pytester)["totals"]["cost"] == float(bill.cost)
    assert bill.calls == (1 if options else 4)


def test_a_worker_on_another_host_sends_its_record(suite: Suite, pytester: pytest.Pytester) -> None:
    """It cannot write to the controller's directory, and makes none of its own."""
    pytester.makeconftest(
        "import os, tempfile\n"
        "if os.environ.get('PYTEST_XDIST_WORKER'):\n"
        "    import token_meter.ledger._place as place\n"
        "    place.host_name = lambda: 'far-away'\n"
        "    tempfile.tempdir = os.path.abspath('there')\n"
    )
    (pytester.path / "there").mkdir()

    suite(TWO, "-n1", "--meter-report=json:r.json")

    assert calls_in(pytester.path / "r.json") == TWO_CALLS
    assert report(pytester)["run"]["complete"] is True
    assert list((pytester.path / "there").iterdir()) == []


def test_parameters_can_be_kept_out_of_everything(suite: Suite, pytester: pytest.Pytester) -> None:
    """Ids may hold prompts: `redact_params` hides them in the record, the reports and the words for a limit."""
    tests = (
        "@pytest.mark.parametrize('q', ['SECRET-1', 'SECRET-2'])\n@pytest.mark.token_budget(max_calls=0)\n"
        "def test_q(q): ask()\n"
    )
    done = suite(
        tests, "test_it.py::test_q[SECRET-1]", "test_it.py::test_q[SECRET-2]", "--meter", "--tb=no", "-q", "-rN",
        "--meter-report=term", "--meter-report=json:r.json", "--meter-report=html:r.html", settings="[tool.token_meter.report]\nredact_params = true",
    )  # fmt: skip

    assert calls_in(pytester.path / "r.json") == {"test_it.py::test_q[...]": 2}
    kept = [p for p in (pytester.path / ".token_meter").rglob("*") if p.is_file()] + [
        pytester.path / "r.json",
        pytester.path / "r.html",
    ]
    assert len(kept) >= 5
    assert [p.name for p in kept if "SECRET" in p.read_text()] == []
    assert "SECRET" not in done.stdout.str()


def test_limits_go_by_the_first_pattern_that_matches_and_the_marker_wins(suite: Suite) -> None:
    """`[[budget.match]]`: by path or id; field by field."""
    settings = (
        "[tool.token_meter.budget.test]\nmax_calls = 1\n"
        "[[tool.token_meter.budget.match]]\ntests = '*::test_many*'\nmax_calls = 3\n"
        "[[tool.token_meter.budget.match]]\ntests = '*.py'\nmax_calls = 2\n"
    )
    done = suite(
        "def calls(n): [ask() for _ in range(n)]\n"
        "def test_many(): calls(3)\n"
        "def test_two(): calls(2)\n"
        "def test_three(): calls(3)\n"
        "@pytest.mark.token_budget(max_calls=1)\ndef test_many_by_marker(): calls(2)\n"
        "@pytest.mark.token_budget(max_tokens=9)\ndef test_many_tokens(): calls(1)\n"
        "@pytest.mark.token_budget(on_exceed='warn')\ndef test_warned(): calls(3)\n",
        settings=settings,
    )

    done.assert_outcomes(passed=3, failed=3)
    done.stdout.fnmatch_lines_random(
        ["*::test_three was limited to 2 calls but made 3 calls", "*_by_marker was limited to 1 call but made 2 calls",
         "*_tokens was limited to 9 tokens but used 38 tokens", "*WARN: *test_warned was limited to 2 calls but*"]
    )  # fmt: skip


@pytest.mark.parametrize("base", ["git:HEAD:base.json", "git:HEAD", "base.json"])
def test_a_base_may_be_what_git_has(suite: Suite, pytester: pytest.Pytester, base: str) -> None:
    """`git:REF:PATH`, `git:REF` for the baseline of that commit, or a file; the age is in commits."""
    suite("def test_a(): ask()", "--meter-report=json:base.json")
    baseline = ".token-meter-baseline.json"
    (pytester.path / baseline).write_text((pytester.path / "base.json").read_text())

    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True)

    git("init", "-q")
    git("add", "base.json", baseline)
    git("commit", "-qm", "base")
    if base.startswith("git:"):
        (pytester.path / "base.json").unlink()
        (pytester.path / baseline).unlink()

    done = suite("def test_a(): ask(); ask()", f"--meter-compare={base}", "--meter-fail-on=calls:0")

    assert done.ret == 1
    done.stdout.fnmatch_lines(["token_meter: EXCEEDED: total: calls +1 (+100.0%), over calls:0"])


def test_a_base_that_is_not_there_is_said_and_passes(suite: Suite) -> None:
    """As the settings say: pass, unless told to fail."""
    options = ("--meter-compare=git:nowhere:x.json", "--meter-fail-on=calls:0")
    done = suite("def test_a(): ask()", *options)
    failing = suite("def test_a(): ask()", *options, settings="[tool.token_meter.diff]\nif_no_base = 'fail'")

    assert (done.ret, failing.ret) == (0, 1)
    done.stdout.fnmatch_lines(["token_meter: no base to compare with; this run: *"])


def test_a_suite_that_calls_no_more_is_compared_too(suite: Suite) -> None:
    """Nothing against something is a change, and it is said; a rule may fail on it."""
    suite("def test_a(): ask()")

    done = suite("def test_a(): pass", "--meter-compare", "--meter-fail-on=unpriced:0")

    assert done.ret == 0
    done.stdout.fnmatch_lines(["token_meter: no test in common with the base; this run: $0.00"])


def test_others_may_name_contexts_and_see_the_report(suite: Suite, pytester: pytest.Pytester) -> None:
    """The two hooks."""
    pytester.makeconftest(
        "def pytest_token_meter_context(item): return 'group::' + item.name[:6]\n"
        "def pytest_token_meter_report(report): open('seen', 'w').write(str(report.summary.totals.calls))\n"
    )
    suite("def test_a1(): ask()\ndef test_a2(): ask()\ndef test_b(): ask()", "--meter-report=json:r.json")

    assert calls_in(pytester.path / "r.json") == {"group::test_a": 2, "group::test_b": 1}
    assert (pytester.path / "seen").read_text() == "3"


def test_runs_can_be_one(suite: Suite, pytester: pytest.Pytester) -> None:
    """`--meter-append` adds to the latest run; the history has it once."""
    from token_meter.report import history

    suite("def test_a(): ask()")
    suite("def test_b(): ask()", "--meter-append", "--meter-report=json:r.json")

    assert calls_in(pytester.path / "r.json") == {"test_it.py::test_a": 1, "test_it.py::test_b": 1}
    assert [p.calls for p in history(pytester.path / ".token_meter")] == [2]


def test_the_table_is_sorted_and_cut_as_asked(suite: Suite) -> None:
    """`--meter-sort`, `--meter-top`, and an empty `--meter-report=` for none."""
    tests = "def test_a(): ask(); ask()\ndef test_b(): ask()\ndef test_c(): ask(); ask(); ask()\n"
    done = suite(tests, "--meter", "--meter-sort=name", "--meter-top=2")
    rows = [line.split()[0] for line in done.stdout.lines if line.startswith(("test_it.py::", "1 more"))]
    none = suite(tests, "--meter-report=", settings="[tool.token_meter.report]\nformats = ['json:r.json', 'term']")

    assert rows == ["test_it.py::test_a", "test_it.py::test_b", "1"]
    assert "token usage" not in none.stdout.str()
    assert not (Path.cwd() / "r.json").exists()


def test_strict_suites_are_not_disturbed(suite: Suite, pytester: pytest.Pytester) -> None:
    """`-W error`, `--strict-markers`, and no terminal at all: nothing of ours is heard, and the report is there."""
    tests = "@pytest.mark.token_budget(max_calls=2)\ndef test_a(): ask()\n@pytest.mark.no_meter\ndef test_b(): ask()\n"
    strict = suite(tests, "-W", "error", "--strict-markers", "--strict-config")
    silent = suite(tests, "-p", "no:terminal", "--meter-report=json:r.json")

    strict.assert_outcomes(passed=2)
    assert (strict.ret, silent.ret) == (0, 0)
    assert silent.stdout.str() == ""
    assert calls_in(pytester.path / "r.json") == {"test_it.py::test_a": 1}


def test_ci_gets_what_its_host_reads(suite: Suite, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--meter-report=ci`: annotations at the start of a line, the summary and the outputs in their files."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
        monkeypatch.setenv(name, str(pytester.path / name))

    done = suite("@pytest.mark.token_budget(max_calls=0)\ndef test_a(): ask()", "--meter-report=ci")

    error = "::error file=test_it.py,line=2,title=LLM budget%3A calls::test_it.py::test_a was limited to 0 calls but*"
    done.stdout.fnmatch_lines([error])
    assert "test_it.py::test_a" in (pytester.path / "GITHUB_STEP_SUMMARY").read_text()
    assert "status=exceeded\n" in (pytester.path / "GITHUB_OUTPUT").read_text()


def test_a_limit_on_spending_leaves_replays_alone(suite: Suite, simulator: Simulator) -> None:
    """`--meter-max-spend=0` with `stop`: a suite of mocks and cassettes runs through, for it spends nothing."""
    done = suite(
        "import vcr\ndef test_a():\n    with vcr.use_cassette('c.yaml'): ask()\ndef test_b(): ask()\n",
        "--meter-max-spend=0", "--meter-on-exceed=stop", "-n1",
    )  # fmt: skip

    done.assert_outcomes(passed=2)
    assert done.ret == 0
    assert simulator.bill().calls == 2


def test_colours_are_as_pytest_has_them(suite: Suite) -> None:
    """`--color` decides; what is wrong is red."""
    tests = "@pytest.mark.token_budget(max_calls=0)\ndef test_a(): ask()"
    coloured = suite(tests, "--meter", "--color=yes").stdout.str()
    plain = suite(tests, "--meter", "--color=no").stdout.str()

    line = "budget  test_it.py::test_a was limited to 0 calls but made 1 call  EXCEEDED"
    assert f"\x1b[31m{line}" in coloured
    assert f"\n{line}\n" in plain


def test_records_of_a_suite_hold_no_prompt_and_no_key(suite: Suite, pytester: pytest.Pytester) -> None:
    """Artifacts of CI can be read by many."""
    suite("def test_a(): ask(user='PROMPT-OF-MINE')", "-n1")

    rows = list(read_run(pytester.path / ".token_meter"))
    assert len(rows) == 1
    for path in (pytester.path / ".token_meter").rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert "PROMPT-OF-MINE" not in text
            assert "sim-" not in text.replace("chatcmpl-sim", "")


@pytest.mark.parametrize(
    ("options", "settings", "env", "ini", "code", "said"),
    [
        (("--meter-max-calls=0", "--meter-on-exceed=warn"), "", {}, "", 0, "token_meter: WARN: run was limited to 0 *"),
        (("--meter-max-calls=0",), "", {}, "", 1, "token_meter: EXCEEDED: run was limited to 0 calls but made 1 call"),
        ((), "[tool.token_meter.budget]\nmax_tokens = 9", {}, "", 1, "token_meter: EXCEEDED: run was limited to 9 *"),
        ((), "", {"TOKEN_METER_BUDGET_MAX_CALLS": "0"}, "", 1, "token_meter: EXCEEDED: run was limited to 0 calls *"),
        ((), "", {}, "meter_max_calls = 0", 1, "token_meter: EXCEEDED: run was limited to 0 calls *"),
        ((), "", {}, "meter_test_max_calls = 0", 1, "*test_a was limited to 0 calls but made 1 call"),
        ((), "", {}, "meter_report = ['term']", 0, "*= token usage =*"),
        ((), "enabled = false", {}, "", 0, None),
        ((), "", {"TOKEN_METER_ENABLED": "no"}, "", 0, None),
        (("--no-meter",), "", {}, "", 0, None),
        (("-p", "no:token_meter.pytest_plugin"), "", {}, "", 0, None),
        (("--meter-unpriced=fail", "--meter-prices=no.toml"), "", {}, "", 1, "token_meter: EXCEEDED: 1 call without*"),
        (("--meter-unpriced=warn", "--meter-prices=no.toml", "--meter"), "", {}, "", 0, 'warning: 1 call to "gpt-4o*'),
        (("--meter-max-cost=1", "--meter-prices=no.toml"), "", {}, "", 0, "token_meter: UNKNOWN: run cannot be held*"),
    ],
)
def test_settings_reach_the_run_from_everywhere(
    suite: Suite,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    settings: str,
    env: dict[str, str],
    ini: str,
    code: int,
    said: str | None,
) -> None:
    """Options, pyproject.toml, environment and ini: what is said, and pytest's exit code. Off is off."""
    (pytester.path / "no.toml").write_text("")
    for name, value in env.items():
        monkeypatch.setenv(name, value)

    done = suite("def test_a(): ask()", *options, settings=settings, ini=ini)

    assert done.ret == code
    if said is None:
        assert "token_meter" not in done.stdout.str().partition("configfile")[2]
        assert not (pytester.path / ".token_meter").exists()
    else:
        done.stdout.fnmatch_lines([said])
