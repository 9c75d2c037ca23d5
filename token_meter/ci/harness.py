"""Limits, sums over all processes, and the verdict of a run, for the pytest plugin and `token-meter run`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from token_meter._defaults import configured_book
from token_meter.ci.losses import NOTHING_MISSING, Missing, WholeRun
from token_meter.config import LIMITS, Config
from token_meter.ledger import Ledger, find_shards

if TYPE_CHECKING:
    from token_meter.ledger import RunFacts
    from token_meter.prices import PriceBook
    from token_meter.report import Check, Limit, Summary, Verdict, View

CONFIG_VARIABLE = "TOKEN_METER_RUN_CONFIG"
CONTEXT_VARIABLE = "TOKEN_METER_CONTEXT"
NO_OPTIONS: Mapping[str, str] = {}
_COLOURS = {"red": "\x1b[31m", "yellow": "\x1b[33m", "green": "\x1b[32m"}


def limits_of(
    settings: Mapping[str, Any], scope: str, on_exceed: str = "fail", options: Mapping[str, str] = NO_OPTIONS
) -> list[Limit]:
    """The limits of a table of `max_*` settings, each with what the user set it by, if *options* says so.

    Raises:
        ConfigError: an amount is not valid.
    """
    from token_meter.report import Limit

    how: Any = on_exceed
    return [
        replace(Limit.of(scope, field, settings[name], how), option=options.get(name, ""))
        for name, field in LIMITS.items()
        if settings.get(name) is not None
    ]


def budget_settings(config: Config, prefix: str = "budget.") -> dict[str, Any]:
    """The `max_*` settings below *prefix*."""
    return {name: config[prefix + name] for name in LIMITS}


def names_of_limits(config: Config, prefix: str, *, of_pytest: bool) -> dict[str, str]:
    """How the user wrote each limit of a run or of its tests: `--meter-max-cost`, `TOKEN_METER_BUDGET_MAX_COST`, ..."""
    test = "test_" if prefix.endswith("test.") else ""
    found = {}
    for name in LIMITS:
        option = f"--{'meter-' if of_pytest else ''}{test}{name}".replace("_", "-")
        found[name] = config.named(prefix + name, option, f"meter_{test}{name}")
    return found


def name_limits(meter: Any, owner: str, named: Mapping[str, str], *, is_spend: bool) -> None:
    """Let a meter's refusals name what the user wrote, who knows no such meter."""
    if meter.budget is not None:
        fields = ("cost", "max_spend" if is_spend else "max_cost"), ("tokens", "max_tokens"), ("calls", "max_calls")
        meter.budget.name_options(owner, {field: named[name] for field, name in fields if name in named})


def book_of(path: str | None) -> PriceBook:
    """The price book of a run: of the file that the settings name, else the one that its program was given.

    Raises:
        ConfigError: the file cannot be read or is not valid.
    """
    from token_meter.prices import DEFAULT_BOOK, PriceBook

    return PriceBook.from_file(path) if path else configured_book() or DEFAULT_BOOK


def environment_of(run_dir: Path, config: Config, *, boots: bool = True) -> dict[str, str]:
    """The environment variables by which Python children join a run. The boot directory is first in `PYTHONPATH`."""
    prices = config["prices"]
    told = {
        **{name: str(value) for name, value in budget_settings(config).items() if value is not None},
        "on_exceed": config["budget.on_exceed"],
        "unpriced": config["unpriced"],
        "options": names_of_limits(config, "budget.", of_pytest=False),
        "prices": os.path.abspath(prices) if prices else None,
        "labels": config["labels"],
    }
    found = {"TOKEN_METER_RUN_DIR": str(run_dir), CONFIG_VARIABLE: json.dumps(told)}
    if told["prices"]:
        found["TOKEN_METER_PRICES"] = told["prices"]  # of the program's own meters too
    if boots:
        boot = str(Path(__file__).parents[1] / "_subprocess_boot")
        paths = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != boot]
        found["PYTHONPATH"] = os.pathsep.join([boot, *paths])
    return found


