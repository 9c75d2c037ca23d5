"""`token-meter prices`: the price tables, for people."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from token_meter.cli import _fresh_prices as fresh
from token_meter.cli._options import Listing, config_from, wrapped
from token_meter.cli._reading import is_typed
from token_meter.prices import DEFAULT_PROVIDER

_provider = click.option("--provider", default=DEFAULT_PROVIDER, show_default=True, help="The provider of the model.")
_prices = click.option("--prices", metavar="FILE", help="Private prices, TOML or JSON.")


@click.group("prices", cls=Listing)
def command() -> None:
    """Show where prices come from and what they are, and keep newer ones."""


for _also in (fresh.update, fresh.status, fresh.add, fresh.init):
    command.add_command(_also)


@command.command("list")
@_provider
@_prices
@wrapped
def list_(provider: str, prices: str | None) -> None:
    """List the models that have a price; a name that ends in * is a pattern."""
    from token_meter.prices import known_models, known_providers

    book = _book(prices)
    if provider not in (known := known_providers(book=book)):
        from token_meter._text import suggestion

        msg = f"no provider {provider!r}{suggestion(provider, known)}; known are {', '.join(known)}"
        raise click.UsageError(msg)
    for name in known_models(provider, book=book):
        click.echo(name)
    click.echo(f"prices: {book.version}", err=True)


@command.command("show")
@click.argument("model")
@_provider
@_prices
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@wrapped
def show(model: str, provider: str, prices: str | None, as_json: bool) -> None:
    """Show every rate of MODEL. Exits with 1 when it has none.

    Without --provider, a model that the default one does not list is looked for at the other providers.
    """
    from token_meter.prices import describe, nearest, sellers

    book = _book(prices)
    rows = describe(model, provider, book=book)
    if not rows and not is_typed("provider"):
        others = sellers(model, book=book)
        rows = describe(model, others[0], book=book) if others else []
        if others:
            also = f"; also at {', '.join(others[1:])}" if others[1:] else ""
            click.echo(f"{model} at {others[0]}{also}", err=True)
    if not rows:
        close = nearest(model, provider, book=book)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        like = f" --like {close[0]}" if close else ""
        hint += f"\nIf it is new: token-meter prices update, or prices add {model}{like} --input ... --output ..."
        msg = f"no price for {model!r} at {provider!r}{hint}"
        raise click.ClickException(msg)
    if as_json:
        click.echo(json.dumps([{**row._asdict(), "rate": str(row.rate)} for row in rows], indent=1))
        return
    for row in rows:
        above = f" above {row.above:,} input tokens" if row.above else ""
        click.echo(f"{row.tier:10} {row.unit:24} ${row.rate.normalize():f} per {row.per}{above}  ({row.source})")


@command.command("check")
@click.argument("file")
@wrapped
def check(file: str) -> None:
    """Check a file of private prices. Exits with 2 when something in it is not valid."""
    from token_meter._text import suggestion
    from token_meter.exceptions import ConfigError
    from token_meter.prices import BY_MODEL, PriceBook, known_providers, unknown_providers, unreached_providers
    from token_meter.prices._listing import unknown_fees
    from token_meter.report._formatting import counted

    book = PriceBook.from_file(file)
    known = [*known_providers(book=book), BY_MODEL]
    for place, provider in unknown_providers(book).items():
        msg = f"{file}: hosts: {place!r} is paid to {provider!r}, whom nothing prices{suggestion(provider, known)}"
        raise ConfigError(msg)
    for provider in unreached_providers(book):
        hint = suggestion(provider, known_providers())
        click.echo(f"note: overrides of {provider!r} count where hosts, or a program, names it as paid{hint}", err=True)
    for name, hint in unknown_fees(book).items():
        click.echo(f"note: fees: no answer is known to show {name!r}{hint}", err=True)
    click.echo(f"{file}: ok, {counted(len(book.overrides), 'override')}; reports will say: {book.version}")


@command.command("export")
@_provider
@_prices
@wrapped
def export(provider: str, prices: str | None) -> None:
    """Write all rates as CSV, in US dollars."""
    import csv

    from token_meter.prices import PriceRow, describe, known_models

    book = _book(prices)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(PriceRow._fields)
    for name in known_models(provider, book=book):
        if not name.endswith("*"):
            out.writerows(
                (*row[:4], f"{row.rate.normalize():f}", *row[5:]) for row in describe(name, provider, book=book)
            )


def _book(path: str | None) -> Any:
    from token_meter.ci.harness import book_of

    return book_of(config_from({"prices": path})["prices"])
