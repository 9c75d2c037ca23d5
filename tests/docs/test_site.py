"""The site that `make docs` builds: strict links, and pages that a browser shows without complaint or request."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import token_meter
from tests.docs.pages import PAGES, blocks
from tests.report.chromium import Browser, executable
from tests.report.page_checks import CONTRAST, ELSEWHERE, HEADINGS, NAMELESS, WIDTH
from tests.test_house import ROOT
from token_meter import asgi, handlers, stores, wsgi

COLOURED = """
new Promise(resolve => {
  const until = Date.now() + 30000, dark = matchMedia('(prefers-color-scheme: dark)')
  const is = () => (document.body.dataset.mdColorScheme === 'slate') === dark.matches
  const look = () => is() || Date.now() > until ? resolve(is()) : setTimeout(look, 10)
  look()
})
"""
FOUND = """
new Promise((resolve, reject) => {
  const until = Date.now() + 30000
  const look = () => {
    const links = [...document.querySelectorAll('a.md-search-result__link')].map(a => a.href)
    links.length || Date.now() > until ? resolve(links) : setTimeout(look, 50)
  }
  look()
})
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. A link or an anchor that leads nowhere fails the build."""
    place = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--quiet", "--site-dir", str(place)],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all pages."""
    if executable() is None:
        pytest.skip("no Chromium here, so that nothing was looked at (.ci/browser installs it)")
    with Browser() as browser:
        yield browser


def test_every_page_is_shown_without_complaint_or_request(site: Path, browser: Browser):
    """On a desk and on a phone, for those who see it and those who hear it; pages of programs aside."""
    pages = sorted(page for page in site.glob("*.html") if page.name != "404.html")
    assert len(pages) > 25
    for page in pages:
        browser.show(page, width=1280)
        assert browser.said == [], page.name
        assert browser.value(ELSEWHERE) == [], page.name
        assert browser.value(HEADINGS) == 1, page.name
        assert browser.value(NAMELESS) == [], page.name
        for width in (1280, 390):
            browser.resize(width)
            assert browser.value(WIDTH) <= width, page.name


@pytest.mark.parametrize("name", ["index", "start", "bill", "prices", "reports", "web"])
def test_all_text_stands_out_from_its_ground(site: Path, browser: Browser, name: str):
    """Pages with code, outputs and tables of every kind, light and dark."""
    browser.show(site / f"{name}.html", width=1280)
    for dark in (False, True):
        browser.dim(dark)
        browser.value(COLOURED)
        ratio, text = browser.value(CONTRAST)
        assert ratio >= 4.5, (dark, text)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_has_the_colours_that_its_reader_prefers(site: Path, browser: Browser, dark: bool):
    """Also when that changes after the first visit."""
    browser.show(site / "start.html", width=390, dark=not dark)
    browser.dim(dark)
    browser.value(COLOURED)

    red = browser.value("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
    assert (red < 64) is dark


def test_a_page_is_reached_by_the_keyboard_alone(site: Path, browser: Browser):
    """Over the menu to the text, or from link to link."""
    browser.show(site / "start.html", width=1280)
    browser.press("Tab")
    assert browser.value("document.activeElement.getAttribute('href')") == "#five-minutes"
    reached = []
    for _ in range(20):  # the page's own headings stand in the menu
        browser.press("Tab")
        reached.append(browser.value("document.activeElement.getAttribute('href')"))

    assert "not-seen.html" in reached
    assert browser.value("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_the_search_finds_pages_without_a_server(site: Path, browser: Browser):
    browser.show(site / "start.html", width=1280)
    browser.value("document.querySelector('[data-md-component=search-query]').focus()")
    browser.write("gateway")

    assert any("prices.html" in link for link in browser.value(FOUND))
    assert browser.said == []
    assert browser.value(ELSEWHERE) == []


def test_the_reference_has_every_public_name(site: Path):
    """What `import token_meter` offers, and all that a page imports from one of its modules."""
    page = (site / "reference.html").read_text(encoding="utf-8")
    public = {name for name in token_meter.__all__ if not name.startswith("_")}
    for module in (asgi, handlers, stores, wsgi):
        public.update(module.__all__)

    there = set(re.findall(r'id="token_meter[\w.]*?\.(\w+)"|token_meter[\w.]*?\.(\w+)</code>', page))
    assert sorted((public | imported()) - {name for names in there for name in names}) == []


def imported() -> set[str]:
    """The names that the programs of all pages import from modules of token_meter."""
    programs = [ast.parse(block.text) for page in PAGES for block in blocks(page) if block.language == "python"]
    imports = [node for program in programs for node in ast.walk(program) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if str(node.module).startswith("token_meter")]
    assert len(ours) > 30
    return {alias.name for node in ours for alias in node.names}
