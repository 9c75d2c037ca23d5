"""What a reader of a test's output is told of a limit: what it was, who set it, and nothing of our inside."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import HELPERS, SDK, Suite
from tests.plugin.test_plugin_runs import report

UNPRICED = HELPERS.replace("gpt-4o-mini", "acme-7b")
MARKED = "@pytest.mark.token_budget(max_cost=0.000001)\ndef test_a(): ask()\n"


@pytest.mark.parametrize(
    ("tests", "options", "settings"),
    [
        (MARKED, (), ""), ("def test_a(): ask()\n", ("--meter-test-max-cost=0.000001",), ""),
        ("def test_a(): ask()\n", (), "[tool.token_meter.budget.test]\nmax_cost = 0.000001\n"),
    ],
    ids=["marker", "option", "pyproject"],
)  # fmt: skip
@pytest.mark.parametrize("unpriced", ["warn", "fail", "ignore"])
def test_f128_a_limit_on_the_cost_of_a_test_without_a_price_is_unknown(
    suite: Suite, pytester: pytest.Pytester, tests: str, options: tuple[str, ...], settings: str, unpriced: str
) -> None:
    """It is told, or fails the test, as for a run; nothing passes in silence but what was told to."""
    done = suite(
        tests,
        "--meter-report=json:r.json",
        f"--meter-unpriced={unpriced}",
        *options,
        settings=settings,
        helpers=UNPRICED,
    )
    found = [check["status"] for check in report(pytester)["budgets"] if check["field"] == "cost"]

    assert found == ([] if unpriced == "ignore" else ["unknown"])
    done.assert_outcomes(failed=1) if unpriced == "fail" else done.assert_outcomes(passed=1)
    assert done.ret == (1 if unpriced == "fail" else 0)
    if unpriced == "warn":
        done.stdout.fnmatch_lines(
            ["token_meter: UNKNOWN: test_it.py::test_a cannot be held to $0.000001: 1 of 1 call*"]
        )


SETS = {
    "marker": ("@pytest.mark.token_budget(max_calls=0)\ndef test_a(): ask()\n", (), "", "max_calls of the marker token_budget"),
    "option": ("def test_a(): ask()\n", ("--meter-test-max-calls=0",), "", "--meter-test-max-calls"),
    "pyproject": (
        "def test_a(): ask()\n", (), "[tool.token_meter.budget.test]\nmax_calls = 0\n",
        "budget.test.max_calls of pyproject.toml",
    ),
    "match": (
        "def test_a(): ask()\n", (), '[[tool.token_meter.budget.match]]\ntests = "*"\nmax_calls = 0\n',
        "max_calls of budget.match",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("tests", "options", "settings", "named"), SETS.values(), ids=SETS.keys())
def test_f157_a_failed_test_begins_with_the_numbers_and_names_who_set_the_limit(
    suite: Suite, tests: str, options: tuple[str, ...], settings: str, named: str
) -> None:
    """The id stands on the line already, which is cut at 80 columns."""
    done = suite(tests, *options, settings=settings)

    done.stdout.fnmatch_lines(
        [f"made 1 call, limit 0 calls ({named})", "FAILED test_it.py::test_a - Failed: made 1 call, limit 0*"]
    )


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--meter-max-calls=1", "limited to 1 call (--meter-max-calls): 1 call made*The call was not sent: raise --meter-max-calls"),
        ("--meter-max-tokens=30", "limited to 30 tokens*(--meter-max-tokens)*smaller max_tokens, raise --meter-max-tokens"),
        ("--meter-max-cost=0.00001", "limited to $0.00001*(--meter-max-cost)*smaller max_tokens, raise --meter-max-cost"),
    ],
)  # fmt: skip
def test_f157_a_refusal_names_the_option_and_hides_our_frames(suite: Suite, option: str, text: str) -> None:
    """Nobody who runs tests knows of a meter's arguments, or needs our inside."""
    tests = "def test_a():\n    for _ in range(3): ask(max_tokens=5)\n"
    done = suite(tests, option, "--meter-on-exceed=stop", helpers=SDK)
    said = done.stdout.str()

    done.stdout.fnmatch_lines([f"E*this run of pytest is {text}"])
    assert "suspended" not in said
    assert "/token_meter/" not in said
    assert "_base_client.py" in said or "completions.py" in said


def test_f157_full_trace_shows_all_and_our_own_mistakes_are_seen(suite: Suite) -> None:
    """`--full-trace` is asked for; what we raise that is no refusal keeps its frames."""
    tests = "def test_a():\n    for _ in range(3): ask()\ndef test_b(meter): meter(max_cost='x')\n"
    shown = suite(tests, "--meter-max-calls=1", "--meter-on-exceed=stop", "--full-trace").stdout.str()
    mistake = suite("def test_b(meter): meter(max_cost='x')\n").stdout.str()

    assert "admission.py" in shown
    assert "_money.py" in mistake