def finish(
    run_dir: Path,
    config: Config,
    *,
    command: tuple[str, ...] = (),
    by: Any = "test",
    with_vcs: bool = True,
    missing: Missing = NOTHING_MISSING,
) -> tuple[Summary, Verdict]:
    """Read a whole run and judge it by its limits, by those of its tests, and by recorded refusals.

    If records are *missing*, no limit of the run is reported as kept, and each fails unless it only warns.
    """
    from token_meter.report import Check, check_limits, find_vcs, summarise

    reader = WholeRun(find_shards([run_dir]) if run_dir.is_dir() else [], missing)
    vcs = find_vcs() if with_vcs else None
    summary = summarise(
        reader, by=by, book=book_of(config["prices"]), command=command, vcs=vcs, labels=config["labels"]
    )
    on_exceed = config["budget.on_exceed"]
    limits = limits_of(budget_settings(config), "run", on_exceed)
    checks = [doubted(check, str(missing)) if missing else check for check in check_limits(summary, limits)]
    checks += checks_on_record(reader.facts, checks)
    if config["unpriced"] == "fail" and summary.totals.open:
        n = summary.totals.open
        text = (
            f"{n} call{'' if n == 1 else 's'} without a whole price ({', '.join(summary.totals.unpriced_models[:5])})"
        )
        checks.append(Check("run", "unpriced", Decimal(0), Decimal(n), "exceeded", text))
    summary = replace(summary, checks=tuple(checks))
    return summary, verdict_of(checks, config, is_doubtful=bool(missing and limits))


def verdict_of(checks: Sequence[Check], config: Config, *, is_doubtful: bool) -> Verdict:
    """Judge a run. If the ledger has gaps, a limit fails unless it only warns, because it may have been exceeded."""
    from token_meter.report import judge

    verdict = judge(checks, unpriced=config["unpriced"])
    if is_doubtful and config["budget.on_exceed"] != "warn" and not verdict.exit_code:
        doubt = f"token_meter: {checks[0].text}"
        return replace(judge(checks, unpriced="fail"), status="unknown", headline=doubt)
    return verdict


def doubted(check: Check, why: str) -> Check:
    """Adapt a check to a ledger with gaps: an exceeded limit stays exceeded, any other becomes unknown."""
    if check.status not in ("ok", "unknown"):
        return check
    text = f"the limit on {check.field} cannot be checked: {why}; as far as known, {check.text}"
    return replace(check, status="unknown", text=text)


def checks_on_record(facts: RunFacts, known: Iterable[Check] = ()) -> list[Check]:
    """The limits that tests exceeded, as their processes recorded them, and a refusal that *known* does not explain."""
    from token_meter.report import FIELDS, STATUSES, Check, amount_of

    found = []
    for name, note in facts.contexts.items():
        for row in note.get("checks") or ():
            try:
                field, limit, actual, status, text = row
                if field not in FIELDS or status not in STATUSES or not isinstance(text, str):
                    continue
                found.append(Check(name, field, amount_of(limit), amount_of(actual), status, text, None, name))
            except (TypeError, ValueError, ArithmeticError):
                continue  # not written by us
    refused = facts.run.get("refused")
    over = {(c.scope, c.status) for c in known}
    if refused is not None and ("run", "exceeded") not in over:
        limit_ = next((c.limit for c in known if c.scope == "run" and c.field == refused), Decimal(0))
        field, why = str(refused), f"the limit on {refused} would have been exceeded"
        if refused == "price":
            field, why = "unpriced", "a model has no price"
        text = f"run: calls were refused, because {why}"
        found.append(Check("run", field, limit_, limit_, "exceeded", text))
    return found


def deliver(
    summary: Any, formats: Iterable[str], view: View, show: Callable[[str], None], *, only_files: bool = False
) -> None:
    """Write a summary or a comparison to each target: to its file, or with *show*.

    Raises:
        ConfigError: a format is unknown, or needs a package that is not installed.
        OSError: a file cannot be written.
    """
    from token_meter.report import parse_target, render, write

    for target in [parse_target(text) for text in formats]:
        if target.destination is not None:
            write(render(summary, target, view), target.destination, append=target.append)
        elif not only_files:
            text = render(summary, target, view)
            show(painted(text) if target.format == "table" else text)


def painted(text: str) -> str:
    """A table with colours for a terminal; the caller removes them where the terminal has none."""
    from token_meter.report import tone_of

    return "".join(
        f"{_COLOURS[tone]}{line}\x1b[0m\n" if (tone := tone_of(line)) else f"{line}\n" for line in text.splitlines()
    )


def join(run_dir: str | None = None, *, worker: str | None = None, lazy: bool = False) -> Ledger | None:
    """The ledger of this process in the run of *run_dir*, or of the environment; `None` without one."""
    return Ledger.join(run_dir, worker=worker, lazy=lazy) if run_dir else Ledger.from_environment(worker=worker)
