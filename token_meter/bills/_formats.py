"""A reconciliation in every format of the reports."""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from token_meter._money import format_usd
from token_meter.bills._causes import Cause, Part, Reconciliation
from token_meter.exceptions import ConfigError
from token_meter.report._formatting import azure_data, command_data, csv_cell, markdown, terminal, visible, xml

SCHEMA = "token-meter/reconciliation/v1"
_SHOWN = 20
_WIDEST = 120


def _money(amount: Decimal) -> str:
    return ("+" if amount > 0 else "-" if amount < 0 else "") + format_usd(abs(amount))


def _count(number: int) -> str:
    return f"{number:+,}" if number else "0"


def headline(found: Reconciliation) -> str:
    """The outcome in one line."""
    what = f"bill of {', '.join(found.providers) or 'no provider'}, {found.since} to before {found.until}"
    sums = f"{format_usd(found.bill_amount)} billed, {format_usd(found.our_amount)} here" if found.has_costs else ""
    tokens = f"{found.bill.total:,} tokens billed, {found.ours.total:,} here" if found.has_usage else ""
    return f"{what}: {'; '.join(text for text in (sums, tokens) if text) or 'no rows'}"


def _columns(found: Reconciliation) -> list[str]:
    return [
        *(["requests"] if found.has_requests and found.has_usage else []),
        *(["input", "output"] if found.has_usage else []),
        *(["USD"] if found.has_costs else []),
    ]


def _cells(found: Reconciliation, tokens: Any, amount: Decimal | None) -> list[str]:
    values = {
        "requests": _count(tokens.requests), "input": _count(tokens.input), "output": _count(tokens.output),
        "USD": "" if amount is None else _money(amount),
    }  # fmt: skip
    return [values[name] for name in _columns(found)]


def _told(found: Reconciliation) -> Iterator[Cause]:
    """The causes that there are, and always the last one."""
    yield from (cause for cause in found.causes if cause.parts or cause.code == "unexplained")


def table(found: Reconciliation) -> str:
    rows = [["the bill has more than the ledger", *_columns(found)]]
    for cause in _told(found):
        rows.append([cause.text, *_cells(found, cause.tokens, cause.amount)])
        parts = _together(cause)
        rows += [[f"  {terminal(_name(p), _WIDEST)}", *_cells(found, p.tokens, p.amount)] for p in parts[:_SHOWN]]
        if len(parts) > _SHOWN:
            rows.append([f"  ... and {len(parts) - _SHOWN:,} more", *[""] * len(_columns(found))])
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = [headline(found)]
    for first, *others in rows:
        right = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        lines.append("  ".join([first.ljust(widths[0]), *right]).rstrip())
    return "\n".join([*lines, *_footer(found), ""])


def _together(cause: Cause) -> list[Part]:
    """Rows for people: days with the same model and the same note as one, but the two days of a midnight."""
    if cause.code == "midnight":
        return cause.parts
    groups: dict[tuple[str, str], list[Part]] = {}
    for part in cause.parts:
        groups.setdefault((part.model, part.note), []).append(part)
    found = []
    for (model, note), parts in groups.items():
        days = sorted({part.day for part in parts})
        whole = Cause(cause.code, parts)
        amount = whole.amount if any(part.amount is not None for part in parts) else None
        day = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        found.append(Part(day, model, whole.tokens, amount, note))
    return found


def _name(part: Part) -> str:
    return f"{part.day} {part.model}{f': {part.note}' if part.note else ''}"


def _footer(found: Reconciliation) -> list[str]:
    share = f"unexplained: {found.share * 100:.2f} % of the bill"
    return [share, *(f"note: {visible(note)}" for note in found.notes)]


def to_markdown(found: Reconciliation) -> str:
    columns = _columns(found)
    lines = [
        f"### {headline(found)}",
        "",
        "| the bill has more than the ledger |" + "".join(f" {c} |" for c in columns),
    ]
    lines.append("|---|" + "--:|" * len(columns))
    for cause in _told(found):
        cells = "".join(f" {cell} |" for cell in _cells(found, cause.tokens, cause.amount))
        lines.append(f"| **{cause.text}** |{cells}")
        parts = _together(cause)
        for part in parts[:_SHOWN]:
            cells = "".join(f" {cell} |" for cell in _cells(found, part.tokens, part.amount))
            lines.append(f"| {markdown(_name(part))} |{cells}")
        if len(parts) > _SHOWN:
            lines.append(f"| ... and {len(parts) - _SHOWN:,} more |" + " |" * len(columns))
    return "\n".join([*lines, "", *_footer(found), ""])


def page(found: Reconciliation) -> str:
    columns, rows = _columns(found), []
    for cause in _told(found):
        cells = "".join(f"<td>{html.escape(c)}</td>" for c in _cells(found, cause.tokens, cause.amount))
        rows.append(f"<tr class=cause><th scope=row>{html.escape(cause.text)}</th>{cells}</tr>")
        for part in _together(cause):
            cells = "".join(f"<td>{html.escape(c)}</td>" for c in _cells(found, part.tokens, part.amount))
            rows.append(f"<tr><th scope=row>{html.escape(visible(_name(part)))}</th>{cells}</tr>")
    head = "".join(f"<th scope=col>{name}</th>" for name in columns)
    style = (
        ":root{color-scheme:light dark}body{font:15px system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem}"
        "table{border-collapse:collapse;width:100%}th{text-align:left;font-weight:400;padding:.2rem .6rem}"
        "td{text-align:right;font-variant-numeric:tabular-nums;padding:.2rem .6rem}.cause th,.cause td{font-weight:600;"
        "border-top:1px solid #8884}"
    )
    foot = "".join(f"<p>{html.escape(line)}</p>" for line in _footer(found))
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>The bill and the ledger</title><style>{style}</style><h1>The bill and the ledger</h1>"
        f"<p>{html.escape(headline(found))}</p><table><tr><th scope=col>the bill has more than the ledger</th>{head}"
        f"</tr>{''.join(rows)}</table>{foot}</html>\n"
    )


