"""Settings: from a file, from the environment, from the command line; a slip is told with what was meant."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from token_meter.config import find_pyproject, load_config
from token_meter.exceptions import ConfigError


def told(tmp_path: Path, toml: str = "", **environment: str) -> Any:
    """The settings of a project with this table."""
    path = tmp_path / "pyproject.toml"
    path.write_text(f"[tool.token_meter]\n{toml}")
    return load_config(pyproject=path, environment=environment)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[tool.token_meter", "is not valid TOML"),
        ("budgt = 1", "unknown key 'budgt'; did you mean 'budget'?"),
        ("max_cost = 1", "unknown key 'max_cost'; did you mean 'budget.max_cost'?"),
        ("budget = 3", "budget must be a table"),
        ("[tool.token_meter.budget]\nmax_cost = true", "amount of US dollars"),
        ("[tool.token_meter.budget]\nmax_calls = -1", "budget.max_calls"),
        ("[tool.token_meter.budget]\non_exceed = 'explode'", "budget.on_exceed must be one of"),
        ("[[tool.token_meter.budget.match]]\ntests = 3", "budget.match.tests must be a pattern"),
        (
            "[[tool.token_meter.budget.match]]\ntests = 'a'\nmax_cst = 1",
            "'budget.match.max_cst'; did you mean 'max_cost'?",
        ),
        ("[[tool.token_meter.budget.match]]\ntests = 'a'\non_exceed = 'x'", "budget.match.on_exceed must be one of"),
        ("[tool.token_meter.budget]\nmatch = 3", "budget.match must be a list of tables"),
        ("data_dir = 3", "data_dir must be a string"),
        pytest.param("budget.max_calls = " + "9" * 5000, "is not valid TOML", id="a number of 5,000 digits"),
        pytest.param(f"budget.max_calls = '{'9' * 5000}'", "budget.max_calls must be a whole", id="as a string"),
        pytest.param("x = " + "[" * 5000, "is not valid TOML", id="5,000 lists in lists"),
    ],
)
def test_a_slip_in_the_file_is_told(tmp_path, toml, message):
    """Where it stands, what was expected, what was probably meant."""
    with pytest.raises(ConfigError, match=message.replace("(", r"\(").replace("?", r"\?")):
        told(tmp_path, toml)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"tool = 3 # token_meter", "pyproject.toml: tool must be a table"),
        (b"[tool.token_meter]\nprices = '\xff'", "byte 29 is not UTF-8"),
    ],
)
def test_a_file_of_another_kind_is_told(tmp_path, text, message):
    """One line, and no traceback."""
    path = tmp_path / "pyproject.toml"
    path.write_bytes(text)

    with pytest.raises(ConfigError, match=message):
        load_config(pyproject=path, environment={})


@pytest.mark.parametrize("labels", ["novalue", "=x", "suite=evals,novalue"])
def test_a_label_without_a_value_is_told(tmp_path, labels):
    """In the environment as on the command line: one that is dropped silently is missed when costs are told apart."""
    with pytest.raises(ConfigError, match=f"TOKEN_METER_LABELS: labels must be KEY=VALUE, not '{labels}'"):
        told(tmp_path, TOKEN_METER_LABELS=labels)

    assert told(tmp_path, TOKEN_METER_LABELS="suite=a=b, team= ,")["labels"] == {"suite": "a=b", "team": ""}


def test_labels_of_a_file_are_a_table(tmp_path):
    """What looks like the command line's is not told to look so."""
    with pytest.raises(ConfigError, match="labels must be a table, not 'team=search'"):
        told(tmp_path, "labels = 'team=search'")


def test_limits_of_tests_are_read_as_they_are_written(tmp_path):
    """Money as a decimal, counts as whole numbers."""
    config = told(tmp_path, "[[tool.token_meter.budget.match]]\ntests = 'evals/**'\nmax_cost = 0.05\nmax_calls = 3")

    assert config["budget.match"] == [{"tests": "evals/**", "max_cost": Decimal("0.05"), "max_calls": 3}]


def test_the_environment_wins_over_the_file(tmp_path):
    """And says where it comes from."""
    config = told(tmp_path, "data_dir = 'here'", TOKEN_METER_DATA_DIR="there", TOKEN_METER_BUDGET_MAX_CALLS="7")

    assert config["data_dir"] == "there"
    assert config["budget.max_calls"] == 7
    assert config.setting("data_dir")[1] == "TOKEN_METER_DATA_DIR"


def test_an_unknown_variable_that_looks_like_ours_is_told(tmp_path):
    """One that does not belongs to another program."""
    with pytest.raises(ConfigError, match="TOKEN_METER_DATADIR is not a setting of token_meter; did you mean"):
        told(tmp_path, TOKEN_METER_DATADIR="x")

    with pytest.raises(ConfigError, match="did you mean 'TOKEN_METER_BUDGET_MAX_COST'"):
        told(tmp_path, TOKEN_METER_BUDGET="5")  # its beginning is right, though another name is as near

    assert told(tmp_path, TOKEN_METER_ZQJXZQJXZQJXZQJXZQJX="x") is not None


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    """By its name."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(pyproject=tmp_path / "none.toml", environment={})


def test_a_file_without_our_table_has_no_settings(tmp_path):
    """It is not even parsed."""
    path = tmp_path / "pyproject.toml"
    path.write_text("this is [[ no TOML")

    assert load_config(pyproject=path, environment={}).setting("data_dir")[1] == "default"


def test_the_nearest_project_is_found(tmp_path):
    """At or above."""
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "a" / "b").mkdir(parents=True)

    assert find_pyproject(tmp_path / "a" / "b") == tmp_path / "pyproject.toml"
