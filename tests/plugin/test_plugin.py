"""The pytest plugin as a suite meets it: attribution, limits, fixture, reports, xdist, silence."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.plugin.conftest import SDK, Suite, calls_in
from token_meter.simulator import Simulator

TESTS = """
@pytest.fixture(scope="session")
def index():
    ask(); yield 1; ask()
def test_one(index): ask()
def test_meter(meter):
    ask()
    assert meter.total_tokens == 38 and meter.cost > 0 and meter.spent == 0 and len(meter.records) == 1
    with meter() as cb: ask()
    assert cb.total_tokens == 38
def test_thread():
    t = threading.Thread(target=ask); t.start(); t.join()
@pytest.mark.token_budget(max_calls=1)
def test_budget(): ask(); ask()
@pytest.mark.no_meter
def test_none(): ask()
def test_nothing(): pass
"""
CALLS = {
    "fixture:index[session]": 2,
    "test_it.py::test_one": 1,
    "test_it.py::test_meter": 2,
    "test_it.py::test_thread": 1,
    "test_it.py::test_budget": 2,
}


def test_calls_belong_to_tests_and_wider_fixtures(
    suite: Suite, pytester: pytest.Pytester, simulator: Simulator
) -> None:
    """Threads included; a limit fails its test with one line; JUnit has the sums; `no_meter` keeps a test out."""
    done = suite(TESTS, "--meter", "--meter-report=term", "--meter-report=json:r.json", "--junitxml=j.xml")

    done.assert_outcomes(passed=5, failed=1)
    assert done.ret == 1
    assert calls_in(pytester.path / "r.json") == CALLS
    assert simulator.bill().calls == 9
    done.stdout.fnmatch_lines(
        ["made 2 calls, limit 1 call (max_calls of the marker token_budget)", "*= token usage =*", "test *calls*",
         "budget  test_it.py::test_budget was limited to 1 call but made 2 calls  EXCEEDED"]
    )  # fmt: skip
    junit = (pytester.path / "j.xml").read_text()
    assert '<property name="token_meter.calls" value="2"' in junit
    assert '<property name="token_meter.prompt_tokens"' in junit


def test_workers_of_xdist_give_the_same_report(suite: Suite, pytester: pytest.Pytester) -> None:
    """The controller reads the workers' shards; a worker that dies leaves its calls and what was in flight."""
    tests = TESTS + "\ndef test_dies():\n    ask(); os._exit(1)\n"

    done = suite(tests, "-n2", "--meter-report=json:r.json", "--meter-report=md:r.md", "--meter-report=csv:r.csv")

    found = calls_in(pytester.path / "r.json")
    assert found.pop("test_it.py::test_dies") == 1
    assert found.pop("fixture:index[session]") in (1, 2)  # its teardown may die with the worker
    assert found == {name: n for name, n in CALLS.items() if not name.startswith("fixture")}
    assert json.loads((pytester.path / "r.json").read_text())["run"]["unclean_processes"] == 1
    done.stdout.fnmatch_lines(["token_meter: * calls, $0.000* ($0.00 spent, * mocked) * --meter for the table"])
    assert "test_dies" in (pytester.path / "r.md").read_text()


@pytest.mark.parametrize("options", [(), ("-n2",)], ids=["alone", "xdist"])
def test_stop_ends_the_run_and_refuses_calls(suite: Suite, simulator: Simulator, options: tuple[str, ...]) -> None:
    """Exactly, over all workers: a call that would go over does not leave; pytest ends with 1."""
    tests = "\n".join(f"def test_{i}(): ask()" for i in range(12))

    done = suite(tests, "--meter-max-calls=3", "--meter-on-exceed=stop", *options)

    assert done.ret == 1
    assert simulator.bill().calls == 3
    assert "token_meter: " in done.stdout.str()
    assert done.parseoutcomes()["passed"] == simulator.bill().calls
    assert "errors" not in done.parseoutcomes()


def test_a_run_over_its_limit_fails_though_all_tests_passed(suite: Suite) -> None:
    """`fail` runs on and exits with 1; the summary says why."""
    done = suite("def test_a(): ask()\ndef test_b(): ask()", "--meter-max-calls=1")

    done.assert_outcomes(passed=2)
    assert done.ret == 1
    done.stdout.fnmatch_lines(["token_meter: EXCEEDED: run was limited to 1 call but made 2 calls"])


def test_reruns_are_attempts_of_one_test(suite: Suite, pytester: pytest.Pytester) -> None:
    """Each attempt has the limit; the cost shown is the sum, and it is not counted twice."""
    tests = (
        "n = []\n@pytest.mark.token_budget(max_calls=1)\ndef test_a():\n    n.append(1); ask(); assert len(n) == 3\n"
    )

    done = suite(tests, "--reruns=2", "--meter-report=json:r.json", "--junitxml=j.xml")

    assert done.ret == 0
    context = json.loads((pytester.path / "r.json").read_text())["contexts"][0]
    assert (context["calls"], context["attempts"]) == (3, 3)
    assert '<property name="token_meter.calls" value="3"' in (pytester.path / "j.xml").read_text()


