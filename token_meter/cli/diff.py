"""`token-meter diff`: compares two reports."""

from __future__ import annotations

import sys
from typing import Any

import click

from token_meter.cli._options import config_from, examples, formats_option, options, targets, view_of, wrapped
from token_meter.cli._reading import read


@click.command(
    "diff",
    epilog=examples(
        "diff base.json --fail-on cost:10%",
        "diff git:origin/main --fail-on test.cost:0.05 --warn-on calls:0",
        "diff base.json head.json -f html:diff.html",
    ),
)
@click.argument("base")
@click.argument("head", required=False)
@click.option(
    "--fail-on", metavar="EXPR", multiple=True, help="Exit with 3 beyond it: cost:10%, test.cost:0.05, calls:0."
)
@click.option("--warn-on", metavar="EXPR", multiple=True, help="Warn beyond it.")
@click.option("--min-change", metavar="USD", help="Ignore smaller changes: they neither fail nor are listed.")
@click.option(
    "--if-no-base", type=click.Choice(["pass", "warn", "fail"]), help="How to treat a missing BASE.  [default: pass]"
)
@click.option("--as-recorded", is_flag=True, help="Compare the costs on record; price nothing again.")
@options("view")
@formats_option
@click.option("-o", "--output", metavar="FILE", help="Write the comparison to FILE.")
@click.option("--json", "as_json", is_flag=True, help="The same as -f json.")
@click.option("--data-dir", metavar="DIR", help="Where runs are kept.  [default: .token_meter]")
@wrapped
def command(
    base: str,
    head: str | None,
    formats: tuple[str, ...],
    output: str | None,
    as_json: bool,
    as_recorded: bool,
    **given: Any,
) -> None:
    """Compare BASE with HEAD (default: the latest run).

    Each is a JSON report, a ledger, `-` for stdin, or git:REF[:PATH]. EXPR is [SCOPE.]FIELD:LIMIT with SCOPE total,
    test, model or new, FIELD cost, spent, tokens, calls or unpriced, and LIMIT a number or a percentage.
    """
    from token_meter.ci import harness as _run
    from token_meter.exceptions import ConfigError, LedgerError
    from token_meter.report import commits_between, compare, load, parse_rule

    config = config_from(given)
    wanted = targets(("json", *formats) if as_json else formats, config, compared=True)
    if output is not None:
        wanted = [f"{wanted[0]}:{output}", *wanted[1:]]
    for rule in (*config["diff.fail_on"], *config["diff.warn_on"]):
        parse_rule(rule)
    now = read((head,) if head else (config["data_dir"],), given["by"], config, priced_later=True)
    book = _run.book_of(config["prices"])
    try:
        before = load(base, by=given["by"], book=book)
    except LedgerError as error:
        click.echo(f"token-meter: no base: {error}", err=True)
        before = None
    if before is not None and before.as_model != now.as_model and not as_recorded:
        old, new = (repr(side.as_model) if side.as_model else "the models that were called" for side in (before, now))
        msg = f"the base is priced as {old} and the head as {new}; compare the costs with --as-recorded"
        raise ConfigError(msg)
    age = None
    if before is not None and before.vcs is not None and now.vcs is not None:
        age = commits_between(before.vcs.commit, now.vcs.commit)
    diff = compare(
        before, now, book=None if as_recorded else book, fail_on=config["diff.fail_on"], warn_on=config["diff.warn_on"],
        min_change=config["diff.min_change"], age=age,
        prices="recorded" if as_recorded else "head", if_no_base=config["diff.if_no_base"],
    )  # fmt: skip
    _run.deliver(diff, wanted, view_of(given, config), lambda text: click.echo(text, nl=False))
    if diff.verdict.exit_code:
        click.echo(diff.verdict.headline, err=True)
    sys.exit(diff.verdict.exit_code)
