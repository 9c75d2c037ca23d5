"""docs/langchain.md: its snippets run as they stand, and its outputs are looked at with the programs that print them."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("langchain_openai", reason="the dependency group `langchain`")
from tests.langchain.docs import PAGE, PROGRAMS, SHOWN
from tests.test_house import ROOT
from token_meter import detach

TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore::token_meter.BudgetWarning")
def test_the_snippets_run_one_after_the_other(openai_is_simulated, simulator, capsys):
    """As one program against api.openai.com, which is the simulator here; what they say is what they print."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))
    exec(compile(code, str(PAGE), "exec"), names := {})
    names["callbacks"]  # the last snippet was reached
    detach(names["llm"].root_client)
    lines = capsys.readouterr().out.splitlines()
    first = simulator.bill(None).entries[0]

    assert lines[0] == f"{first.usage.total_tokens} {first.usage.prompt_tokens} {first.usage.completion_tokens} 0 0"
    assert lines[1] == f"1 {float(first.cost)}"
    assert lines[2] == "stopped after 2 calls"
    # Told by LangChain, then by the block, the lines and the model.
    assert lines[3] == " 3 3 4 5"


def test_every_program_is_on_the_page():
    """With what it prints, and a link to it."""
    assert sorted(name for name, _ in SHOWN.findall(TEXT)) == PROGRAMS
    for name in PROGRAMS:
        assert f"examples/{name}.py" in TEXT


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", TEXT))))
def test_a_link_of_the_page_leads_somewhere(link):
    """Relative links name files that exist."""
    assert (ROOT / "docs" / link).exists()
