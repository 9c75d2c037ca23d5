"""The pages that docs/img shows, and that the tests look at in a browser: a run with something of everything.

`python -m tests.report.docs_pages` takes the pictures again; it needs Chromium and pngquant.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from tests.report.samples import NOW, VCS, FlatBook, row
from token_meter.ledger import Row
from token_meter.report import Limit, Run, Summary, View, check_limits, compare, render, summarise
from token_meter.report._history import Point

IMAGES = Path(__file__).parents[2] / "docs" / "img"
LIMITS = [Limit.of("run", "cost", "0.50"), Limit.of("run", "calls", 40), Limit.of("test", "cost", "0.10")]
RUN = Run(
    id="7f3a9c", command=("pytest", "-n2"), exit_status=1, duration_s=41.2, processes=3,
    labels={"suite": "evals", "team": "search"},
)  # fmt: skip


def _rows(scale: int = 1) -> list[Row]:
    """Calls of a suite of evaluations; *scale* makes the agent talk more."""
    n = 0

    def some(context: str | None, calls: int, model: str, prompt: int, completion: int, **more: object) -> list[Row]:
        nonlocal n
        n += calls
        changes = {"model": model, "prompt": prompt, "completion": completion, **more}
        return [row(context, n - calls + i, **changes) for i in range(calls)]  # type: ignore[arg-type]

    long = "a customer who asks in Portuguese, twice, and then changes their mind about the delivery address"
    agent = "tests/evals/test_agent.py::"
    return [
        *some(f"{agent}test_plans_a_trip", 6, "gpt-4o", 8200 * scale, 880 * scale),
        *some(f"{agent}test_plans_a_trip", 4, "gpt-4o-mini", 3100, 400),
        *some(f"{agent}TestRefunds::test_explains_the_policy_without_inventing_one[{long}]", 3, "o4-mini", 4100, 1900),
        *some("tests/evals/test_rag.py::test_answers_with_sources", 5, "gpt-4o-mini", 6100, 405, source="replay"),
        *some("tests/evals/test_rag.py::test_refuses_off_topic", 2, "gpt-4o-mini", 1900, 40, source="replay"),
        *some("tests/evals/test_rag.py::test_streams_without_usage", 1, "gpt-4o-mini", 900, 120, certainty="estimated"),
        *some("tests/evals/test_own_model.py::test_local_model", 2, "acme-7b", 700, 60),
        *some("fixture:index[session]", 2, "text-embedding-3-small", 44_000, 0, source="replay"),
        *some(None, 1, "gpt-4o-mini", 50, 5),
    ]


def _summary(scale: int = 1) -> Summary:
    made = summarise(_rows(scale), book=FlatBook(), now=NOW, vcs=VCS)
    groups = [replace(g, outcome="failed") if "Refunds" in g.id else g for g in made.groups]
    groups = [replace(g, attempts=3) if "refuses" in g.id else replace(g, processes=2) for g in groups]
    return replace(made, groups=tuple(groups), run=RUN)


def PAGES() -> dict[str, str]:  # a table, made late
    """Name to page."""
    summary = _summary()
    summary = replace(summary, checks=check_limits(summary, LIMITS))
    costs = [210, 214, 214, 208, 260, 262, 262, 301, 297, 297, 305, 310]
    past = [
        Point((NOW - timedelta(days=12 - i)).isoformat(), str(i), 25, 190_000, Decimal(c) / 1000, Decimal(0))
        for i, c in enumerate(costs)
    ]
    now = Point(
        summary.created, str(summary.run.id), summary.totals.calls, 0, summary.totals.cost, summary.totals.spent, 2
    )
    view = View(history=(*past, now))
    before = replace(_summary(), groups=tuple(g for g in _summary().groups if "off_topic" not in g.id))
    after = replace(_summary(2), groups=tuple(g for g in _summary(2).groups if "own_model" not in g.id))
    diff = compare(before, after, book=FlatBook(), fail_on=["cost:10%", "test.cost:0.05"], warn_on=["calls:0"], age=2)
    return {"report": render(summary, "html", view), "diff": render(diff, "html")}


def long_names() -> str:
    """A page whose every name is too long for any window."""
    name = "x" * 300
    many = [row(f"tests/{name}.py::test[{name}]", n, model=f"{name}{n}", prompt=10**9, tags=(name,)) for n in range(9)]
    vcs = replace(VCS, branch=name, run_url=f"https://ci.example/{name}")
    summary = summarise(many, book=FlatBook(), now=NOW, vcs=vcs, labels={name: name})
    limits = [Limit.of("test", "cost", 1), Limit.of("run", "calls", 1)]
    summary = replace(summary, checks=check_limits(summary, limits), as_model=name)
    return render(summary, "html", View(changes=dict.fromkeys((g.id for g in summary.groups), "+$1,000.00 (+12.3%)")))


def main() -> None:
    """Take the pictures of docs/img."""
    import subprocess

    from tests.report.chromium import Browser

    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place, Browser() as browser:
        for name, text in PAGES().items():
            page = Path(place, f"{name}.html")
            page.write_text(text, encoding="utf-8")
            for dark in (False, True):
                browser.show(page, width=1100, dark=dark)
                target = IMAGES / f"{name}{'-dark' if dark else ''}.png"
                target.write_bytes(browser.picture())
                subprocess.run(["pngquant", "--force", "--ext=.png", "--strip", str(target)], check=True)
                print(target, target.stat().st_size)


if __name__ == "__main__":
    main()
