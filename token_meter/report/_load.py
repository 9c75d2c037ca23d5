"""Reads a report (JSON of v1 or v2) or a ledger. Raises `LedgerError` for a file it cannot read."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any, get_args

from token_meter._fees import Fees
from token_meter.exceptions import LedgerError
from token_meter.ledger import read_run, renamed
from token_meter.report._by import By, is_by
from token_meter.report._collect import summarise
from token_meter.report._commit_info import read_from_git
from token_meter.report._json import READABLE, SCHEMA
from token_meter.report._pricing import Pricing
from token_meter.report._summary import (
    ZERO,
    Check,
    Group,
    GroupType,
    Kind,
    ModelLine,
    Notice,
    Run,
    Status,
    Summary,
    Tokens,
    Totals,
    Vcs,
)
from token_meter.types import Usage

_WRONG = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
_DIGITS = 31  # more than a limit may have
_TOO_MUCH = "a number out of range"


def load(source: str | os.PathLike[str], *, by: By = "test", book: Pricing | None = None) -> Summary:
    """Read `git:REF:PATH`, `-` (stdin), a JSON report, or a ledger (a file, a run or a data directory).

    Raises:
        LedgerError: it does not exist, or is not a report or ledger of token_meter.
    """
    given = str(source)
    if given.startswith("git:"):
        ref, _, path = given[4:].partition(":")
        return loads(read_from_git(ref, path or ".token-meter-baseline.json"), given)
    if given == "-":
        return loads(sys.stdin.buffer.read(), "stdin")
    path_ = Path(source)
    if path_.is_dir() or path_.suffix == ".jsonl":
        return summarise(read_run(path_), by=by, book=book)
    try:
        return loads(path_.read_bytes(), given)
    except OSError as exc:
        msg = f"{given!r} cannot be read: {exc.strerror}"
        raise LedgerError(msg) from exc


def loads(text: bytes | str, name: str = "report") -> Summary:
    """Read a JSON report; numbers keep all digits.

    Raises:
        LedgerError: it is not a report, or has a version that this token_meter cannot read.
    """
    try:
        data = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError, ArithmeticError) as exc:  # ArithmeticError: an exponent beyond all decimals
        where = f" (line {exc.lineno}, column {exc.colno})" if isinstance(exc, json.JSONDecodeError) else ""
        msg = f"{name!r} is not JSON{where}; expected a report as `token-meter report -f json:FILE` writes it"
        raise LedgerError(msg) from None
    if not isinstance(data, dict) or data.get("schema") not in READABLE or data.get("kind") != "report":
        said = [data.get("schema"), data.get("kind")] if isinstance(data, dict) else [None, None]
        found = f"it says {said[0]!r}, {said[1]!r}" if any(said) else "it has no schema"
        msg = f"{name!r} is not a report of schema {SCHEMA!r}, kind 'report': {found}"
        raise LedgerError(msg)
    try:
        return _summary(data)
    except _WRONG as exc:
        msg = f"{name!r} is not a whole {SCHEMA} report: {type(exc).__name__} at {str(exc)[:100]}"
        raise LedgerError(msg) from None


def _summary(data: Mapping[str, Any]) -> Summary:
    run, vcs = data.get("run", {}), data.get("vcs")
    by = data.get("by", "test")
    models = tuple(_model(m) for m in data["models"])
    unpriced = tuple(m.kind.model for m in models if m.totals.open)
    return Summary(
        by=by if is_by(by) else "test",
        totals=replace(_totals(data["totals"]), unpriced_models=unpriced),
        models=models,
        groups=tuple(_group(g) for g in data["contexts"]),
        run=Run(
            id=_text(run.get("id")),
            command=tuple(str(w) for w in run.get("command", ())),
            exit_status=_whole(run.get("exit_status")),
            complete=run.get("complete") is not False,
            began_s=_float(run.get("began_s")),
            duration_s=_float(run.get("duration_s")),
            processes=_whole(run.get("processes")) or 0,
            unclean_processes=_whole(run.get("unclean_processes")) or 0,
            in_flight=_whole(run.get("in_flight")) or 0,
            in_flight_contexts=tuple(str(c) for c in run.get("in_flight_contexts", ())),
            skipped_records=_whole(run.get("skipped_records")) or 0,
            lost_records=_whole(run.get("lost_records")) or 0,
            running_processes=_whole(run.get("running_processes")) or 0,
            labels={str(k): str(v) for k, v in run.get("labels", {}).items()},
        ),
        vcs=None
        if vcs is None
        else Vcs(
            _text(vcs.get("commit")),
            _text(vcs.get("branch")),
            vcs.get("dirty") if isinstance(vcs.get("dirty"), bool) else None,
            _text(vcs.get("merge_base")),
            _text(vcs.get("ci")),
            _text(vcs.get("run_url")),
            _whole(vcs.get("pr")),
        ),
        prices=str(data.get("prices", {}).get("version", "")),
        overrides=_whole(data.get("prices", {}).get("overrides")) or 0,
        digest=str(data.get("prices", {}).get("digest", "unknown")),
        prices_as_of=str(data.get("prices", {}).get("as_of", "")),
        created=str(data.get("created", "")),
        checks=tuple(_check(c) for c in data.get("budgets", ())),
        notices=tuple(
            Notice(str(n["code"]), str(n["text"]), _text(n.get("model")), _whole(n.get("calls")))
            for n in data.get("warnings", ())
        ),
        as_model=_text(data.get("as_model")),
        tool_version=str(data.get("tool", {}).get("version", "")),
    )


def _check(data: Mapping[str, Any]) -> Check:
    status = data["status"]
    return Check(
        str(data["scope"]),
        str(data["field"]),
        _money(data["limit"]),
        _known_money(data["actual"]),
        status if status in get_args(Status) else "unknown",
        str(data["text"]),
        _text(data.get("rule")),
        _text(data.get("context")),
    )


def _totals(data: Mapping[str, Any]) -> Totals:
    tokens = data["tokens"]
    models = data.get("models", ())
    unpriced = tuple(str(m["model"]) for m in models if _is_open(m)) if isinstance(models, list) else ()
    if not unpriced and _is_open(data) and "model" in data:
        unpriced = (str(data["model"]),)
    names = ("calls", "live", "replayed", "mocked", "failed", "unpriced", "estimated", "unmeasured", "late", "retries")
    counts: dict[str, Any] = {name: _whole(data.get(name)) or 0 for name in names}
    counts["partly_priced"] = _whole(data.get("partly_priced")) or 0  # not in the first reports of version 2
    for name in ("unpriced", "partly_priced", "estimated"):  # nor, in those of version 1, how many of them were live
        counts[f"live_{name}"] = _whole(data.get(f"live_{name}", min(counts[name], counts["live"]))) or 0
    return Totals(
        **counts,
        tokens=Tokens(*(_whole(tokens.get(name)) for name in Tokens._fields)),
        cost=_known_money(data["cost"]),
        spent=_known_money(data["spent"]),
        duration_s=_float(data.get("duration_s")) or 0.0,
        unpriced_models=unpriced,
    )


def _is_open(data: Mapping[str, Any]) -> bool:
    return bool(data.get("unpriced") or data.get("partly_priced"))


def _model(data: Mapping[str, Any]) -> ModelLine:
    data = renamed(data)
    served, asked = _text(data.get("response_model")), _text(data.get("request_model"))
    kind = Kind(
        asked,
        served if served or asked else str(data["model"]),
        _text(data.get("provider")),
        _text(data.get("host")),
        _text(data.get("api")) or "chat",
        _text(data.get("service_tier")),
        _text(data.get("processing")),
    )
    usages = data.get("usages")
    kept = None if usages is None else tuple((_usage(u), _whole(u["calls"]) or 0) for u in usages)
    reason, source = _text(data.get("unpriced_reason")), _text(data.get("price_source"))
    return ModelLine(kind, _totals(data), kept, reason, source)


def _usage(data: Mapping[str, Any]) -> Usage:
    data = renamed(data)
    values = {name: data[name] for name in Usage._fields if data.get(name) is not None}
    for name, value in values.items():
        if name == "provider_cost":
            values[name] = _money(Decimal(value))
        elif name == "audio_seconds":
            values[name] = _float(value)
        elif name == "fees":
            values[name] = Fees({str(fee): _whole(count) for fee, count in value.items()})
        else:
            values[name] = _whole(value)
    return Usage(**values)


def _group(data: Mapping[str, Any]) -> Group:
    kind = data.get("type", "test")
    return Group(
        str(data["id"]),
        kind if kind in get_args(GroupType) else "test",
        _totals(data),
        tuple(_model(m) for m in data.get("models", ())),
        {str(k): None if v is None else _money(v) for k, v in data.get("phases", {}).items()},
        _whole(data.get("attempts")) or 1,
        _whole(data.get("processes")) or 1,
        _text(data.get("outcome")),
        _text(data.get("file")),
        _whole(data.get("line")),
    )


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError(type(value).__name__)


def _whole(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(type(value).__name__)
    if abs(value) >= 10**_DIGITS:
        raise ValueError(_TOO_MUCH)
    return value


def _float(value: Any) -> float | None:
    number = None if value is None else float(value)
    if number is not None and not isfinite(number):
        raise ValueError(number)
    return number


def _known_money(value: Any) -> Decimal:
    """An amount; of one that is not known there is nothing to add."""
    return ZERO if value is None else _money(value)


def _money(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise TypeError(type(value).__name__)
    return amount_of(value)


def amount_of(value: int | str | Decimal) -> Decimal:
    """An amount that anybody can mean.

    Raises:
        ValueError, ArithmeticError: it is none.
    """
    amount = Decimal(value)
    if not amount.is_finite():
        raise ValueError(value)
    if amount.adjusted() >= _DIGITS:
        raise ValueError(_TOO_MUCH)
    return amount
