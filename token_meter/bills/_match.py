"""Why a bill and a ledger differ: every difference under a cause, tokens and money apart, what is left at the end.

Usage says whether we saw a request, costs whether we price it. A difference of tokens is worth something by our prices;
what the money differs by on top of that is a matter of rates.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date as Date
from decimal import Decimal
from typing import TYPE_CHECKING

from token_meter.bills._causes import CAUSES, Cause, Part, Reconciliation, together
from token_meter.bills._moves import Moves
from token_meter.bills._ours import Cell, OurCell, Ours, unit_prices, value_of
from token_meter.bills._rows import ZERO, Bill, CostRow, Tokens, UsageRow, undated
from token_meter.types import Call, Usage

if TYPE_CHECKING:
    from token_meter.prices import PriceBook

_EPSILON = Decimal("1e-9")
"""What a sum of binary floats may be off by, for each line."""
_SAME_RATE = Decimal("0.005")
_CENTS = 2
"""No bill is rounded to fewer digits, even if a single amount looks so."""
_EPOCH = Date(1970, 1, 1).toordinal()


def reconcile(
    bill: Bill, ours: Ours, book: PriceBook, *, mine: Iterable[str] = (), since: str, until: str, settled: str
) -> Reconciliation:
    """Compare a bill with a ledger for the days from *since* to before *until*.

    Args:
        mine: the ids of the keys and projects that are ours; all of them if none is given.
        settled: the first day that the provider may still change.
    """
    bill = bill.between(since, until)
    each = [
        _Comparison(bill.of(provider), ours, book, frozenset(mine), since, until, settled).run(provider)
        for provider in bill.providers
    ]
    return together(each, since, until, bill.notes)


class _Comparison:
    """One provider's bill: it may have money, or tokens, or both."""

    def __init__(
        self, bill: Bill, ours: Ours, book: PriceBook, mine: frozenset[str], since: str, until: str, settled: str
    ) -> None:
        self._book, self._since, self._until = book, since, until
        self._causes = {code: Cause(code) for code in CAUSES}
        self._examples: dict[tuple[str, str], Call] = {}
        self._has_requests = bool(bill.usage) and bill.has_requests
        usage, costs = bill.usage or tuple(_usage_of(bill.costs)), bill.costs
        self._has_usage, self._has_costs = bool(usage), bool(costs)
        every: list[UsageRow | CostRow] = [*usage, *costs]
        cells = {c: v for c, v in ours.cells.items() if c.provider in bill.providers}
        has_variants = any(row.tier or row.is_batch for row in every)
        names = _names({row.model for row in every if row.model}, {cell.model for cell in cells})
        accounts = {cell.account for cell in cells} - {None}

        def cell_of(row: UsageRow | CostRow) -> Cell:
            variant = ("batch" if row.is_batch else row.tier) if has_variants else None
            account = next((one for one in (row.key, row.project) if one in accounts), None)
            return Cell(row.day, row.provider, names.get(row.model or "", row.model or ""), variant, account)

        self._ours: dict[Cell, OurCell] = {}
        self._outside: dict[Cell, OurCell] = {}
        for cell, found in cells.items():
            key = cell if has_variants else cell._replace(variant=None)
            (self._ours if since <= cell.day < until else self._outside).setdefault(key, OurCell()).add(found)
        self._bill: dict[Cell, Tokens] = {}
        self._costs: dict[Cell, list[CostRow]] = {}
        self._fees: list[CostRow] = []
        self._bill_total, self._bill_amount = Tokens(), sum((row.amount for row in costs), ZERO)
        self._rows = len(usage) + len(costs)
        for used in usage:
            self._bill_total = self._bill_total.plus(used.tokens)
            if not _is_mine(used, mine):
                self._note("not-ours", cell_of(used), used.tokens, ZERO, _ids(used))
            else:
                self._bill[cell_of(used)] = self._bill.get(cell_of(used), Tokens()).plus(used.tokens)
        for cost in costs:
            if not _is_mine(cost, mine):
                self._note("not-ours", cell_of(cost), Tokens(), cost.amount, _ids(cost))
            elif cost.model is None:
                self._fees.append(cost)
            else:
                self._costs.setdefault(cell_of(cost), []).append(cost)
        self._our_total, self._our_amount = Tokens(), sum((c.cost for c in self._ours.values()), ZERO)
        for our in self._ours.values():
            self._our_total = self._our_total.plus(our.tokens)
        self._settled = settled
        digits = max((-int(row.amount.normalize().as_tuple().exponent) for row in costs if row.amount), default=0)
        self._half = Decimal(5).scaleb(-max(digits, _CENTS) - 1) + _EPSILON

    def run(self, provider: str) -> Reconciliation:
        """Name the causes in an order in which each takes only what is its own."""
        for cell in self._cells():
            if cell.day >= self._settled:
                self._leave_out(cell)
        self._fees_by_day()
        notes = () if self._our_total.requests else (f"the ledger has no calls of {provider} on these days",)
        moves = Moves(self._ours, self._outside, self._bill, has_requests=self._has_requests)
        moved = moves.found(self._since, min(self._until, self._settled)) if self._has_usage else {}
        for cell in self._cells() if not moved else sorted({*self._cells(), *moved}, key=str):
            counts_requests = cell not in moves.batches and not self._ours.get(cell, OurCell()).batches.requests
            self._compare(cell, moved.get(cell, Tokens()), counts_requests=counts_requests)
        return Reconciliation(
            self._since, self._until, (provider,), self._bill_total, self._our_total, self._bill_amount,
            self._our_amount, self._has_usage, self._has_requests, self._has_costs,
            tuple(self._causes[code] for code in CAUSES), notes, self._rows,
        )  # fmt: skip

    def _cells(self) -> list[Cell]:
        return sorted({*self._bill, *self._costs, *self._ours}, key=str)

    def _note(self, code: str, cell: Cell, tokens: Tokens, amount: Decimal, note: str = "") -> None:
        if any(tokens) or amount:
            name = cell.model if cell.variant is None else f"{cell.model} ({cell.variant})"
            name = name if cell.account is None else f"{name} of {cell.account}"
            self._causes[code].parts.append(Part(cell.day, name, tokens, amount if self._has_costs else None, note))

    def _leave_out(self, cell: Cell) -> None:
        ours = self._outside[cell] = self._ours.pop(cell, OurCell())
        billed, costs = self._bill.pop(cell, Tokens()), self._costs.pop(cell, [])
        amount = sum((row.amount for row in costs), ZERO) - ours.cost
        self._note("not-settled", cell, billed.minus(ours.tokens) if self._has_usage else Tokens(), amount)

    def _fees_by_day(self) -> None:
        for row in self._fees:
            code = "not-settled" if row.day >= self._settled else "fees"
            self._note(code, Cell(row.day, row.provider, row.line), Tokens(), row.amount)
        for cell, ours in self._ours.items() if self._has_costs else ():
            self._note("fees", cell, Tokens(), -ours.fee, "web searches, as counted here")

    def _compare(self, cell: Cell, moved: Tokens, *, counts_requests: bool) -> None:
        """Name the differences of one cell; the money of each of tokens is taken from the difference of money."""
        ours = self._ours.get(cell, OurCell())
        example = ours.example or self._example(cell)
        left = sum((row.amount for row in self._costs.get(cell, ())), ZERO) - (ours.cost - ours.fee)
        if not any((*ours.tokens, *moved, ours.unanswered)):  # the bill itself says what they cost
            self._note("never-seen", cell, self._bill.get(cell, Tokens()), left, "the ledger has none of them")
            return
        if any(moved):
            value = value_of(self._book, example, moved)
            self._note("midnight", cell, moved, value, "" if counts_requests else "batches")
            left -= value
        difference = self._bill.get(cell, Tokens()).minus(ours.tokens).minus(moved) if self._has_usage else Tokens()
        counts_requests = counts_requests and self._has_requests
        if not counts_requests:
            difference = difference._replace(requests=0)
        if any(difference):
            code, note = _token_cause(difference, ours, counts_requests=counts_requests)
            value = value_of(self._book, example, difference)
            self._note(code, cell, difference, value, note)
            left -= value
        if self._has_costs:
            self._compare_money(cell, ours, left)

    def _example(self, cell: Cell) -> Call:
        """A call of the same model, to price what the ledger has not seen that day, or not at all."""
        if not self._examples:
            for other, ours in sorted(self._ours.items(), key=str):
                if ours.example is not None:
                    self._examples.setdefault((other.provider, other.model), ours.example)
        started_s = float(Date.fromisoformat(cell.day).toordinal() - _EPOCH) * 86_400
        unseen = Call("", started_s, 0.0, None, "chat", cell.model, provider=cell.provider, status=200)
        known = self._examples.get((cell.provider, cell.model), unseen)
        is_batch = cell.variant == "batch"
        return known._replace(
            processing="batch" if is_batch else None, service_tier=None if is_batch else cell.variant or "default"
        )

    def _compare_money(self, cell: Cell, ours: OurCell, left: Decimal) -> None:
        costs = self._costs.get(cell, [])
        why = ours.reason or "" if ours.example is not None else self._unpriced(cell)
        if abs(left) <= self._half * max(len(costs), 1):
            self._note("rounding", cell, Tokens(), left)
        elif ours.unpriced or why:
            self._note("unpriced", cell, Tokens(), left, why)
        elif costs and (note := self._rates(cell, costs)):
            self._note("rates", cell, Tokens(), left, note)
        else:
            self._note("unexplained", cell, Tokens(), left)

    def _unpriced(self, cell: Cell) -> str:
        """Why calls that the ledger does not have could not be priced; empty where they can."""
        price = self._book.price(self._example(cell)._replace(usage=Usage(1_000, 0, 1_000), price=None))
        return "" if price.cost is not None else price.reason or "no price"

    def _rates(self, cell: Cell, costs: list[CostRow]) -> str:
        """The unit prices that differ, in words; empty where none does."""
        example = (self._ours[cell].example if cell in self._ours else None) or self._example(cell)
        mine = unit_prices(self._book, example)
        billed = self._bill.get(cell, Tokens())
        counts = {"input": billed.input - billed.cached - billed.written, "cached input": billed.cached,
                  "cache write": billed.written, "output": billed.output}  # fmt: skip
        if any(row.kind is None for row in costs):
            return "" if not billed.total else "the same tokens cost other money; the bill has no line for each kind"
        notes = []
        for kind in mine:
            rows = [row for row in costs if row.kind == kind]
            known = [row.quantity for row in rows if row.quantity]
            quantity = sum(known, ZERO) if known and len(known) == len(rows) else Decimal(max(counts[kind], 0))
            amount, ours = sum((row.amount for row in rows), ZERO), mine[kind]
            if not rows or not quantity or ours is None:
                continue
            slack = self._half * len(rows) / quantity * 1_000_000
            theirs = amount / quantity * 1_000_000
            if abs(theirs - ours) > max(slack, abs(ours) * _SAME_RATE):
                notes.append(f"{kind} ${ours.normalize():f} here, ${round(theirs, 6).normalize():f} there for 1M")
        return ", ".join(notes)


