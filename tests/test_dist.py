"""What the package index will show: the metadata that `make dist` builds and tries. Nothing is built here."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

import token_meter
from tests.test_house import ROOT

pytest.importorskip("hatchling", reason="the dependency group `dev`")

from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

LINK = re.compile(r"\]\(([^)]+)\)")
SOMEWHERE = "https://git.example/us/token_meter"


def core(repository: str = "") -> Any:
    """The metadata, with the address of a repository."""
    given = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    given["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"] = repository
    return ProjectMetadata(str(ROOT), PluginManager(), given).core


def test_without_a_known_repository_the_index_shows_no_link_and_no_url():
    """An address is not made up, and a relative link would lead nowhere."""
    shown = core()

    assert LINK.findall(shown.readme) == []
    assert shown.urls == {}
    assert "I want to" in shown.readme


def test_with_one_each_link_is_absolute_and_the_code_is_as_it_was():
    """Pages, the picture, the project's URLs."""
    shown = core(SOMEWHERE)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert len(LINK.findall(shown.readme)) == len(LINK.findall(readme))
    assert all(link.startswith(f"{SOMEWHERE}/") for link in LINK.findall(shown.readme))
    assert "![token-meter watch" in shown.readme
    assert f"({SOMEWHERE}/raw/main/docs/img/watch.svg)" in shown.readme
    assert re.findall(r"```.*?```", shown.readme, re.DOTALL) == re.findall(r"```.*?```", readme, re.DOTALL)
    assert shown.urls["Source"] == SOMEWHERE


def test_the_classifiers_name_the_pythons_that_the_tests_run_on():
    """No other one: those of the CI's matrix."""
    (matrix,) = re.findall(r"python: \[(.*)\]", (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    named = [found[1] for one in core().classifiers if (found := re.search(r"Python :: (3\.\d+)$", one))]

    assert named == re.findall(r"3\.\d+", matrix)


def test_the_version_is_that_of_the_package():
    """One number, said twice."""
    assert core().version == token_meter.__version__
