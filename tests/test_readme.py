"""The README and the pages tell the truth: their programs print what stands below them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.test_house import ROOT

PAGES = ["README.md", "docs/budgets.md", "docs/extending.md", "docs/simulator.md"]
SHOWN = re.compile(r"```python\n((?:(?!```).)*)```\n\n```text\n(.*?)```", re.DOTALL)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _programs() -> list[Any]:
    """Each program that is followed by its output."""
    return [
        pytest.param(program, output, id=f"{page}-{number}")
        for page in PAGES
        for number, (program, output) in enumerate(SHOWN.findall((ROOT / page).read_text("utf-8")))
    ]


@pytest.mark.parametrize(("program", "output"), _programs())
def test_a_program_prints_what_its_page_shows(openai_is_simulated, capsys, program, output, request):
    """Code and output belong together; a program with a simulator of its own talks to that one."""
    if "Simulator()" in program:
        request.getfixturevalue("monkeypatch").undo()
    exec(compile(program, "a page", "exec"), names := {})
    if "client" in names:
        names["client"].close()

    assert capsys.readouterr().out == output


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README))))
def test_a_link_of_the_readme_leads_somewhere(link):
    """Relative links name files that exist."""
    assert (Path(ROOT) / link).exists()