@pytest.mark.parametrize("first", ["import openai", "import vcr"])
def test_a_cassette_costs_and_spends_nothing(
    suite: Suite, pytester: pytest.Pytester, simulator: Simulator, first: str
) -> None:
    """Replayed calls are told apart, whichever library is imported first."""
    tests = "import vcr\ndef test_a():\n    with vcr.use_cassette('c.yaml'): ask()\n"
    suite(tests, helpers=f"{first}\n{SDK}")

    done = suite(tests, "--meter-report=json:r.json", helpers=f"{first}\n{SDK}")

    done.stdout.fnmatch_lines(["token_meter: 1 call, $0.0000* ($0.00 spent, 1 replayed) * --meter for the table"])
    assert simulator.bill().calls == 1
    assert json.loads((pytester.path / "r.json").read_text())["totals"]["replayed"] == 1


def test_a_comparison_fails_on_a_rule(suite: Suite, pytester: pytest.Pytester) -> None:
    """The last run is the base; a table gets a column."""
    suite("def test_a(): ask()")

    done = suite("def test_a(): ask(); ask()", "--meter", "--meter-compare", "--meter-fail-on=calls:0")

    assert done.ret == 1
    done.stdout.fnmatch_lines(["test * vs base", "token_meter: EXCEEDED: total: calls +1 (+100.0%), over calls:0"])


def test_children_of_tests_are_metered_when_asked(suite: Suite, pytester: pytest.Pytester) -> None:
    """`--meter-subprocess`: the child's call is the test's."""
    tests = "import subprocess, sys\ndef test_a():\n    subprocess.run([sys.executable, '-c', 'import helpers; helpers.ask()'], check=True)\n"

    suite(tests, "--meter-subprocess", "--meter-report=json:r.json")

    assert calls_in(pytester.path / "r.json") == {"test_it.py::test_a": 1}


def test_a_suite_without_calls_sees_nothing(suite: Suite, pytester: pytest.Pytester) -> None:
    """No line, no directory; with `--no-meter` the fixture is still there."""
    done = suite("def test_a(meter): assert meter.cost == 0")
    assert "token_meter:" not in done.stdout.str()
    assert not (pytester.path / ".token_meter").exists()

    done = suite("def test_a(meter): assert meter.cost == 0", "--no-meter")
    assert done.ret == 0

    done = suite("def test_a(): pass", "--meter")
    done.stdout.fnmatch_lines(["token_meter: no LLM call was seen"])


@pytest.mark.parametrize(
    ("options", "settings", "tests", "said"),
    [
        ((), "[tool.token_meter.budget]\nmax_cots = 1", "", "unknown key 'budget.max_cots'; did you mean 'max_cost'?"),
        ((), "max_cost = 1", "", "unknown key 'max_cost'; did you mean 'budget.max_cost'?"),
        ((), "unpriced = 'wran'", "", "unpriced must be one of ignore, warn, fail, not 'wran'; did you mean 'warn'?"),
        (("--meter-max-cost=lots",), "", "", "must be an amount of US dollars such as 0.05, not 'lots'"),
        (("--meter-report=jsno:x",), "", "", "did you mean 'json'?"),
        (("--meter-fail-on=cst:1%",), "", "", "did you mean 'cost'?"),
        ((), "", "@pytest.mark.token_budget(max_cots=1)", "unknown argument 'max_cots'; did you mean 'max_cost'?"),
        ((), "", "@pytest.mark.token_budget(1)", "takes keywords only, such as max_cost=0.01"),
        ((), "", "@pytest.mark.token_budget(max_calls=1.5)", "must be a whole number such as 5000, not 1.5"),
        ((), "", "@pytest.mark.token_budget(on_exceed='boom')", "on_exceed must be warn, fail or stop, not 'boom'"),
        ((), "", "@pytest.mark.token_budget(on_exceed=[])", "on_exceed must be warn, fail or stop, not []"),
    ],
)
def test_mistakes_are_errors_at_the_start(
    suite: Suite, options: tuple[str, ...], settings: str, tests: str, said: str
) -> None:
    """A typo must not switch a budget off: exit code 4, with a suggestion."""
    done = suite(f"{tests}\ndef test_a(): pass", *options, settings=settings)

    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert said in done.stderr.str() + done.stdout.str()


def test_an_unknown_key_of_the_ini_file_is_an_error(suite: Suite) -> None:
    """As one in [tool.token_meter] is: pytest itself would only warn."""
    done = suite("def test_a(): pass", ini="meter_max_cals = 3")

    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "unknown key 'meter_max_cals'; did you mean 'meter_max_calls'?" in done.stderr.str() + done.stdout.str()


