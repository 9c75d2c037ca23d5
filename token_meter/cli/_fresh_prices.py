"""`token-meter prices update | status | add | init`: how old prices are, and newer ones, at a person's word."""

from __future__ import annotations

import json
import os
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from token_meter.cli._options import config_from, wrapped
from token_meter.exceptions import ConfigError
from token_meter.prices import DEFAULT_PROVIDER

if TYPE_CHECKING:
    from token_meter.prices import PriceBook

_SHOWN = 6
FAILED = 3
"""The exit code of `status` when what was asked for does not hold, as for a limit of a run."""


class Day(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A day such as 2026-11-27."""

    name = "DAY"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> date:
        try:
            return value if isinstance(value, date) else date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a day such as 2026-11-27", parameter, context)


class Days(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A number of days such as 30d."""

    name = "DAYS"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        text = str(value).removesuffix("d")
        if not (text.isascii() and text.isdigit() and len(text) < 7):
            self.fail(f"{value!r} is not a number of days such as 30d", parameter, context)
        return int(text)


@click.command("update")
@click.option("--from", "source", metavar="FILE|URL", help="A list of prices.  [default: what genai-prices publishes]")
@click.option("--to", metavar="FILE", help="Where to keep it.  [default: the list in use, token-meter-prices.json]")
@click.option("--date", "day", type=Day(), help="The day of the prices.  [default: today, or that of FILE]")
@click.option("--force", is_flag=True, help="Take a list that is older than the one in use.")
@wrapped
def update(source: str | None, to: str | None, day: date | None, force: bool) -> None:
    """Keep newer list prices in one dated file, which meters, tests, runs and reports read alike.

    FILE or URL holds what `prices update` has written, LiteLLM's model_prices_and_context_window.json, or genai-prices'
    data.json. Nothing else of token-meter ever fetches anything.
    """
    from token_meter.prices._update import update as write
    from token_meter.report._formatting import counted

    target, unused = (Path(to), None) if to is not None else _list_in_use()
    done = write(source, target, day=day, may_go_back=force)
    where = os.path.relpath(target)
    click.echo(f"{where}: {done.held.label}, {counted(done.models, 'model')}")
    click.echo(f"{done.new:,} new, {done.changed:,} changed, {done.gone:,} gone (the package's list still has a price)")
    if to is not None:
        unused = (
            f'it counts where it is named: prices = "{where}" in pyproject.toml, or public = "{where}" in a price file'
        )
    click.echo(unused or "meters, tests, runs and reports of this project read it from now on; commit it with the code")


def _list_in_use() -> tuple[Path, str | None]:
    """The file to keep the list in, and, where nothing would read it there, what to write so that it counts."""
    from token_meter._price_place import PRICE_LIST, place_of_list
    from token_meter.config import find_pyproject
    from token_meter.prices._list_file import MARK, text_of

    config = config_from({})
    named = config["prices"]
    if named is None:
        return place_of_list(find_pyproject()), None
    book = Path(named)
    if not book.exists():
        msg = (
            f"{named} does not exist, which {config.setting('prices').origin} names as price file; make it: prices init"
        )
        raise ConfigError(msg)
    if text_of(book).startswith(MARK):
        return book, None
    if (public := _public_of(book)) is not None:
        return book.parent / public, None
    return (
        book.parent / PRICE_LIST,
        f'it counts once {book.name} has, above its first table: public = "{PRICE_LIST}"',
    )


def _public_of(book: Path) -> str | None:
    """The list that a price file names, even where that list cannot be read: it is about to be written."""
    import tomllib

    from token_meter.prices._list_file import text_of

    try:
        told = (tomllib.loads if book.suffix.lower() == ".toml" else json.loads)(text_of(book))
    except (ValueError, RecursionError) as error:
        msg = f"price file {book.name}: it is not valid: {error}"
        raise ConfigError(msg) from None
    public = told.get("public") if isinstance(told, dict) else None
    return public if isinstance(public, str) and public.strip() else None


@click.command("status")
@click.option("--max-age", type=Days(), help="Exit with 3 when the list is older than that, such as 30d.")
@click.option("--unpriced", is_flag=True, help="Exit with 3 when a recorded model has no price.")
@click.option("--prices", metavar="FILE", help="Private prices, TOML or JSON.")
@click.option("--data-dir", metavar="DIR", help="Where runs are kept.  [default: .token_meter]")
@wrapped
def status(max_age: int | None, unpriced: bool, **given: Any) -> None:
    """Show of which day prices are, and which models have none: of the recorded runs, and of the installed SDK."""
    from token_meter.ci.harness import book_of
    from token_meter.report._age import age_of, today

    config = config_from(given)
    book = book_of(config["prices"])
    as_of = book.as_of
    click.echo(f"prices  {book.version}")
    if as_of is None:
        click.echo("age     not known: token-meter prices update writes a list with a date")
    else:
        click.echo(f"age     {age_of(as_of, today())} (list prices of {as_of})")
    without = _unpriced_models(book, config["data_dir"])
    _show_literals(book)
    days = None if as_of is None else (today() - as_of).days
    old = max_age is not None and (days is None or not 0 <= days <= max_age)
    if old:
        how = "is not known" if days is None or days < 0 else f"is more than {max_age} days"
        click.echo(f"the age of the list {how}: token-meter prices update", err=True)
    if old or (unpriced and without):
        sys.exit(FAILED)


def _unpriced_models(book: PriceBook, data_dir: str) -> int:
    """Show the models of all recorded runs without a price, or with part of one; return how many they are."""
    from token_meter.ledger import find_shards, read_run
    from token_meter.report import summarise
    from token_meter.report._formatting import counted

    if not Path(data_dir).exists() or not find_shards([data_dir], None):
        click.echo(f"ledger  no recorded calls in {data_dir}")
        return 0
    models = summarise(read_run(data_dir, last=None), by="model", book=book).models
    without = [line for line in models if line.totals.unpriced]
    click.echo(f"ledger  {counted(len(models), 'model')} in {data_dir}, {len(without) or 'none'} without a whole price")
    for line in without:
        click.echo(f"        {line.kind.model}: {line.reason or 'no price'}")
    return len(without)


def _show_literals(book: PriceBook) -> None:
    """Show the models that the installed SDK names and that have no price."""
    from token_meter.prices import describe
    from token_meter.prices._sdk_models import sdk_models

    version, models = sdk_models()
    without = [model for model in models if not describe(model, DEFAULT_PROVIDER, book=book)]
    if models:
        click.echo(f"SDK     {version} names {len(models)} models, {len(without) or 'none'} without a price")
        more = f" and {len(without) - _SHOWN} more" if len(without) > _SHOWN else ""
        click.echo(f"        {', '.join(without[:_SHOWN])}{more}") if without else None


_RATES = ("input", "cached-input", "cache-write", "output")


@click.command("add")
@click.argument("model")
@click.option("--like", metavar="MODEL", help="A model whose price has the same shape: bands, tiers, cached input.")
@click.option("--provider", default=DEFAULT_PROVIDER, show_default=True, help="The provider of the model.")
@click.option("--input", "input_", metavar="USD", help="US dollars per 1M input tokens.")
@click.option("--cached-input", metavar="USD", help="Per 1M tokens of cached input.")
@click.option("--cache-write", metavar="USD", help="Per 1M tokens written to the cache.")
@click.option("--output", metavar="USD", help="Per 1M output tokens.")
@click.option("--times", metavar="TIER=FACTOR", multiple=True, help="A tier's factor, such as batch=0.5; repeatable.")
@click.option("--until", type=Day(), help="The last day on which it holds.")
@click.option("--note", metavar="TEXT", help="Where it is published.")
@click.option("--file", "path", metavar="FILE", help="Where to add it.  [default: the price file in use, prices.toml]")
@wrapped
def add(model: str, path: str | None, **given: Any) -> None:
    """Add the list price of MODEL to a price file: a row of `[[listed]]`."""
    from token_meter.prices import PriceBook
    from token_meter.prices._block import beginning, block, with_block
    from token_meter.prices._list_file import text_of

    if not any(given[name] for name in ("like", "input_", "cached_input", "cache_write", "output")):
        msg = f"say what {model} costs: --input USD and --output USD per 1M tokens, or --like MODEL"
        raise ConfigError(msg)
    file = Path(path or _book_in_use())
    _check_like(given["like"], given["provider"], PriceBook.from_file(file) if file.exists() else None)
    row = block(model, **given)
    text = text_of(file) if file.exists() else beginning(config_from({})["prices"], file)
    with_block(file, text, row)
    click.echo(row.strip())
    book = PriceBook.from_file(file)
    click.echo(f"added to {file}; reports will say: {book.version}")
    if path is not None or not _is_named(file):
        click.echo(f'it counts where it is named: prices = "{file}" in pyproject.toml, [tool.token_meter]')


def _check_like(like: str | None, provider: str, book: PriceBook | None) -> None:
    """Refuse a row in the shape of a model that has no price: it would have none itself."""
    from token_meter.prices import describe, nearest

    if like is None or describe(like, provider, book=book):
        return
    close = nearest(like, provider, book=book)
    hint = f"; did you mean {', '.join(close)}?" if close else ""
    msg = f"--like {like}: {provider} has no price for it{hint}; nothing was changed"
    raise ConfigError(msg)


def _book_in_use() -> str:
    from token_meter.prices._list_file import MARK, text_of

    named = config_from({})["prices"]
    is_book = named is not None and Path(named).exists() and not text_of(Path(named)).startswith(MARK)
    return str(os.path.relpath(named)) if is_book else "prices.toml"


def _is_named(file: Path) -> bool:
    named = config_from({})["prices"]
    return named is not None and Path(named).resolve() == file.resolve()


@click.command("init")
@click.argument("file", default="prices.toml")
@wrapped
def init(file: str) -> None:
    """Begin a price file, with a row to fill in for each recorded model without a price."""
    from token_meter.prices._block import begin
    from token_meter.report._formatting import counted

    path = Path(file)
    if path.suffix.lower() != ".toml":
        msg = f"{file}: a price file to begin with is TOML; give a name that ends in .toml"
        raise ConfigError(msg)
    config = config_from({})
    rows = _to_fill_in(config)
    try:
        with path.open("x", encoding="utf-8", newline="\n") as out:
            out.write(begin(rows, config["prices"], path))
    except FileExistsError:
        msg = f"{file} is there already; nothing was changed; token-meter prices check {file} reads it"
        raise ConfigError(msg) from None
    rows_said = f", with {counted(len(rows), 'row')} to fill in" if rows else ""
    click.echo(f"{file}: begun{rows_said}; token-meter prices check {file} reads it")
    click.echo(f'it counts once it is named: prices = "{file}" in pyproject.toml, [tool.token_meter]')


def _to_fill_in(config: Any) -> list[tuple[str, str]]:
    """Provider and model of the recorded calls without a price whose provider is known."""
    from token_meter.ci.harness import book_of
    from token_meter.ledger import find_shards, read_run
    from token_meter.report import summarise

    data_dir = config["data_dir"]
    if not Path(data_dir).exists() or not find_shards([data_dir], None):
        return []
    book = book_of(config["prices"])
    found: dict[tuple[str, str], None] = {}
    for line in summarise(read_run(data_dir, last=None), by="model", book=book).models:
        provider, model = line.kind.provider or book.provider_of(line.kind.host), line.kind.model
        if line.totals.unpriced and provider and model and "no price for" in (line.reason or ""):
            found[provider, model] = None
    return list(found)
