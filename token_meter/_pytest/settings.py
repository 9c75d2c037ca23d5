"""What pytest was told, as settings, and the limits of one test. It knows no session."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

import pytest

from token_meter.config import Config, load_config, suggestion

if TYPE_CHECKING:
    from token_meter.report import Limit

LIMITS = ("max_cost", "max_spend", "max_tokens", "max_calls")
_MARKER = (*LIMITS, "on_exceed")


def settings_of(config: pytest.Config) -> Config:
    """Merge options, environment, ini and pyproject.toml, and check them.

    Raises:
        ConfigError: something cannot be meant.
    """

    def given(name: str) -> Any:
        return config.getoption(f"meter_{name}")

    reports = given("report")
    options = {
        "report.formats": None if reports is None else [text for text in reports if text] or None,
        "report.sort": given("sort"),
        "report.top": given("top"),
        "unpriced": given("unpriced"),
        "prices": given("prices"),
        "data_dir": given("data"),
        "subprocess": given("subprocess"),
        "budget.on_exceed": given("on_exceed"),
        "diff.base": given("compare") or None,
        "diff.fail_on": given("fail_on"),
        **{f"budget.{name}": given(name) for name in LIMITS},
        **{f"budget.test.{name}": given(f"test_{name}") for name in LIMITS},
    }
    ini = {
        "report.formats": config.getini("meter_report"),
        "prices": config.getini("meter_prices"),
        **{f"budget.{name}": config.getini(f"meter_{name}") for name in LIMITS},
        **{f"budget.test.{name}": config.getini(f"meter_test_{name}") for name in LIMITS},
    }
    path = config.rootpath / "pyproject.toml"
    settings = load_config(path if path.is_file() else None, given=options, ini=ini)
    _check(settings, formats=reports)
    return settings


def _check(settings: Config, formats: list[str] | None) -> None:
    """Find mistakes at the start that would otherwise show at the end, after the money is spent."""
    if settings["report.formats"]:
        from token_meter.report import expanded, parse_target

        for text in expanded(settings["report.formats"]):
            parse_target(text)
    if settings["diff.fail_on"] or settings["diff.warn_on"]:
        from token_meter.report import parse_rule

        for rule in (*settings["diff.fail_on"], *settings["diff.warn_on"]):
            parse_rule(rule)
    if settings["prices"]:
        from token_meter.prices import PriceBook

        PriceBook.from_file(settings["prices"])
    if settings.setting("report.sort").origin != "default":
        from token_meter.report import View

        View(sort=settings["report.sort"])


def check_marker(item: pytest.Item) -> None:
    """Refuse a `token_budget` that nobody could mean: a typo must not switch a budget off."""
    for mark in item.iter_markers("token_budget"):
        where = f"{item.nodeid}: token_budget"
        if mark.args:
            msg = f"{where} takes keywords only, such as max_cost=0.01, not {mark.args[0]!r}"
            raise pytest.UsageError(msg)
        for name in mark.kwargs:
            if name not in _MARKER:
                msg = (
                    f"{where} got an unknown argument {name!r}{suggestion(name, _MARKER)}; known: {', '.join(_MARKER)}"
                )
                raise pytest.UsageError(msg)
        from token_meter._run import limits_of
        from token_meter.exceptions import ConfigError

        try:
            limits_of(mark.kwargs, item.nodeid, mark.kwargs.get("on_exceed", "fail"))
        except ConfigError as error:
            msg = f"{where}: {error}"
            raise pytest.UsageError(msg) from None


def limits_of_test(item: pytest.Item, settings: Config) -> list[Limit]:
    """The limits of one test: its marker's, else the first match's, else those for each test; field by field."""
    from token_meter._run import limits_of

    told: dict[str, Any] = {name: settings[f"budget.test.{name}"] for name in LIMITS}
    on_exceed = "fail"
    path = item.nodeid.partition("::")[0]
    row: dict[str, Any] = next(
        (m for m in settings["budget.match"] if fnmatch(path, m["tests"]) or fnmatch(item.nodeid, m["tests"])), {}
    )
    mark = item.get_closest_marker("token_budget")
    for source in (row, mark.kwargs if mark is not None else {}):
        told.update({name: source[name] for name in LIMITS if name in source})
        on_exceed = source.get("on_exceed", on_exceed)
    return limits_of(told, item.nodeid, on_exceed)
