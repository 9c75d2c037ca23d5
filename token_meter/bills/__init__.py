"""What providers say they charged, and why a ledger differs from it."""

from __future__ import annotations

from token_meter.bills._causes import Cause, Reconciliation
from token_meter.bills._formats import FORMATS, render
from token_meter.bills._match import reconcile
from token_meter.bills._ours import Ours, ours_of
from token_meter.bills._rows import Bill, CostRow, UsageRow
from token_meter.bills._sources import read_bill

__all__ = [
    "FORMATS",
    "Bill",
    "Cause",
    "CostRow",
    "Ours",
    "Reconciliation",
    "UsageRow",
    "ours_of",
    "read_bill",
    "reconcile",
    "render",
]
