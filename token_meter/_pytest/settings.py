"""The settings of pytest, and the limits of one test."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

import pytest

from token_meter._text import suggestion
from token_meter.config import LIMITS, Config, load_config
from token_meter.exceptions import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from token_meter.report import Limit

INI_KEYS = (
    "meter_report", "meter_prices", *(f"meter_{name}" for name in LIMITS), *(f"meter_test_{name}" for name in LIMITS),
)  # fmt: skip
_MARKER = (*LIMITS, "on_exceed")


def settings_of(config: pytest.Config) -> Config:
    """Merge options, environment, ini and pyproject.toml, and check them.

    Raises:
        ConfigError: a setting is not valid.
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
        "prices": _beside(config.inipath, config.getini("meter_prices")),
        **{f"budget.{name}": config.getini(f"meter_{name}") for name in LIMITS},
        **{f"budget.test.{name}": config.getini(f"meter_test_{name}") for name in LIMITS},
    }
    _check_ini(config)
    path = config.rootpath / "pyproject.toml"
    settings = load_config(path if path.is_file() else None, given=options, ini=ini)
    _check(settings, formats=reports)
    return settings


def _beside(ini: Path | None, path: str) -> str:
    """A path that the ini file names, which is relative to that file."""
    return str(ini.parent / path) if path and ini is not None else path


def _check_ini(config: pytest.Config) -> None:
    """Refuse an unknown `meter_...` key in the ini file, because pytest only warns about it."""
    # Newer versions of pytest call it `_inicfg` and warn about the old name; no public function lists the keys.
    keys = vars(config).get("_inicfg", vars(config).get("inicfg", {}))
    for key in keys:
        if key.startswith("meter_"):
            try:
                config.getini(key)
            except ValueError:
                msg = f"the ini file: unknown key {key!r}{suggestion(key, INI_KEYS)}; keys are {', '.join(INI_KEYS)}"
                raise ConfigError(msg) from None


def _check(settings: Config, formats: list[str] | None) -> None:
    """Check settings at the start that are used only at the end, when the money has been spent."""
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


def wrong_marker(item: pytest.Item) -> str | None:
    """The mistake in a `token_budget` marker, if any, because a typo must not disable a budget."""
    from token_meter.ci.harness import limits_of
    from token_meter.report import Limit

    for mark in item.iter_markers("token_budget"):
        where = f"{item.nodeid}: token_budget"
        if mark.args:
            return f"{where} takes keywords only, such as max_cost=0.01, not {mark.args[0]!r}"
        for name in mark.kwargs:
            if name not in _MARKER:
                known = f"{suggestion(name, _MARKER)}; known: {', '.join(_MARKER)}"
                return f"{where} got an unknown argument {name!r}{known}"
        on_exceed = mark.kwargs.get("on_exceed", "fail")
        try:
            Limit.of(item.nodeid, "calls", 0, on_exceed)  # a marker may set only `on_exceed`, without a limit
            limits_of(mark.kwargs, item.nodeid, on_exceed)
        except ConfigError as error:
            return f"{where}: {error}"
    return None


def limits_of_test(item: pytest.Item, settings: Config) -> list[Limit]:
    """The limits of one test, field by field: from its markers, else the first match, else those for each test.

    The nearest marker wins: that of the function, then of the class, then of the module.
    """
    from token_meter.ci.harness import limits_of, names_of_limits

    told: dict[str, Any] = {name: settings[f"budget.test.{name}"] for name in LIMITS}
    on_exceed = "fail"
    path = item.nodeid.partition("::")[0]
    row: dict[str, Any] = next(
        (m for m in settings["budget.match"] if fnmatch(path, m["tests"]) or fnmatch(item.nodeid, m["tests"])), {}
    )
    options = names_of_limits(settings, "budget.test.", of_pytest=True)
    marks = [mark.kwargs for mark in reversed([*item.iter_markers("token_budget")])]
    for source, of in ((row, "budget.match"), *((mark, "the marker token_budget") for mark in marks)):
        told.update({name: source[name] for name in LIMITS if name in source})
        options.update({name: f"{name} of {of}" for name in LIMITS if name in source})
        on_exceed = source.get("on_exceed", on_exceed)
    return limits_of(told, item.nodeid, on_exceed, options)
