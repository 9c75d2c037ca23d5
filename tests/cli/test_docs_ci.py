"""docs/ci.md, walked through on a copy of its sample project: every output on the page is what a run prints."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.docs_ci import PAGE, blocks, changes, commands, plain, scripts, steps
from token_meter.config import load_config
from token_meter.report import parse_rule

EXAMPLE = Path(__file__).parents[2] / "examples" / "ci_project"
TEXT = PAGE.read_text(encoding="utf-8")
OUTPUTS = [(command, shown) for block in blocks(TEXT) if not block.language for command, shown in commands(block.text)]


class Walk:
    """The project as a reader has it who does what the page says, in order."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.printed: dict[str, str] = {}
        self.code = 0

    def run(self, command: str, **env: str) -> str:
        """Run a command in a shell; what it prints on both streams, mixed."""
        ours = ("TOKEN_METER", "PYTEST", "GITHUB", "GITLAB", "CI", "FLORIST", "SHOW_OVER")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        clean |= {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COLUMNS": "80",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_ADDOPTS": "-p token_meter.pytest_plugin -p xdist.plugin -p no:cacheprovider",
        }
        done = subprocess.run(
            ["bash", "-c", f"(exit {self.code}); {command}"], cwd=self.project, env={**clean, **env}, timeout=200,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.code = done.returncode
        return done.stdout

    def all_of_it(self) -> None:
        """Change and run everything on the page, but for the hosts' recipes."""
        for block in blocks(TEXT):
            if block.language == "diff":
                for file in self.project.rglob("*.py"):
                    text = file.read_text(encoding="utf-8")
                    for out, into in changes(block.text):
                        text = text.replace(out, into)
                    file.write_text(text, encoding="utf-8")
            elif not block.language:
                for command, _ in commands(block.text):
                    self.printed[command] = self.run(command)


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """The whole walk, done once."""
    project = tmp_path_factory.mktemp("docs") / "project"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns(".token_meter", "__pycache__"))
    made = Walk(project)
    made.all_of_it()
    return made


@pytest.mark.parametrize(("command", "shown"), OUTPUTS, ids=[command for command, _ in OUTPUTS])
def test_every_output_on_the_page_is_printed(walk: Walk, command: str, shown: str) -> None:
    """Line for line; times, versions of the price tables and the order of workers aside."""
    assert shown.strip()
    assert plain(shown).strip("\n") in plain(walk.printed[command])


def test_the_change_on_the_page_was_made(walk: Walk) -> None:
    """Else the comparison would compare nothing."""
    (change,) = [change for block in blocks(TEXT) if block.language == "diff" for change in changes(block.text)]

    assert change[0] in (EXAMPLE / "shop" / "florist.py").read_text(encoding="utf-8")
    assert change[1] in (walk.project / "shop" / "florist.py").read_text(encoding="utf-8")


def test_python_on_the_page_is_in_the_project() -> None:
    """The test that asks too often."""
    lines = [line for block in blocks(TEXT) if block.language == "python" for line in block.text.splitlines()]
    sources = "\n".join(path.read_text(encoding="utf-8") for path in EXAMPLE.rglob("*.py"))

    assert lines
    assert all(line.removesuffix(" ...") in sources for line in lines)


def test_settings_on_the_page_can_be_meant(tmp_path: Path) -> None:
    """Every key is known, and read as it is written."""
    (text,) = [block.text for block in blocks(TEXT) if block.language == "toml"]
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")

    config = load_config(tmp_path / "pyproject.toml", environment={})

    assert config["budget.match"][0]["tests"] == "tests/evals/**"
    assert [parse_rule(rule).text for rule in config["diff.fail_on"]] == ["cost:10%", "test.cost:50%"]
    assert config["budget.on_exceed"] == "stop"


def test_reports_of_an_xdist_run_are_whole(walk: Walk) -> None:
    """All calls of all workers, the cassette told apart, in every file that was asked for."""
    totals = json.loads((walk.project / "base.json").read_text())["totals"]

    assert (totals["calls"], totals["replayed"], totals["mocked"], totals["spent"]) == (8, 1, 7, 0)
    assert "test_plans_a_bouquet" in (walk.project / "report.md").read_text()
    assert "<html" in (walk.project / "report.html").read_text()


def test_the_recipe_for_github_writes_what_the_page_shows(walk: Walk) -> None:
    """Annotations on stdout, the summary in its file, outputs for later steps; the comparison answers 3."""
    (recipe,) = [block.text for block in blocks(TEXT) if block.language == "yaml" and "actions/cache" in block.text]
    (shown,) = [block.text for block in blocks(TEXT) if block.language == "markdown"]
    shutil.copy(walk.project / "base.json", walk.project / "token-meter-base.json")
    host = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "summary.md", "GITHUB_OUTPUT": "outputs.txt"}
    suite, diff, copy = steps(recipe)

    tested = walk.run(suite, **host)
    assert walk.code == 0, tested
    compared = walk.run(diff, **host)
    assert walk.code == 3, compared
    walk.run(copy, **host)

    assert plain((walk.project / "summary.md").read_text(encoding="utf-8")) == plain(shown)
    assert "::notice title=token_meter::LLM cost: $0.00176 in 8 calls" in tested.splitlines()
    assert compared.startswith("::error title=LLM budget%3A cost%3A10%25::total: cost +$0.000182 (+11.6%25)")
    outputs = dict(line.split("=", 1) for line in (walk.project / "outputs.txt").read_text().splitlines())
    assert outputs["status"] == "exceeded"
    assert float(outputs["delta"]) == pytest.approx(0.0001825)
    now = json.loads((walk.project / "token-meter-base.json").read_text())["totals"]["cost"]
    assert float(outputs["cost"]) == now


def test_the_recipe_for_gitlab_writes_its_artifacts(walk: Walk) -> None:
    """Each under the name that the job declares, and each readable."""
    (recipe,) = [block.text for block in blocks(TEXT) if block.language == "yaml" and "artifacts:" in block.text]
    (suite,) = scripts(recipe)

    done = walk.run(suite, GITLAB_CI="true")

    assert walk.code == 0, done
    declared = [line.split()[1] for line in recipe.partition("reports:\n")[2].splitlines()]
    assert declared == ["metrics.txt", "gl-code-quality-report.json", "junit.xml"]
    assert "token_meter_calls 8" in (walk.project / declared[0]).read_text()
    assert json.loads((walk.project / declared[1]).read_text()) == []
    assert 'name="token_meter.cost_usd"' in (walk.project / declared[2]).read_text()


def test_a_new_test_over_its_limit_is_found_by_a_rule(walk: Walk) -> None:
    """`new.calls:1` is about tests that the base does not have."""
    walk.run("SHOW_OVER_BUDGET=1 pytest -q tests/test_over_budget.py --meter-report=json:over.json")
    assert walk.code == 1

    said = walk.run("token-meter diff base.json over.json --fail-on new.calls:1")

    assert walk.code == 3
    assert "test_asks_twice" in said
