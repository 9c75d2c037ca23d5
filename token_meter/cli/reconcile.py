"""`token-meter reconcile`: compares a ledger with the provider's bill."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from token_meter.cli._options import config_from, examples, wrapped
from token_meter.exceptions import ConfigError, LedgerError

_FACTOR = Decimal(100)
_DAY_S = 86_400


@click.command(
    "reconcile",
    epilog=examples(
        "reconcile --openai --since 2026-11-01 --save bill.json",
        "reconcile LEDGER --bill bill.json --mine key_abc -f md:bill.md",
        "reconcile --bill usage.json --bill costs.json --tolerance 0.5%",
    ),
)
@click.argument("paths", nargs=-1, metavar="[PATHS]...")
@click.option("--bill", "files", metavar="FILE", multiple=True,
              help="A bill: what --save wrote, pages of OpenAI's or Anthropic's usage and costs, "
              "OpenRouter's activity, a FOCUS export (CSV); repeatable.")  # fmt: skip
@click.option("--openai", "live", flag_value="openai", help="Ask OpenAI for it, with OPENAI_ADMIN_KEY.")
@click.option("--anthropic", "live", flag_value="anthropic", help="Ask Anthropic for it, with ANTHROPIC_ADMIN_KEY.")
@click.option("--base-url", metavar="URL", help="Ask there.")
@click.option("--save", metavar="FILE", help="Keep the answers, for --bill.")
@click.option("--since", metavar="DAY", help="The first UTC day.  [default: the first on the bill; 30 days ago]")
@click.option(
    "--until", metavar="DAY", help="The UTC day after the last one.  [default: after the last on the bill; today]"
)
@click.option("--mine", metavar="ID", multiple=True, help="A key or project of ours; repeatable.  [default: all]")
@click.option("--map", "maps", metavar="OURS=THEIRS", multiple=True,
              help="A model or a deployment as the bill calls it (prod-chat=gpt-4o-2024-08-06), or the key or project "
              "that calls with a tag are on (tag:app=shop=key_abc); repeatable.")  # fmt: skip
@click.option("--settled-before", metavar="TIME", default="48h", show_default=True,
              help="Younger days may still change and are left out: 48h, 3d, a date; 0h: none.")  # fmt: skip
@click.option("--tolerance", metavar="SHARE", default="1%", show_default=True,
              help="Exit with 3 if more of the bill is unexplained.")  # fmt: skip
@click.option("--count-mocked", is_flag=True, help="Count calls to test servers too: it is their bill.")
@click.option("-f", "--format", "formats", metavar="TYPE[:DEST]", multiple=True,
              help="table, json, md, html, csv, ... as of reports; ci: what this CI host reads.")  # fmt: skip
@click.option("--prices", metavar="FILE", help="Private prices, TOML or JSON.")
@click.option("--data-dir", metavar="DIR", help="Where runs are kept.  [default: .token_meter]")
@click.option("--config", metavar="FILE", help="The pyproject.toml to read.")
@wrapped
def command(
    paths: tuple[str, ...], files: tuple[str, ...], live: str | None, base_url: str | None, save: str | None,
    since: str | None, until: str | None, mine: tuple[str, ...], maps: tuple[str, ...], settled_before: str,
    tolerance: str, count_mocked: bool, formats: tuple[str, ...], **given: Any,
) -> None:  # fmt: skip
    """Compare what a ledger has with what the provider charged, and name each difference by its cause.

    All runs of the data directory, or PATHS, are read. Exits with 3 when more of the bill's money or tokens is
    unexplained than the tolerance.
    """
    from token_meter.bills import Bill, ours_of, read_bill, reconcile, render
    from token_meter.bills._sources import FETCHERS, parse, saved
    from token_meter.ci.harness import book_of
    from token_meter.ledger import read_run
    from token_meter.report import expanded, parse_target, write

    config = config_from(given)
    wanted = [parse_target(text) for text in expanded(formats or ("table",))]
    names = _names(maps)
    for target in wanted:
        render_check(target.format)
    most = _share(tolerance)
    if bool(files) == bool(live):
        msg = "say which bill: --bill FILE, or one of --openai and --anthropic"
        raise ConfigError(msg)
    if save and not live:
        msg = "--save keeps what a provider answers; say which one: --openai or --anthropic"
        raise ConfigError(msg)
    now = datetime.now(UTC)
    today, settled = f"{now:%Y-%m-%d}", _settled(settled_before, now)
    last = _day(until) if until else max(today, settled)
    first = _day(since) if since else None
    if live:
        first = first or f"{now - timedelta(days=30):%Y-%m-%d}"
        pages = FETCHERS[live](_at(first), _at(last), base_url)
        if save:
            write(saved(live, pages), save, is_ours=True)
        bill = parse(live, pages)
    else:
        bill = Bill().plus(read_bill(Path(name)) for name in files)
        days = sorted({*bill.days, *bill.covered})
        first = first or (days[0] if days else "0001-01-01")
        if not until and days:  # later calls are none of this bill's
            last = min(last, f"{date.fromisoformat(days[-1]) + timedelta(days=1)}")
    if not any(first <= day < last for day in bill.days):  # a check of nothing must not pass
        msg = f"the bill has no rows from {first} to before {last}" if bill.days or live else "the bill has no rows"
        raise LedgerError("; ".join((msg, *bill.notes)))
    book = book_of(config["prices"])
    since_s = None if first <= "1970-01-01" else _at(first) - _DAY_S  # a call over the first midnight, or a batch
    rows = read_run(paths or (config["data_dir"],), merge=False, last=None, since_s=since_s)
    ours = ours_of(rows, book, counts_mocked=count_mocked, names=names)
    found = reconcile(bill, ours, book, mine=mine, since=first, until=last, settled=settled)
    for target in wanted:
        text = render(found, target.format)
        if target.destination is None:
            click.echo(text, nl=False)
        else:
            write(text, target.destination, append=target.append)
    if ours.free and not count_mocked:
        mocked = f"{ours.free:,} replayed or mocked calls are on no bill"
        if not ours.cells:
            mocked = f"all {mocked}; is it the bill of a test server? Then say --count-mocked"
        click.echo(f"token-meter: {mocked}", err=True)
    if found.share > most:
        sys.exit(3)


def render_check(name: str) -> None:
    """Refuse a format before anything is asked for.

    Raises:
        ConfigError: a reconciliation cannot be written so.
    """
    from token_meter.bills import FORMATS

    if name not in FORMATS:
        msg = f"a reconciliation cannot be written as {name}; it can as {', '.join(FORMATS)}"
        raise ConfigError(msg)


def _names(maps: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in maps:
        ours, equals, theirs = text.rpartition("=")
        if not equals or not ours.removeprefix("tag:") or not theirs:
            msg = f"--map must be such as prod-chat=gpt-4o-2024-08-06 or tag:app=shop=key_abc, not {text!r}"
            raise ConfigError(msg)
        found[ours] = theirs
    return found


def _share(text: str) -> Decimal:
    from token_meter._text import is_number

    number = text.strip().removesuffix("%").strip()
    if not is_number(number) or Decimal(number) < 0:
        msg = f"--tolerance must be a share such as 1% or 0.01, not {text!r}"
        raise ConfigError(msg)
    return Decimal(number) / _FACTOR if text.strip().endswith("%") else Decimal(number)


def _settled(text: str, now: datetime) -> str:
    """The first day that is not settled: the one that ended too lately, or has not ended; with 0 there is none."""
    from token_meter.cli._reading import seconds_since

    at_s = seconds_since(text, "--settled-before")
    if at_s >= int(now.timestamp()):
        return f"{now + timedelta(days=1):%Y-%m-%d}"
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d}"


def _day(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d}"
    except ValueError:
        msg = f"a day must be such as 2026-11-20, not {text!r}"
        raise ConfigError(msg) from None


def _at(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