def _number(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def to_json(found: Reconciliation) -> str:
    """Money is a string, so that it keeps its digits; what is not compared is null."""
    has_money = found.has_costs
    data = {
        "schema": SCHEMA, "since": found.since, "until": found.until, "providers": list(found.providers),
        "bill": {**found.bill._asdict(), "cost": _number(found.bill_amount) if has_money else None},
        "ledger": {**found.ours._asdict(), "cost": _number(found.our_amount) if has_money else None},
        "compares": {"tokens": found.has_usage, "requests": found.has_requests, "money": has_money},
        "unexplained_share": f"{found.share:f}",
        "causes": [
            {
                "code": cause.code, "text": cause.text, **cause.tokens._asdict(),
                "cost": _number(cause.amount) if has_money else None,
                "rows": [
                    {"day": p.day, "model": p.model, **p.tokens._asdict(), "cost": _number(p.amount), "note": p.note}
                    for p in cause.parts
                ],
            }
            for cause in found.causes
        ],
        "notes": list(found.notes),
    }  # fmt: skip
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def to_csv(found: Reconciliation) -> str:
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["cause", "day", "model", "requests", "input_tokens", "output_tokens", "cost_usd", "note"])
    for cause in found.causes:
        for part in cause.parts:
            t = part.tokens
            names = map(csv_cell, (cause.code, part.day, part.model))
            amount = _number(part.amount) or ""
            writer.writerow([*names, t.requests, t.input, t.output, amount, csv_cell(part.note)])
    return out.getvalue()


def github(found: Reconciliation) -> str:
    level = "warning" if found.unexplained.parts else "notice"
    return f"::{level} title=LLM bill::{command_data(f'{headline(found)}; {_footer(found)[0]}')}\n"


def github_output(found: Reconciliation) -> str:
    money = found.has_costs
    return (
        f"billed={_number(found.bill_amount) if money else ''}\nrecorded={_number(found.our_amount) if money else ''}\n"
        f"unexplained={_number(found.unexplained.amount) if money else ''}\nunexplained_share={found.share:f}\n"
    )


def junit(found: Reconciliation) -> str:
    failed = bool(found.unexplained.parts)
    inside = (
        f'<failure message="{html.escape(_footer(found)[0])}">{html.escape(table(found))}</failure>' if failed else ""
    )
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<testsuite name="LLM bill" tests="1" failures="{int(failed)}">'
        f'<testcase classname="token_meter" name="{xml(headline(found))}">{inside}</testcase></testsuite>\n'
    )


def openmetrics(found: Reconciliation) -> str:
    lines = ["# TYPE token_meter_bill_difference_usd gauge"]
    if found.has_costs:
        lines += [f'token_meter_bill_difference_usd{{cause="{c.code}"}} {c.amount:f}' for c in found.causes]
    lines.append("# TYPE token_meter_bill_difference_tokens gauge")
    if found.has_usage:
        lines += [f'token_meter_bill_difference_tokens{{cause="{c.code}"}} {c.tokens.total}' for c in found.causes]
    return "\n".join([*lines, "# EOF", ""])


def gitlab_codequality(found: Reconciliation) -> str:
    """One finding, where something is unexplained."""
    finding = {
        "description": visible(f"{headline(found)}; {_footer(found)[0]}"), "check_name": "token_meter/bill",
        "fingerprint": hashlib.sha256(b"token_meter/bill").hexdigest(), "severity": "major",
        "location": {"path": "token_meter", "lines": {"begin": 1}},
    }  # fmt: skip
    return json.dumps([finding] if found.unexplained.parts else [], indent=1) + "\n"


def benchmark(found: Reconciliation) -> str:
    """What github-action-benchmark reads as `customSmallerIsBetter`."""
    rows = [("unexplained share of the LLM bill", "%", f"{found.share * 100:f}")]
    if found.has_costs:
        rows += [("LLM bill", "USD", f"{found.bill_amount:f}"), ("LLM ledger", "USD", f"{found.our_amount:f}")]
    text = (f'{{"name": {json.dumps(name)}, "unit": "{unit}", "value": {value}}}' for name, unit, value in rows)
    return "[\n " + ",\n ".join(text) + "\n]\n"


FORMATS: dict[str, Callable[[Reconciliation], str]] = {
    "table": table, "json": to_json, "md": to_markdown, "summary": to_markdown, "html": page, "csv": to_csv,
    "github": github, "github-output": github_output, "junit": junit, "openmetrics": openmetrics,
    "buildkite": to_markdown, "gitlab-codequality": gitlab_codequality, "benchmark": benchmark,
    "azure": lambda found: f"##[section]{azure_data(headline(found))}\n",
}  # fmt: skip


def render(found: Reconciliation, name: str) -> str:
    """The text of a reconciliation.

    Raises:
        ConfigError: there is no such format.
    """
    if name not in FORMATS:
        msg = f"a reconciliation cannot be written as {name}; it can as {', '.join(FORMATS)}"
        raise ConfigError(msg)
    return FORMATS[name](found)
