"""Turns ledger rows into a `Summary`, and a `Summary` into each report format."""

from __future__ import annotations

from token_meter.report._by import check_by, parts_of
from token_meter.report._collect import Collector, summarise
from token_meter.report._commit_info import ci_host, commits_between, find_vcs
from token_meter.report._format import Format
from token_meter.report._formats import FORMATS, Target, expanded, parse_target, render, write
from token_meter.report._formatting import tone_of
from token_meter.report._history import Point, history, remember
from token_meter.report._load import amount_of, load, loads
from token_meter.report._summary import (
    STATUSES,
    Check,
    Group,
    ModelLine,
    Notice,
    Run,
    Summary,
    Tokens,
    Totals,
    Vcs,
)
from token_meter.report._verdict import (
    BROKEN,
    EXCEEDED,
    FIELDS,
    OK,
    Limit,
    Verdict,
    check,
    check_limits,
    judge,
    short_reason,
)
from token_meter.report._view import View
from token_meter.report.diff import Change, Diff, Rule, compare, parse_rule

__all__ = [
    "BROKEN",
    "EXCEEDED",
    "FIELDS",
    "FORMATS",
    "OK",
    "STATUSES",
    "Change",
    "Check",
    "Collector",
    "Diff",
    "Format",
    "Group",
    "Limit",
    "ModelLine",
    "Notice",
    "Point",
    "Rule",
    "Run",
    "Summary",
    "Target",
    "Tokens",
    "Totals",
    "Vcs",
    "Verdict",
    "View",
    "amount_of",
    "check",
    "check_by",
    "check_limits",
    "ci_host",
    "commits_between",
    "compare",
    "expanded",
    "find_vcs",
    "history",
    "judge",
    "load",
    "loads",
    "parse_rule",
    "parse_target",
    "parts_of",
    "remember",
    "render",
    "short_reason",
    "summarise",
    "tone_of",
    "write",
]
