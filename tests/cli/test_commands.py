"""The smaller commands: they parse, call, print, and answer with a code."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from token_meter.cli import main
from token_meter.ledger import Ledger
from token_meter.types import Call, Usage


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """A directory with one recorded run of two tests."""
    monkeypatch.chdir(tmp_path)
    ledger = Ledger.create(tmp_path / ".token_meter")
    for number, name in enumerate(("a", "b")):
        usage = Usage(1000, 100 * (number + 1), 1000 + 100 * (number + 1))
        call = Call(f"{'0' * 15}{number}-1", 1_795_000_000.0, 1.0, "api.openai.com", "chat", "gpt-4o", "gpt-4o",
                    usage=usage, status=200, provider="openai")  # fmt: skip
        ledger.call(call, context=f"test_x.py::test_{name}")
    ledger.close()
    for file, text in {
        "bad.jsonl": "garbage\n", "bad.json": "garbage", "other.json": "{}",
        "diff.json": '{"schema": "token-meter/report/v2", "kind": "diff"}',
    }.items():  # fmt: skip
        (tmp_path / file).write_text(text)
    return CliRunner()


@pytest.mark.parametrize(
    ("host", "said"), [("127.0.0.1", "cannot serve on 127.0.0.1:{port}: "), ("0.0.0.0", "loopback hosts")]
)
def test_a_simulator_that_cannot_serve_says_so_in_a_line(host: str, said: str) -> None:
    """A port that is taken, an address that others reach."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(main, ["simulator", "--host", host, "--port", str(port)])

    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert said.format(port=port) in done.output


COMMANDS = (
    "run", "report", "reconcile", "export", "query", "diff", "combine", "html", "history", "count", "prices", "baseline", "debug", "clean", "ledger", "demo",
    "simulator",
)  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_terminal(name: str) -> None:
    """Every command explains itself within 80 columns."""
    done = CliRunner().invoke(main, [name, "--help"], terminal_width=80)

    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 80
    assert len(done.output) > 150


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("report", 0, "test_x.py::test_b"),
        ("report --by model", 0, "gpt-4o"),
        ("report --max-calls 1", 3, "run was limited to 1 call but made 2 calls"),
        ("report --max-calls x", 2, "must be a whole number such as 5000"),
        ("report --as-model gpt-4o-mini", 0, 'as if every call had gone to "gpt-4o-mini"'),
        ("report nowhere", 1, "run something first"),
        ("reprot", 2, "no such command 'reprot'; did you mean 'report'?"),
        ("report --max-cost much", 2, "--max-cost must be an amount of US dollars such as 0.05, not 'much'"),
        ("report empty --sort price", 2, "sort must be one of cost, tokens, calls, name"),
        ("report bad.jsonl", 1, "no records of token-meter in 'bad.jsonl': no line can be read"),
        ("report bad.json", 1, "'bad.json' is not JSON (line 1, column 1); expected a report as"),
        ("report other.json", 1, "it has no schema"),
        ("report diff.json", 1, "it says 'token-meter/report/v2', 'diff'"),
        ("combine bad.jsonl -o all.jsonl", 1, "no records of token-meter in 'bad.jsonl'"),
        ("baseline show", 1, "make one from the latest run: token-meter baseline update"),
        ("prices show gpt-4o", 0, "$2.5 per 1M tokens"),
        ("prices show gpt4o", 1, "did you mean gpt-4o"),
        ("prices list --provider opanai", 2, "did you mean 'openai'?"),
        ("report --precision 6", 0, "$0.008000"),
        ("report --precision 12", 2, "12 is not in the range 0<=x<=9"),
        ("report -f cii", 2, "did you mean 'ci'?"),
        ("report -f azure -f github-output", 0, "status=ok"),
        ("diff .token_meter -f csv", 2, "a comparison cannot be written as csv"),
        ("history", 1, "no run in '.token_meter/history.jsonl'; run something first"),
        ("debug config", 0, "budget.max_cost"),
        ("debug data", 0, "2 calls, 1 process, complete"),
        ("count missing.txt", 1, "missing.txt: No such file or directory"),
        ("diff nowhere.json", 0, "no base to compare with"),
        ("diff nowhere.json --if-no-base fail --fail-on cost:1%", 1, "1 rule not judged"),
        ("diff nowhere.json --fail-on cst:1", 2, "did you mean 'cost'?"),
        ("clean", 0, "removed 1 run"),
    ],
)
def test_commands_answer(cli: CliRunner, words: str, code: int, said: str) -> None:
    """0 fine, 1 broken, 2 usage, 3 over; and the words for it."""
    done = cli.invoke(main, words.split())

    assert done.exit_code == code, done.output
    assert said in " ".join(done.output.split())


def test_limits_of_tests_and_refusals_are_on_record(cli: CliRunner) -> None:
    """A report after the run, from a killed job say, shows them; it answers 3, and JSON and pages have them."""
    (run_dir,) = Path(".token_meter", "runs").iterdir()
    ledger = Ledger.join(run_dir)
    text = "test_x.py::test_a was limited to 0 calls but made 1 call"
    ledger.note("context", id="test_x.py::test_a", checks=[["calls", "0", "1", "exceeded", text], ["odd"], 7])
    ledger.note("run", refused="cost")
    ledger.close()

    done = cli.invoke(main, ["report", "-f", "table", "-f", "json:r.json"])
    again = cli.invoke(main, ["report", "r.json"])
    baseline = cli.invoke(main, ["baseline", "update"])

    for said in (done.output, again.output):
        assert f"budget  {text}  EXCEEDED" in said
        assert "calls were refused, because the limit on cost would have been exceeded  EXCEEDED" in said
    assert (done.exit_code, again.exit_code, baseline.exit_code) == (3, 3, 0)
    assert "limited" not in Path(".token-meter-baseline.json").read_text()


