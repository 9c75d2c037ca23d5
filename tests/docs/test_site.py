"""The site that `make docs` builds: strict links, and pages that a browser shows without complaint or request."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.chromium import Browser, executable
from tests.test_house import ROOT

pytestmark = pytest.mark.skipif(executable() is None, reason="no Chromium here (Debian: apt-get install chromium)")

PAGES = ("index", "start", "providers", "web", "notebooks", "prices", "reference", "troubleshooting", "faults")


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
    with Browser() as browser:
        yield browser


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_page_is_shown_without_complaint_or_request(site: Path, browser: Any, width: int, dark: bool):
    for name in PAGES:
        browser.show(site / f"{name}.html", width=width, dark=dark)

        asked = browser.value("performance.getEntriesByType('resource').map(entry => entry.name)")
        assert [said for said in browser.said if "search_index" not in said] == [], name
        assert [address for address in asked if not address.startswith(("file:", "data:", "blob:"))] == [], name
        assert browser.value("document.documentElement.scrollWidth") <= width, name
        assert browser.value("document.querySelectorAll('h1').length") >= 1, name


def test_every_picture_has_words_for_those_who_do_not_see_it(site: Path, browser: Any):
    for name in PAGES:
        browser.show(site / f"{name}.html", width=1280)

        assert browser.value("[...document.querySelectorAll('article img')].filter(img => !img.alt).length") == 0, name


def test_the_reference_has_every_public_name(site: Path):
    import token_meter

    page = (site / "reference.html").read_text(encoding="utf-8")
    missing = [name for name in token_meter.__all__ if f"{name}<" not in page and f"token_meter.{name}" not in page]

    assert missing == []
