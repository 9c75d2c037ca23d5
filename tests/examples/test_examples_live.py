"""With `--live`, the programs call the server of `OPENAI_BASE_URL` and `OPENAI_API_KEY`: here, a simulator."""

from __future__ import annotations

import contextlib
import sys

import pytest

from tests.examples.programs import NEEDS, PACE, load, names, prints
from token_meter.simulator import TEST_KEY

# Those two have keys and hosts of their own.
LIVE = [name for name in names() if not name.startswith("langchain_") and name not in ("vendor", "providers")]


@pytest.mark.filterwarnings("ignore::token_meter.UnpricedWarning")  # the host is not OpenAI's, and no book says whose
@pytest.mark.filterwarnings("ignore:meter 'agent' refuses calls .* price is not known:token_meter.BudgetWarning")
@pytest.mark.parametrize("name", LIVE)
def test_a_live_program_reads_what_was_billed(name, simulator, monkeypatch, tmp_path):
    """No simulator of its own, no bill to print, and only models that the real service still has."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason="the dependency group `langchain`")
    monkeypatch.setenv("OPENAI_BASE_URL", simulator.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", TEST_KEY)

    with prints() as out, contextlib.chdir(tmp_path):
        load(name).main(load("_service").Service(None, PACE.get(name, 0)))

    last = out.getvalue().splitlines()[-1]
    bill = simulator.bill()
    assert last.startswith(f"metered {bill.total_tokens:,} tokens, ")
    assert "billed" not in out.getvalue()
    assert {entry.api for entry in bill.entries} == {"chat"}
    assert {entry.model for entry in bill.entries} == {"gpt-4o-mini-2024-07-18"}


def test_the_live_vendor_is_the_lessons(monkeypatch):
    """DashScope's own address, with the reader's key for it."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-reader")
    service = load("_service").Service(None)

    assert load("vendor").where(service) == {
        "base_url": "https://dashscope.aliyuncs.com/compatible-mode/v1",
        "api_key": "sk-reader",
    }


def test_without_the_simulators_extra_a_program_says_what_to_do(monkeypatch):
    """The way out is named: install the extra, or ask the real service."""
    monkeypatch.setitem(sys.modules, "token_meter.simulator", None)
    monkeypatch.setattr(sys, "argv", ["dialogue.py"])

    with pytest.raises(SystemExit, match="or run this with --live against the real service"):
        load("_service").run(lambda service: None)
