"""The README and the pages tell the truth: their programs print what stands below them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.test_house import ROOT

PAGES = ["README.md", "docs/budgets.md", "docs/simulator.md"]
SHOWN = r"```python\n((?:(?!```).)*)```\n\n```text\n(.*?)```"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _programs() -> list[Any]:
    """Each program that is followed by its output."""
    return [
        pytest.param(program, output, id=f"{page}-{number}")
        for page in PAGES
        for number, (program, output) in enumerate(
            re.findall(
                r"```python\n((?:(?!```).)*)```\n\n```text\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL
            )
        )
    ]


@pytest.fixture
def openai_is_simulated(simulator, monkeypatch):
    """Requests to api.openai.com reach the simulator: below the seam, so that the host stays OpenAI's."""
    target = httpx2.URL(simulator.url)

    def aside(request: httpx2.Request) -> httpx2.Request:
        url = request.url.copy_with(scheme="http", host=target.host, port=target.port)
        return httpx2.Request(request.method, url, headers=request.headers, stream=request.stream)

    sync, asyn = httpx2.HTTPTransport.handle_request, httpx2.AsyncHTTPTransport.handle_async_request
    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", lambda self, request: sync(self, aside(request)))
    monkeypatch.setattr(
        httpx2.AsyncHTTPTransport, "handle_async_request", lambda self, request: asyn(self, aside(request))
    )
    monkeypatch.setenv("OPENAI_API_KEY", "sim-readme")


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