def _usage_of(costs: Iterable[CostRow]) -> list[UsageRow]:
    """Tokens of a bill that has them beside its amounts only."""
    found = []
    for row in costs:
        if row.model is not None and row.kind is not None and row.quantity is not None:
            n = int(row.quantity)
            tokens = {
                "input": Tokens(0, n), "cached input": Tokens(0, n, n), "cache write": Tokens(0, n, 0, n),
                "output": Tokens(0, 0, 0, 0, n),
            }[row.kind]  # fmt: skip
            found.append(
                UsageRow(row.day, row.provider, row.model, tokens, None, row.tier, row.is_batch, row.key, row.project)
            )
    return found


def _names(theirs: set[str], ours: set[str]) -> dict[str, str]:
    """The bill's names of models by ours: a maker or a date may be in one and not in the other."""
    by_short: dict[str, list[str]] = {}
    for name in ours:
        by_short.setdefault(undated(name), []).append(name)
    found = {}
    for name in theirs - ours:
        same = by_short.get(undated(name), [])
        if len(same) == 1:
            found[name] = same[0]
    return found


def _token_cause(difference: Tokens, ours: OurCell, *, counts_requests: bool) -> tuple[str, str]:
    is_more = difference.input >= 0 and difference.output >= 0
    if difference.requests > 0 and (is_more or ours.estimated):
        notes = [f"{ours.unanswered} of ours left and got no answer"] if ours.unanswered else []
        notes += [f"beside {ours.estimated} estimated calls"] if ours.estimated else []
        return "never-seen", "; ".join(notes)
    if difference.requests == 0 and ours.estimated:
        return "estimates", f"{ours.estimated} estimated calls"
    if difference.requests == 0 and not counts_requests and is_more:
        return "never-seen", f"{ours.unanswered} of ours left and got no answer" if ours.unanswered else ""
    return "unexplained", ""


def _is_mine(row: UsageRow | CostRow, mine: frozenset[str]) -> bool:
    known = {row.key, row.project} - {None}
    return not mine or not known or bool(known & mine)


def _ids(row: UsageRow | CostRow) -> str:
    return ", ".join(text for text in (row.key, row.project) if text)