def test_a_wrong_marker_fails_its_test_in_a_worker_too(suite: Suite) -> None:
    """A worker cannot end the run: the test with the marker fails with the message, the others run."""
    tests = "@pytest.mark.token_budget(max_cots=1)\ndef test_a(): pass\ndef test_b(): pass\n"

    done = suite(tests, "-n1")

    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["*unknown argument 'max_cots'; did you mean 'max_cost'?*"])
    assert "INTERNALERROR" not in done.stdout.str()


def test_the_nearest_marker_wins_field_by_field(suite: Suite) -> None:
    """What a test's marker does not name, its class's still limits."""
    tests = (
        "@pytest.mark.token_budget(max_calls=1, max_tokens=1)\nclass TestA:\n"
        "    @pytest.mark.token_budget(max_tokens=500)\n    def test_one(self): ask(); ask()\n"
        "    @pytest.mark.token_budget(max_calls=2, max_tokens=500)\n    def test_two(self): ask(); ask()\n"
    )

    done = suite(tests)

    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*TestA::test_one - Failed: made 2 calls, limit 1 call*"])
    assert "tokens" not in done.stdout.str()


@pytest.mark.parametrize("report", ["github", "csv"])
def test_the_table_is_shown_beside_other_reports(suite: Suite, report: str) -> None:
    """`--meter` shows it, in addition to other reports in the terminal."""
    done = suite("def test_a(): ask()", "--meter", f"--meter-report={report}")

    done.stdout.fnmatch_lines(["*= token usage =*", "test *calls*", "total *"])


def test_precedence_is_options_then_environment_then_ini_then_file(tmp_path: Path) -> None:
    """The nearer to the hand, the stronger; each value knows where it comes from."""
    from token_meter.config import load_config

    file = tmp_path / "pyproject.toml"
    file.write_text("[tool.token_meter.budget]\nmax_cost = 1\nmax_tokens = 1\nmax_calls = 1\nmax_spend = 1\n")
    names = [f"budget.max_{name}" for name in ("cost", "tokens", "calls", "spend")]
    config = load_config(
        file,
        environment={"TOKEN_METER_BUDGET_MAX_COST": "3", "TOKEN_METER_BUDGET_MAX_TOKENS": "3"},
        ini={names[0]: "2", names[1]: "2", names[2]: "2"},
        given={names[0]: "4"},
    )

    assert [config[name] for name in names] == [4, 3, 2, 1]
    assert [config.setting(name).origin for name in names] == [
        "command line", "TOKEN_METER_BUDGET_MAX_TOKENS", "ini", "pyproject.toml",
    ]  # fmt: skip


def loaded(pytester: pytest.Pytester, program: str) -> list[str]:
    """Which modules of ours and of our dependencies a program has loaded at its end."""
    names = ("token_meter", "openai", "pydantic", "httpx", "httpx2", "click", "genai_prices", "tiktoken", "asyncio")
    show = f"print(*sorted(m for m in sys.modules if m.partition('.')[0] in {names}))"
    return pytester.run(sys.executable, "-c", f"import pytest, sys\n{program}\n{show}").outlines[-1].split()


def test_the_plugin_is_light(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing it brings itself alone; a suite that imports no HTTP library brings settings and hooks, and no meter."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile("def test_a(): pass")

    imported = loaded(pytester, "import token_meter.pytest_plugin")
    ran = loaded(pytester, "pytest.main(['-q', '-p', 'token_meter.pytest_plugin'])")

    assert imported == ["token_meter", "token_meter.pytest_plugin"]
    assert "token_meter._pytest.session" in ran
    heavy = ("token_meter._meter", "token_meter.ledger", "token_meter.report", "token_meter.wire", "token_meter.types")
    assert [m for m in ran if m.startswith(heavy) or not m.startswith("token_meter")] == []


def test_an_sdk_that_a_test_imports_is_metered_from_there_on(pytester: pytest.Pytester, suite: Suite) -> None:
    """In a fixture, in a test, in a thread of a test: calls are the test's, limits and private prices hold."""
    tests = """
@pytest.fixture(scope="session")
def client_of_all():
    import late; late.ask(); yield
@pytest.mark.token_budget(max_calls=1)
def test_a(client_of_all, meter):
    import late; late.ask(); late.ask()
    assert meter.cost > 0
"""
    body = SDK.replace("import os, threading, openai, pytest", "import os, openai")
    pytester.makepyfile(late=body)

    done = suite(tests, "--meter-report=json:r.json", alone=True, helpers="import pytest\n")

    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["made 2 calls, limit 1 call (*)"])
    assert calls_in(pytester.path / "r.json") == {"fixture:client_of_all[session]": 1, "test_it.py::test_a": 2}


def test_a_failure_of_ours_is_said_and_harms_nothing(pytester: pytest.Pytester, suite: Suite) -> None:
    """The import that would have started the meter succeeds."""
    pytester.makeconftest(
        "from token_meter import Meter\ndef fails(self): raise RuntimeError('broken')\nMeter.__enter__ = fails\n"
    )
    done = suite("def test_a(): ask()", alone=True)

    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["token_meter: nothing is metered: RuntimeError: broken"])
