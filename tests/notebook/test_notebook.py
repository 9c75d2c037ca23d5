"""`%load_ext token_meter` in a real kernel: what cells show while they run, and afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.test_house import ROOT
from token_meter.simulator import Simulator

CELL = re.compile(r"```ipython\n(.*?)\n```", re.DOTALL)
SETUP = """
from openai import AsyncOpenAI, OpenAI
from token_meter.prices import PriceBook
import token_meter
token_meter.configure(prices=PriceBook(hosts={{"{host}": "openai"}}))
client, asyn = OpenAI(base_url="{url}", api_key="sk-test"), AsyncOpenAI(base_url="{url}", api_key="sk-test")
slow = client.with_options(base_url="{slow}")
def ask(client=client): return client.chat.completions.create(
    model="gpt-4o-mini", messages=[{{"role": "user", "content": "Which rose is the pinkest?"}}])
%load_ext token_meter
"""
CELLS = {
    "plain": '%%meter roses --tag customer=ada\ntext = """\n  kept as it is\n"""\nask(); ask()\nlen(text)',
    "after": "ask()",
    "async": "%%meter\nimport asyncio\n_ = await asyncio.gather(ask(asyn), ask(asyn), ask(asyn))",
    "failing": "%%meter odd\nask()\n1 / 0",
    "limited": "%%meter tight --max-calls 1 --as cb\nask()\nask()",
    "variable": "print(cb.successful_requests, cb.is_open)",
    "misspelt": "%%meter --max-cots 1\nask()",
    "wrong": "%%meter --max-cost much\nask()",
    "bare": "%%meter\n",
    "slow": '%%meter slow\nask(); ask(slow)\nprint("done")',
    "report": "%meter_report",
    "unload": "%unload_ext token_meter\nprint(token_meter.current())",
    "gone": "%%meter\nask()",
}


@pytest.fixture(scope="module")
def simulator_of_all() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def shown(simulator_of_all: Simulator) -> dict[str, list[Any]]:
    """The outputs of each cell, of one kernel that ran them all."""
    simulator = simulator_of_all
    setup = SETUP.format(
        host=simulator.url.removeprefix("http://"), url=simulator.base_url, slow=simulator.base_url_with(latency=1.2)
    )
    cells = [nbformat.v4.new_code_cell(source) for source in (setup, *CELLS.values())]
    notebook = nbformat.v4.new_notebook(cells=cells)
    updates: list[str] = []

    class Client(NotebookClient):
        def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
            if msg["msg_type"] == "update_display_data":
                updates.append(msg["content"]["data"]["text/html"])
            return super().process_message(msg, cell, cell_index)

    Client(notebook, allow_errors=True, timeout=60, kernel_name="python3").execute()
    assert notebook.cells[0].outputs == []
    outputs = {name: cell.outputs for name, cell in zip(CELLS, notebook.cells[1:], strict=True)}
    return {**outputs, "updates": updates}


@pytest.fixture(scope="module")
def page(simulator_of_all: Simulator) -> dict[str, list[Any]]:
    """The outputs of each cell of docs/notebooks.md, by the cell's text."""
    setup = SETUP.format(host=simulator_of_all.url.removeprefix("http://"), url=simulator_of_all.base_url, slow="")
    sources = CELL.findall((ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8"))
    assert len(sources) == 10
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in (setup.replace("%load_ext token_meter", ""), *sources)]
    )
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    return {cell.source: cell.outputs for cell in notebook.cells[1:]}


def _card(outputs: list[Any]) -> str:
    (html,) = [output.data["text/html"] for output in outputs if output.output_type == "display_data"]
    return str(html)


def _error(outputs: list[Any]) -> str:
    """An exception, or what IPython says of a magic's arguments."""
    return "".join(
        f"{output.ename}: {output.evalue}" if output.output_type == "error" else output.text
        for output in outputs
        if output.output_type == "error" or output.get("name") == "stderr"
    )


def test_a_cell_shows_its_card_and_its_value(shown):
    card = _card(shown["plain"])

    assert "<b>roses</b>" in card
    assert "2 ok" in card
    assert "customer=ada" in card
    assert "gpt-4o-mini" in card
    assert shown["plain"][-1].data["text/plain"] == "17"


def test_a_cell_without_the_magic_has_no_card(shown):
    assert [output.output_type for output in shown["after"]] == ["execute_result"]


def test_calls_of_awaited_tasks_are_the_cells(shown):
    assert "3 ok" in _card(shown["async"])


def test_a_cell_that_fails_shows_what_it_used(shown):
    assert "1 ok" in _card(shown["failing"])
    assert _error(shown["failing"]).startswith("ZeroDivisionError")


def test_a_limit_refuses_the_next_call_of_its_cell(shown):
    assert "BudgetExceededError: " in _error(shown["limited"])
    assert "1 of 1 (100%)" in _card(shown["limited"])


def test_the_meter_of_a_cell_can_be_read_later(shown):
    assert shown["variable"][0].text == "1 False\n"


def test_a_misspelt_option_says_so_and_runs_nothing(shown):
    assert "unrecognized arguments: --max-cots" in _error(shown["misspelt"])


def test_a_wrong_limit_says_what_is_expected_in_one_line(shown):
    assert "UsageError: max_cost must be an amount of US dollars" in _error(shown["wrong"])


def test_an_empty_cell_can_be_metered(shown):
    assert "0 tokens" in _card(shown["bare"])


def test_a_card_is_refreshed_while_its_cell_runs(shown):
    of_slow = [card for card in shown["updates"] if "<b>slow</b>" in card]

    assert "· open" in of_slow[0]
    assert "1 ok" in of_slow[0]
    assert "2 ok" in of_slow[-1]
    assert "· open" not in of_slow[-1]


def test_the_report_counts_the_whole_session(shown, simulator_of_all):
    bill = simulator_of_all.bill(None)
    card = _card(shown["report"])

    assert "<b>session</b>" in card
    assert f"{bill.calls} ok" in card
    assert f"{bill.total_tokens:,} tokens" in card


def test_unloading_removes_the_magic(shown):
    assert shown["unload"][0].text == "None\n"
    assert "UsageError" in _error(shown["gone"]) or "not found" in str(shown["gone"])


def test_the_cells_of_the_page_run_and_show_what_it_says(page):
    """A cell that raises fails the fixture."""
    shown = {source.splitlines()[0]: outputs for source, outputs in page.items()}

    assert "<b>roses</b> · 90 tokens" in _card(shown["%%meter roses --tag customer=ada --max-calls 5"])
    assert "0.0000414" in _card(shown["%%meter roses --tag customer=ada --max-calls 5"])
    assert "<b>experiment</b>" in shown["experiment.stop()"][0].data["text/html"]
    assert "gpt-4o-mini" in shown["frame = experiment.to_frame()"][0].data["text/plain"]
    assert "image/png" in shown["experiment.plot()"][0].data
    assert "100%" in str(shown["from token_meter import track"])