def test_a_limit_is_not_said_to_hold_on_a_record_with_gaps(cli: CliRunner) -> None:
    """Nor on a JSON report of it: the answer is the one of the run itself, unless a limit only warns."""
    (run_dir,) = Path(".token_meter", "runs").iterdir()
    (run_dir / "host.pid7.No space left on device.unwritten").touch()
    cli.invoke(main, ["report", "-f", "json:r.json"])

    for paths in ([], ["r.json"]):
        asked = ["report", *paths, "--max-cost", "5", "-f", "table", "-f", "github-output"]
        done, warned = cli.invoke(main, asked), cli.invoke(main, [*asked, "--on-exceed", "warn"])
        over, free = cli.invoke(main, [*asked, "--max-calls", "1"]), cli.invoke(main, ["report", *paths])

        assert [one.exit_code for one in (done, warned, over, free)] == [3, 0, 3, 0]
        assert "the limit on cost cannot be checked: 1 record not written; as far as known, run cost" in done.output
        assert "status=unknown" in done.output
        assert "status=unknown" in warned.output
        assert "status=exceeded" in over.output


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("report r.json", 0, "gpt-4o"),
        ("report r.json --by model", 0, "gpt-4o"),
        ("report r.json --by test", 2, "'r.json' is grouped by model, which cannot become --by test; give its ledger"),
        ("html r.json --by file", 2, "is grouped by model"),
        ("diff r.json r.json --by test", 2, "is grouped by model"),
        ("diff r.json r.json --prices p.toml", 0, "no change"),
        ("report r.json --prices p.toml", 2, "'r.json' is a finished report and cannot be priced again; give its"),
        ("report r.json --as-model gpt-4o-mini", 2, "cannot be priced again; give its ledger with --as-model"),
        ("report .token_meter --by test --prices p.toml --as-model gpt-4o-mini", 0, "test_x.py::test_b"),
    ],
)
def test_nothing_is_asked_of_a_finished_report_in_vain(cli: CliRunner, words: str, code: int, said: str) -> None:
    """It has its rows and its prices; what was typed is never ignored."""
    Path("p.toml").write_text("")
    cli.invoke(main, ["report", "--by", "model", "-f", "json:r.json"])

    done = cli.invoke(main, words.split())

    assert done.exit_code == code, done.output
    assert said in " ".join(done.output.replace("│", "").split())


def test_another_model_is_no_change_of_usage(cli: CliRunner) -> None:
    """Calls as they were against the same calls as another model's: only the costs of both can be compared."""
    cli.invoke(main, ["report", "-f", "json:was.json"])
    cli.invoke(main, ["report", "--as-model", "gpt-4o-mini", "-f", "json:would.json"])

    done = cli.invoke(main, ["diff", "was.json", "would.json"])
    costs = cli.invoke(main, ["diff", "was.json", "would.json", "--as-recorded"])

    assert done.exit_code == 2
    assert "priced as the models that were called and the head as 'gpt-4o-mini'" in done.output
    assert (costs.exit_code, "usage" in costs.output) == (0, False)


def test_a_baseline_changes_only_when_costs_do(cli: CliRunner) -> None:
    """Written twice it is the same file, and a comparison with it finds nothing."""
    cli.invoke(main, ["baseline", "update"])
    first = Path(".token-meter-baseline.json").read_text()
    cli.invoke(main, ["baseline", "update"])

    assert Path(".token-meter-baseline.json").read_text() == first
    done = cli.invoke(main, ["diff", ".token-meter-baseline.json", "--fail-on", "cost:0", "--fail-on", "calls:0"])
    assert done.exit_code == 0, done.output


def test_a_baseline_without_a_price_is_not_free(cli: CliRunner) -> None:
    """What was written says so, and nothing is said to have fallen."""
    cli.invoke(main, ["baseline", "update"])
    ledger = Ledger.create(".token_meter")
    ledger.call(Call("00000000000000a1-1", 1.0, 0.5, None, "chat", "acme-7b", usage=Usage(5, 5, 10), status=200))
    ledger.close()

    done = cli.invoke(main, ["baseline", "update", str(ledger.run_dir)])

    assert done.output == "wrote .token-meter-baseline.json: unpriced in 1 call\n"


def test_combining_twice_changes_nothing(cli: CliRunner) -> None:
    """One file of many shards; the same again is the same."""
    said = [cli.invoke(main, ["combine", ".token_meter", "-o", "all.jsonl", "--append"]).output for _ in range(2)]

    assert said == ["wrote all.jsonl: 2 calls of 1 process\n"] * 2


def test_count_streams_files_and_sums(cli: CliRunner) -> None:
    """A character that is cut by a chunk's end is one character."""
    Path("a.txt").write_text("hello world " * 10_000 + "玫瑰" * 30_000, encoding="utf-8")
    Path("b.txt").write_text("hello")

    done = cli.invoke(main, ["count", "-m", "gpt-4o", "--json", "a.txt", "b.txt"])

    from token_meter.estimate import count_text

    data = json.loads(done.output)
    assert data["files"][0]["tokens"] == count_text(Path("a.txt").read_text(encoding="utf-8"), "gpt-4o").tokens
    assert data["total"]["tokens"] == sum(row["tokens"] for row in data["files"])
