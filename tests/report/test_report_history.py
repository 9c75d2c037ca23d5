"""The history: one line for each run, even if the file is damaged."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from click.testing import CliRunner

from tests.report.samples import row, summary_of
from token_meter.cli import main
from token_meter.report import Run, Summary, View, history, remember, render
from token_meter.report._history import FILE


def run(name: str, prompt: int = 1000) -> Summary:
    """A run of one call."""
    return replace(summary_of(row(prompt=prompt, completion=0)), run=Run(id=name, command=("pytest", "-q")))


def test_runs_are_remembered_in_order_and_exactly(tmp_path: Path) -> None:
    """Money comes back digit for digit; the file is its owner's alone."""
    for n in range(3):
        remember(run(f"r{n}", 1000 + n), tmp_path)

    points = history(tmp_path)

    assert [p.run for p in points] == ["r0", "r1", "r2"]
    assert [p.cost for p in points] == [Decimal("0.001"), Decimal("0.001001"), Decimal("0.001002")]
    assert (points[0].commit, points[0].command, points[0].calls) == ("9c1e0f2a4b6d", "pytest -q", 1)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert [p.run for p in history(tmp_path, last=2)] == ["r1", "r2"]


def test_a_run_that_is_reported_twice_is_one_run(tmp_path: Path) -> None:
    """`token-meter run -- pytest` is reported by both; the last word counts."""
    for prompt in (1000, 5000):
        remember(run("same", prompt), tmp_path)

    assert [p.cost for p in history(tmp_path)] == [Decimal("0.005")]


def test_lines_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    """Torn, foreign, hostile: the others are still there."""
    remember(run("good"), tmp_path)
    bad = ["", "{", "[]", '{"cost": "NaN", "spent": "0"}', '{"cost": "-1", "spent": "0"}', '{"cost": 1}', "\x00"]
    bad += [f'{{"cost": "1", "spent": "0", "calls": {count}}}' for count in ("1e400", "NaN", "-1", "9" * 5000)]
    bad += ['{"cost": "1e99999999", "spent": "0"}', "[" * 100_000]
    with open(tmp_path / FILE, "a") as file:
        file.write("\n".join([*bad, '{"cost":"1","sp']))

    assert [p.run for p in history(tmp_path)] == ["good"]
    assert history(tmp_path / "nowhere") == ()


def test_the_history_is_inert_on_a_terminal(tmp_path: Path) -> None:
    """Whoever can write the file chose its dates and commits too."""
    remember(run("good"), tmp_path)
    line = (tmp_path / FILE).read_text()
    for word in ("2026-11-20", "9c1e0f2a4b6d", "pytest"):
        assert word in line
        line = line.replace(word, r"\u001b[31m\u202ex")
    (tmp_path / FILE).write_text(line)

    shown = CliRunner().invoke(main, ["history", "--data-dir", str(tmp_path)])

    assert shown.exit_code == 0, shown.output
    assert "\x1b" not in shown.output
    assert "\u202e" not in shown.output


def test_a_run_without_a_price_is_no_run_for_nothing(tmp_path: Path) -> None:
    """As lines, as JSON and on the page: unpriced, `null`, and a bound where some of it is known."""
    unpriced, known = row(model="acme-7b"), row(n=1, prompt=1000, completion=0)
    replayed = row(model="acme-7b", source="replay")
    for name, rows in (("a", [unpriced]), ("b", [unpriced, known]), ("c", [replayed])):
        remember(replace(summary_of(*rows), run=Run(id=name)), tmp_path)
    points = history(tmp_path)

    lines = CliRunner().invoke(main, ["history", "--data-dir", str(tmp_path)]).output.splitlines()
    data = json.loads(CliRunner().invoke(main, ["history", "--json", "--data-dir", str(tmp_path)]).output)

    assert [line.split()[-2:] for line in lines[1:]] == [["unpriced"] * 2, [">=$0.0010"] * 2, ["$0.00", "unpriced"]]
    assert [(r["cost"], r["spent"]) for r in data] == [(None, None), ("0.001", "0.001"), (None, "0")]
    assert [p.title.split()[0] for p in points] == ["unpriced", ">=$0.0010", "unpriced"]
    page = render(summary_of(known), "html", View(history=points))
    assert "&gt;=$0.0010 to &gt;=$0.0010 a run since" in page


def test_a_long_history_is_read_from_its_end(tmp_path: Path) -> None:
    """Reading it costs the same after a year."""
    remember(run("first"), tmp_path)
    line = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text("".join(line.replace("first", f"r{n}") for n in range(20_000)))
    assert os.path.getsize(tmp_path / FILE) > 3_000_000

    assert [p.run for p in history(tmp_path, last=3)] == ["r19997", "r19998", "r19999"]


def test_the_page_shows_the_runs_before(tmp_path: Path) -> None:
    """A column for each; the last one is told apart when it is the page's own run."""
    runs = [run(f"r{n}", 1000 * (n + 1)) for n in range(3)]
    for one in runs:
        remember(one, tmp_path)
    view = View(history=history(tmp_path))

    own, older = render(runs[2], "html", view), render(runs[0], "html", view)

    assert "The last 3 runs" in own
    assert "$0.0010 to $0.0030 a run since 2026-11-20; the last one is this run" in own
    assert "the last one is this run" not in older
    assert "The last" not in render(runs[0], "html", View(history=history(tmp_path)[:1]))
