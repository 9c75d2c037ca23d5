"""The prices of a test session: one book for the table and for the meters that the tests open themselves."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Suite
from tests.plugin.test_plugin_runs import report
from token_meter import _defaults

OWN_METER = """
import token_meter
def test_it(meter):
    with token_meter.meter() as cb:
        ask()
    assert cb.cost == meter.cost > 0
"""


@pytest.mark.parametrize(
    ("options", "ini"), [((), ""), (("--meter-prices=prices.toml",), ""), ((), 'meter_prices = "prices.toml"')],
    ids=["pyproject", "option", "ini"],
)  # fmt: skip
def test_f149_the_meters_of_a_test_have_the_prices_of_the_session(
    suite: Suite, pytester: pytest.Pytester, options: tuple[str, ...], ini: str
) -> None:
    """Program and report agree; afterwards the process has its own default again."""
    before = _defaults.given_book()

    done = suite(OWN_METER, "--meter-report=json:r.json", *options, ini=ini)

    done.assert_outcomes(passed=1)
    assert report(pytester)["totals"]["cost"] > 0
    assert _defaults.given_book() is before


@pytest.mark.parametrize("ini", ["", 'meter_prices = "prices.toml"'], ids=["pyproject", "ini"])
def test_f150_a_session_that_starts_in_a_folder_finds_its_prices(
    suite: Suite, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ini: str
) -> None:
    """The file is beside the pyproject.toml that names it."""
    (pytester.path / "deep").mkdir()
    monkeypatch.chdir(pytester.path / "deep")

    done = suite(OWN_METER, "..", ini=ini)

    done.assert_outcomes(passed=1)
