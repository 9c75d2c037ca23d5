"""The README and the pages tell the truth: each block of Python and each command runs, and prints what stands below."""

from __future__ import annotations

import contextlib
import glob
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import genai_prices
import pytest
from click.testing import CliRunner

import token_meter
from tests.docs.pages import PAGES, Block, blocks, hidden_commands, reads, shows
from tests.report.samples import call, write_sample
from tests.test_house import ROOT
from token_meter.cli import main
from token_meter.ledger import Ledger
from token_meter.report import _age
from token_meter.simulator import Simulator

WHOLE = {
    "docs/ci.md": "tests/cli/test_docs_ci.py",
    "docs/examples.md": "tests/examples/test_examples_docs.py",
    "docs/langchain.md": "tests/langchain/test_langchain_docs.py",
    "docs/notebooks.md": "tests/notebook/test_notebook.py",
}
"""Pages that a test of their own goes through: a project, many programs, another framework, a kernel."""
WALKED = [page for page in PAGES if page not in WHOLE and blocks(page)]
NOT_RUN = {"docs/fleet.md": 1}
"""How many blocks of each page nothing runs; each says why."""
STAND_INS = {"redis://cache:6379/0": "sqlite:///shared.db"}
IN_CHILDREN = ("run", "watch", "demo")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]


class Walk:
    """A reader with an empty folder, a key, and a provider that is the simulator."""

    def __init__(self, simulator: Simulator, environment: pytest.MonkeyPatch) -> None:
        self.simulator = simulator
        self.environment = environment
        self.names: dict[str, Any] = {"__name__": "page"}

    def take(self, block: Block) -> None:
        """Do what the block says, and look at what it prints."""
        text = block.text
        for name, stand_in in STAND_INS.items():
            text = text.replace(name, stand_in)
        if block.kind == "file":
            if block.language == "python":
                compile(text, block.note, "exec")
            Path(block.note).parent.mkdir(exist_ok=True)
            Path(block.note).write_text(text, encoding="utf-8")
        elif block.kind:
            return
        elif block.language == "python":
            assert_same(block.output or "", self._python(text))
        else:
            assert block.commands(), "a console shows its commands as `$ command`"
            for command, shown in block._replace(text=text).commands():
                printed = self._command(command)
                if shown:
                    assert_same(shown, printed)

    def _python(self, text: str) -> str:
        before = dict(self.names)
        with contextlib.redirect_stdout(io.StringIO()) as out, warnings.catch_warnings():
            warnings.simplefilter("ignore", token_meter.TokenMeterWarning)
            with contextlib.suppress(SystemExit):
                exec(compile(text, "a page", "exec", dont_inherit=True), self.names)
        close_clients(old for name, old in before.items() if self.names.get(name) is not old)
        return out.getvalue()

    def _command(self, command: str) -> str:
        program, *words = shlex.split(command)
        if program == "pip":
            for extra in re.findall(r"token-meter\[([\w,]+)\]", command):
                assert set(extra.split(",")) <= set(EXTRAS), command
            return ""
        if program == "export":
            self.environment.setenv(*words[0].split("=", 1))
            return ""
        if program == "token-meter" and words[0] not in IN_CHILDREN:
            done = CliRunner().invoke(main, [path for word in words for path in glob.glob(word) or [word]])
            assert done.exit_code in (0, 3), done.output
            return done.output
        return self._child(command)

    def _child(self, command: str) -> str:
        self.environment.setenv("TOKEN_METER_PRICES", str(self._prices()))
        done = subprocess.run(
            ["bash", "-c", command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False,
            env={
                **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "80",
                "OPENAI_BASE_URL": self.simulator.base_url,
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "PYTEST_ADDOPTS": "-p token_meter.pytest_plugin -p no:cacheprovider",
            },
        )  # fmt: skip
        assert done.returncode in (0, 3), done.stdout
        return done.stdout

    def _prices(self) -> Path:
        """Loopback is OpenAI for programs that are processes of their own."""
        path = Path(".simulated.toml").resolve()
        path.write_text('hosts = {"127.0.0.1" = "openai"}\n')
        return path


def steady(text: str) -> str:
    """Without what is another with each release or run: versions, the SDK's own models, times, ids."""
    text = re.sub(r"^SDK .*\n(?: {8}.*\n)?", "", text.replace(genai_prices.__version__, "0.2.3"), flags=re.MULTILINE)
    text = re.sub(r"until \d{4}-\d\d-\d\d", "until 2026-11-28", text)
    return re.sub(r"in \d+\.\d\ds", "in 1.00s", text)


def assert_same(shown: str, printed: str) -> None:
    """As the page shows it; pytest draws the difference."""
    if not shows(steady(shown), steady(printed)):
        assert steady(printed) == steady(shown)


def close_clients(values: Iterable[Any]) -> None:
    """Close what a page leaves open, or takes the name of."""
    for value in values:
        if type(value).__name__ in ("OpenAI", "Client"):
            value.close()


@pytest.fixture
def walk(
    openai_is_simulated: None, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Walk]:
    """A walk in a folder of its own; what it opened is closed at its end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # pages have modules
    monkeypatch.delenv("TOKEN_METER_PRICES", raising=False)
    monkeypatch.setattr(_age, "today", lambda: _age.date(2026, 11, 28))
    (tmp_path / "pyproject.toml").write_text("")
    token_meter.configure()  # prices are looked up anew
    walk = Walk(simulator, monkeypatch)
    yield walk
    token_meter.configure()
    close_clients(walk.names.values())


@pytest.mark.parametrize("page", WALKED)
def test_a_page_can_be_followed_from_top_to_bottom(walk: Walk, page: str) -> None:
    """Each program prints what its page shows, and nothing where it shows nothing."""
    if page == "docs/reports.md":
        _write_ledger()
    for block in blocks(page):
        try:
            walk.take(block)
        except BaseException as error:
            error.add_note(f"{page}:{block.line}")
            raise


def _write_ledger() -> None:
    """The ledger of the page on reports, of its day, and a call of a customer."""
    write_sample(Path("DIR"))
    ledger, made = Ledger.create(Path("DIR")), call(tags=("customer=ada",))
    ledger.start(made.id, made.request_model)
    ledger.call(made)
    ledger.close()
    for shard in Path("DIR").rglob("*.jsonl"):
        shard.rename(shard.with_name(re.sub(r"(\.pid\d+\.)", r"\g<1>20261120.", shard.name)))


def test_each_page_is_walked_or_gone_through_by_a_test_of_its_own() -> None:
    """A test that is said to run a page, or a block of it, names the page."""
    blocks_of_others = [(page, block.note) for page in PAGES for block in blocks(page) if block.kind == "run by"]
    claims = [*WHOLE.items(), *blocks_of_others]

    assert [(page, test) for page, test in claims if not reads(test, page)] == []


def test_what_nothing_runs_is_counted() -> None:
    """A block gets the mark on purpose, and with a reason."""
    marked = {page: sum(block.kind == "not run" for block in blocks(page)) for page in PAGES}

    assert {page: number for page, number in marked.items() if number} == NOT_RUN


@pytest.mark.parametrize("page", WALKED)
def test_no_command_hides_in_a_block_of_another_kind(page: str) -> None:
    """Commands stand as `$ command` in a block of `console`, where they are run."""
    assert hidden_commands(page) == []
