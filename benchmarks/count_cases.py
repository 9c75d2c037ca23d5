"""Holds the counting rules against requests whose token counts the API reported, and prints how often they are right.

    python benchmarks/count_cases.py PATH/TO/count_cases.json [--markdown] [--worst N]

The file is a JSON list of cases with `id`, `model` (as served), `endpoint` (`chat` or `responses`), `request` (the
body) and `prompt_tokens` (as reported). It is not in this repository, because its requests come from other people's.
Where cases have `usage` and `completion`, the answer's rules are held against them too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.estimate.by_name import estimate_usage, prompt_tokens
from token_meter.estimate import Estimate
from token_meter.types import Answer

# Recordings whose count is not the API's: the same question stands elsewhere with the right count, or the recorded
# file was edited afterwards. They are shown in a row of their own.
MOCKED = frozenset({"calibration-0449", "calibration-0664", "calibration-0667"})

TABLES = "holdout-table"
"""The set whose counts people noted down in the days of gpt-3.5, when tools were written otherwise."""

ORDER = (
    "text only",
    "tool definitions",
    "tool calls and results",
    "structured output",
    "tools and structured output",
    "images of known size",
    "images of unknown size",
    "tools, old tables",
    "mocked or edited recordings",
    "not estimable: files, audio",
    "not estimable: custom tools",
    "not estimable: hosted tools",
    "not estimable: server state",
)


def class_of(estimate: Estimate) -> str:
    """Name the class of a request by what the estimate says about it."""
    if estimate.uncounted:
        kinds = set(estimate.uncounted)
        if kinds & {"hosted tools", "custom tools"}:
            return f"not estimable: {'hosted' if 'hosted tools' in kinds else 'custom'} tools"
        is_state = kinds & {"server state", "reasoning items", "server items"}
        return "not estimable: server state" if is_state else "not estimable: files, audio"
    if estimate.kind == "images":
        is_bound = "images of unknown size" in estimate.approximate
        return "images of unknown size" if is_bound else "images of known size"
    return estimate.kind


def row_of(errors: Iterable[tuple[int, int]]) -> tuple[int, str, str, str]:
    """Sum up pairs of (error, reported count): how many, exact, within two tokens, median relative error."""
    pairs = list(errors)
    exact = sum(off == 0 for off, _ in pairs)
    near = sum(abs(off) <= 2 for off, _ in pairs)
    relative = statistics.median(abs(off) / max(1, reported) for off, reported in pairs)
    share = f"{exact} = {100 * exact / len(pairs):.1f} %"
    return len(pairs), share, f"{100 * near / len(pairs):.0f} %", f"{100 * relative:.1f} %"


def measure_prompts(cases: list[dict[str, Any]]) -> dict[tuple[str, str], list[tuple[int, int, str]]]:
    """Give (error, reported count, id) of every case, by endpoint and class."""
    found: dict[tuple[str, str], list[tuple[int, int, str]]] = defaultdict(list)
    for case in cases:
        estimate = prompt_tokens(case["endpoint"], case["request"], case["model"])
        counted = estimate.usage.prompt_tokens if estimate.usage else None
        off = (counted or 0) - case["prompt_tokens"]
        kind = "mocked or edited recordings" if case["id"] in MOCKED else class_of(estimate)
        if case.get("set") == TABLES and kind.startswith("tool"):
            kind = "tools, old tables"
        found[case["endpoint"], kind].append((off, case["prompt_tokens"], case["id"]))
    return found


def answer_of(completion: Mapping[str, Any], endpoint: str) -> Answer:
    """Make an answer, as a stream would have shown it, from a recorded completion."""
    if endpoint == "chat":
        calls = [call.get("function", call) for call in completion.get("tool_calls") or ()]
        texts = [text for text in (completion.get("text"), completion.get("refusal")) if text]
        finish = completion.get("finish_reason") or "stop"
    else:
        output = completion.get("output") or ()
        calls = [item for item in output if item.get("type") == "function_call"]
        parts = [part for item in output if item.get("type") == "message" for part in item.get("content") or ()]
        texts = [part.get("text") or part.get("refusal") or "" for part in parts]
        finish = "completed"
    named = tuple((str(call.get("name")), str(call.get("arguments") or "")) for call in calls)
    return Answer(tuple(texts), named, finish=finish)


def measure_answers(cases: list[dict[str, Any]]) -> dict[tuple[str, str], list[tuple[int, int, str]]]:
    """Give (error, reported visible tokens, id) of the recorded answers; hidden reasoning is taken off first."""
    found: dict[tuple[str, str], list[tuple[int, int, str]]] = defaultdict(list)
    for case in cases:
        usage, completion = case.get("usage"), case.get("completion")
        if not usage or not completion or "not estimable" in class_of_case(case):
            continue
        total = usage.get("completion_tokens", usage.get("output_tokens"))
        details = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
        hidden = details.get("reasoning_tokens") or 0
        answer = answer_of(completion, case["endpoint"])._replace(reasoned=hidden > 0)
        if total is None or (case["request"].get("n") or 1) > 1 or not (answer.texts or answer.tool_calls):
            continue
        request = json.dumps(case["request"]).encode()
        estimate = estimate_usage(case["endpoint"], request, answer, case["model"])
        counted = (estimate.usage.completion_tokens if estimate.usage else None) or 0
        kind = ("one call", "several calls")[len(answer.tool_calls) > 1] if answer.tool_calls else "text"
        model = "reasoning model, visible part" if estimate.certainty == "lower_bound" else "classic"
        visible = total - hidden
        found[case["endpoint"], f"{kind}, {model}"].append((counted - visible, visible, case["id"]))
    return found


def class_of_case(case: dict[str, Any]) -> str:
    """Name the class of a case."""
    return class_of(prompt_tokens(case["endpoint"], case["request"], case["model"]))


def show(title: str, rows: list[tuple[str, ...]], *, markdown: bool) -> None:
    """Print a table, for people or for a README."""
    if markdown:
        print("| " + " | ".join(rows[0]) + " |")
        print("|" + "---|" * len(rows[0]))
        for row in rows[1:]:
            print("| " + " | ".join(row) + " |")
    else:
        print(title)
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for row in rows:
            print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()


def table(
    found: Mapping[tuple[str, str], list[tuple[int, int, str]]], order: tuple[str, ...], head: str
) -> list[tuple[str, ...]]:
    """Lay out a row for each class, and one for all chat cases."""
    rows: list[tuple[str, ...]] = [("api", head, "cases", "exact", "within 2", "median error")]
    keys = sorted(found, key=lambda key: (key[0], order.index(key[1]) if key[1] in order else 99, key[1]))
    for api, kind in keys:
        n, *rest = row_of((off, reported) for off, reported, _ in found[api, kind])
        rows.append((api, kind, str(n), *rest))
    for api in sorted({api for api, _ in keys}):
        every = [(off, reported) for key in keys if key[0] == api for off, reported, _ in found[key]]
        n, *rest = row_of(every)
        rows.append((api, "all", str(n), *rest))
    return rows


def main(argv: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="the JSON file with the cases")
    parser.add_argument("--markdown", action="store_true", help="print the tables as markdown")
    parser.add_argument("--worst", type=int, default=0, metavar="N", help="also list the N commonest errors a class")
    options = parser.parse_args(argv)
    if not options.path.is_file():
        print(f"{options.path} is not there: the cases are not part of this repository, so nothing was measured.")
        return 0
    cases = json.loads(options.path.read_bytes())
    prompts, answers = measure_prompts(cases), measure_answers(cases)
    show("Prompt tokens", table(prompts, ORDER, "request"), markdown=options.markdown)
    show("Completion tokens", table(answers, (), "answer"), markdown=options.markdown)
    for (api, kind), errors in sorted({**prompts}.items()) if options.worst else ():
        common = Counter(off for off, _, _ in errors if off).most_common(options.worst)
        if common:
            print(f"{api}, {kind}: " + ", ".join(f"{off:+d} x {times}" for off, times in common))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
