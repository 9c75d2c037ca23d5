"""The pytest plugin: options, marker, fixture, hooks. It is small, because every pytest run imports it.

The meter is not loaded before a session starts, nor the reports before a call was seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from token_meter._pytest.testmeter import TestMeter

NAME = "token_meter_session"


class Hooks:
    """Hooks that conftest files and other plugins may implement."""

    @pytest.hookspec(firstresult=True)
    def pytest_token_meter_context(self, item: pytest.Item) -> str | None:
        """Return the name in reports for the calls of *item*; `None` for its id."""

    @pytest.hookspec
    def pytest_token_meter_report(self, report: Any) -> None:
        """Called with the run's report before it is written; `report.summary` may be replaced."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """All options begin with `--meter`. Their defaults are `None`, so that environment and files apply."""
    from token_meter.config import LIMITS, ON_EXCEED

    group = parser.getgroup("token_meter", "what LLM calls cost")

    def option(name: str, **how: Any) -> None:
        group.addoption(name, **{"default": None, **how})

    option("--meter", action="store_true", dest="meter_table", help="show the table of LLM calls and costs")
    option("--no-meter", action="store_true", dest="meter_off", help="do not meter LLM calls")
    option(
        "--meter-report", action="append", metavar="TYPE[:DEST]", dest="meter_report",
        help="write a report: term, term:20, term-all, json, md, md-append, html, csv, junit, openmetrics, github, "
        "gitlab-codequality; repeatable; empty for none",
    )  # fmt: skip
    for name in LIMITS:
        unit = "USD" if name in ("max_cost", "max_spend") else "N"
        dashed = name.replace("_", "-")
        option(f"--meter-{dashed}", metavar=unit, dest=f"meter_{name}", help=f"limit for the run: {name}")
        option(f"--meter-test-{dashed}", metavar=unit, dest=f"meter_test_{name}", help=f"limit for each test: {name}")
    option(
        "--meter-on-exceed", choices=ON_EXCEED, dest="meter_on_exceed",
        help="over the run's limit: warn; fail: run on and exit with 1; stop: refuse further calls and end the run",
    )  # fmt: skip
    option(
        "--meter-compare", nargs="?", const="", metavar="BASE", dest="meter_compare",
        help="compare with a report (default: the last run)",
    )  # fmt: skip
    option("--meter-fail-on", action="append", metavar="EXPR", dest="meter_fail_on",
           help="fail when the comparison exceeds a rule, such as cost:10%% or test.calls:0")  # fmt: skip
    option("--meter-sort", metavar="[-]KEY", dest="meter_sort", help="cost, tokens, calls or name")
    option("--meter-top", metavar="N", dest="meter_top", help="rows of the table")
    option("--meter-unpriced", choices=("ignore", "warn", "fail"), dest="meter_unpriced",
           help="how to treat a model without a price")  # fmt: skip
    option("--meter-prices", metavar="FILE", dest="meter_prices", help="private prices, TOML or JSON")
    option("--meter-data", metavar="DIR", dest="meter_data", help="where runs are kept (.token_meter)")
    option("--meter-append", action="store_true", dest="meter_append", help="add to the latest run")
    option("--meter-subprocess", action="store_true", dest="meter_subprocess",
           help="meter Python children of the tests too (changes their environment)")  # fmt: skip
    parser.addini("meter_report", "reports, as --meter-report", type="linelist", default=[])
    parser.addini("meter_prices", "private prices, as --meter-prices", default="")
    for name in LIMITS:
        parser.addini(f"meter_{name}", f"limit for the run: {name}", default="")
        parser.addini(f"meter_test_{name}", f"limit for each test: {name}", default="")


def pytest_configure(config: pytest.Config) -> None:
    from token_meter.config import LIMITS

    config.addinivalue_line(
        "markers",
        f"token_budget({', '.join(f'{name}=' for name in LIMITS)}, on_exceed='fail'): limit the LLM calls of a test",
    )
    config.addinivalue_line("markers", "no_meter: do not record the LLM calls of a test")
    if config.getoption("meter_off"):
        return
    from token_meter._pytest.settings import settings_of
    from token_meter.exceptions import ConfigError

    try:
        settings = settings_of(config)
    except ConfigError as error:
        msg = f"token_meter: {error}"
        raise pytest.UsageError(msg) from None
    if settings["enabled"]:
        from token_meter._pytest.session import Session

        config.pluginmanager.register(Session(config, settings), NAME)


@pytest.fixture
def meter(request: pytest.FixtureRequest) -> TestMeter:
    """The live meter of this test: `meter.cost`, `.spent`, `.total_tokens`, `.records`; `meter()` opens another one."""
    session = request.config.pluginmanager.get_plugin(NAME)
    if session is None:
        from token_meter._pytest.testmeter import TestMeter

        return TestMeter()
    session.start()  # with the prices of the settings
    found: TestMeter = session.now.meter
    return found
