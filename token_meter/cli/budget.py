"""`token-meter budget`: the budgets of a store, as it knows them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

import click

from token_meter.cli._options import Listing, wrapped
from token_meter.exceptions import LedgerError

if TYPE_CHECKING:
    from token_meter.budget.amounts import Amounts
    from token_meter.budget.stored import StoredBudget, StoredBudgets

F = TypeVar("F", bound=Callable[..., Any])


@click.group("budget", cls=Listing)
def command() -> None:
    """Look at budgets that processes and machines share, and correct them."""


def _stored(function: F) -> F:
    text = "redis://..., valkey://... or sqlite:///file.db; default: TOKEN_METER_STORE, pyproject.toml, .token_meter."
    return click.option("--store", metavar="ADDRESS", help=text)(wrapped(function))


def _period(function: F) -> F:
    for option, default, text in (
        ("--tz", "UTC", "Where its days and months begin."),
        ("--per", "total", "Its period, such as day, where the store has forgotten the budget."),
    ):
        function = click.option(option, default=default, show_default=True, help=text)(function)
    return function


def budgets_of(store: str | None) -> StoredBudgets:
    """The budgets of the store at an address, or of the default one.

    Raises:
        LedgerError: its file does not exist. A file made here would only hide that another one is meant.
    """
    from token_meter._defaults import default_store

    named = default_store() if store is None else store
    if isinstance(named, str) and named.startswith("sqlite:///"):
        path = unquote(named.removeprefix("sqlite:///"))
        if path and not os.path.exists(path):
            msg = (
                f"no budgets at {path}: the first call in meter(budgets=[Budget(...)]) makes the file; "
                "--store names another store"
            )
            raise LedgerError(msg)
    return _stored_at(named)


def _stored_at(store: object) -> StoredBudgets:
    from token_meter.budget.shared import client_of
    from token_meter.budget.stored import StoredBudgets

    return StoredBudgets(client_of(store).store)


def _made(store: str | None) -> StoredBudgets:
    """The same, where a file that is missing is made: what was lost is put right."""
    from token_meter.budget.shared import default_store_made

    return _stored_at(default_store_made() if store is None else store)


@command.command("list")
@_stored
def list_(store: str | None) -> None:
    """List all budgets: what is spent, held by calls in flight, and the limit."""
    rows = [("budget", "period", "spent", "held", "limit"), *map(_row, budgets_of(store))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@command.command("show")
@click.argument("name")
@_stored
def show(name: str, store: str | None) -> None:
    """Show one budget, and the calls that hold something of it."""
    budgets = budgets_of(store)
    budget = budgets.find(name)
    click.echo(f"{name}: {budget.period.shown(budget.window)}")
    for word in ("limits", "spent", "held", "lost"):
        click.echo(f"{word:8}{_amounts(getattr(budget, word))}")
    for lease in budgets.leases(name):
        until = f"{datetime.fromtimestamp(lease.until_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
        click.echo(
            f"{'lost' if lease.is_lost else 'call':8}{lease.id}  {'expired' if lease.is_lost else 'until'} {until}"
        )


@command.command("set")
@click.argument("name")
@click.option("--cost", metavar="USD", help="US dollars spent in the present period.")
@click.option("--tokens", metavar="N", help="Tokens used in it.")
@click.option("--calls", metavar="N", help="Calls made in it.")
@_period
@_stored
def set_(
    name: str, cost: str | None, tokens: str | None, calls: str | None, per: str, tz: str, store: str | None
) -> None:
    """Set what a budget has spent in its present period; what is not given becomes 0.

    Programs that refuse calls because the store was emptied go on after this.
    """
    from token_meter.budget.amounts import Amounts, parse_limits
    from token_meter.budget.periods import Period

    budgets = _made(store)
    spent = parse_limits(cost, tokens, calls) or Amounts()
    budgets.put(budgets.find(name, Period(per, tz)), spent)
    click.echo(f"{name}: {_amounts(spent)} spent")


@command.command("seed")
@click.argument("name")
@click.option("--from", "ledger", required=True, multiple=True, metavar="PATH", help="A directory or *.jsonl file.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only calls with this tag, such as customer=7.")
@_period
@_stored
def seed(name: str, ledger: tuple[str, ...], tags: tuple[str, ...], per: str, tz: str, store: str | None) -> None:
    """Set what a budget has spent in its present period to the calls of a ledger. Twice does the same as once."""
    from token_meter.budget.periods import Period

    budgets = _made(store)
    spent = budgets.seed(budgets.find(name, Period(per, tz)), _used(ledger, frozenset(tags)))
    click.echo(f"{name}: {_amounts(spent)} spent")


@command.command("release")
@click.argument("call")
@_stored
def release(call: str, store: str | None) -> None:
    """Take back what a call holds that will never end, by its id in `budget show`."""
    budgets_of(store).release(call)
    click.echo(f"{call}: released")


def _used(paths: tuple[str, ...], tags: frozenset[str]) -> Iterator[tuple[float, Amounts]]:
    from token_meter._defaults import default_book
    from token_meter.budget.amounts import Amounts
    from token_meter.ledger import RunReader, find_shards

    book = default_book()
    for row in RunReader(find_shards(paths, last=None)):
        call = row.call
        if not tags.issubset(call.tags):
            continue
        calls = row.calls if call.attempt == 0 else 0
        for usage, n in row.usages or ((call.usage, row.calls),):
            cost = book.price(call._replace(usage=usage)).cost if usage is not None else None
            tokens = usage.total_tokens or 0 if usage is not None else 0
            yield call.started_s, Amounts(None if cost is None else cost * n, tokens * n, 0)
        yield call.started_s, Amounts(None, 0, calls)


def _row(budget: StoredBudget) -> tuple[str, ...]:
    period = budget.period.shown(budget.window)
    return budget.name, period, _amounts(budget.spent), _amounts(budget.held), _amounts(budget.limits)


def _amounts(amounts: Amounts) -> str:
    from token_meter.budget.amounts import shown

    told = [shown(field, amount) for field, amount in amounts._asdict().items() if amount is not None]
    return ", ".join(told) or "none"
