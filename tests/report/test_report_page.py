"""The HTML report as a browser shows it: on a phone and on a desk, by day and by night."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.chromium import Browser, executable
from tests.report.docs_pages import PAGES, long_names
from tests.report.page_checks import CONTRAST, ELSEWHERE, HEADINGS, NAMELESS, WIDTH

pytestmark = pytest.mark.skipif(
    executable() is None, reason="no Chromium here, so that nothing was looked at (.ci/browser installs it)"
)

PHONE, DESK = 390, 1280


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A running browser."""
    with Browser() as running:
        yield running


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages, as files."""
    place = tmp_path_factory.mktemp("pages")
    for name, text in {**PAGES(), "long": long_names()}.items():
        (place / f"{name}.html").write_text(text, encoding="utf-8")
    return {path.stem: path for path in place.iterdir()}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("name", ["report", "diff", "long"])
def test_the_page_fits_its_window_and_reads_well(
    browser: Browser, pages: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    """Nothing stands out to the right, nothing was blocked or failed, and all text stands out from its ground."""
    browser.show(pages[name], width=width, dark=dark)

    assert browser.value(WIDTH) <= width
    assert browser.said == []
    assert browser.value(ELSEWHERE) == []
    assert browser.value(HEADINGS) == 1
    assert browser.value(NAMELESS) == []
    ratio, text = browser.value(CONTRAST)
    assert ratio >= 4.5, text
    red = browser.value("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
    assert (red < 64) is dark


def test_a_wide_table_scrolls_within_itself_and_keeps_its_names(browser: Browser, pages: dict[str, Path]) -> None:
    """On a phone the cost is there at once; what lies to the right is reached, by keys too, and the names stay."""
    browser.show(pages["report"], width=PHONE)

    first = "document.querySelector('.scroll')"
    assert browser.value(f"{first}.scrollWidth > {first}.clientWidth && {first}.tabIndex === 0")
    assert browser.value(f"{first}.querySelector('td.main').getBoundingClientRect().right < {PHONE}")
    browser.value(f"{first}.scrollLeft = 1000")
    assert browser.value(f"{first}.querySelector('tbody th').getBoundingClientRect().left") == 16
    last = f"{first}.querySelector('tbody td:last-child').getBoundingClientRect()"
    assert browser.value(f"{last}.right <= {PHONE} && {last}.left > 150")


def test_bars_are_as_long_as_their_numbers(browser: Browser, pages: dict[str, Path]) -> None:
    """The width of every bar is the share that is written next to it."""
    browser.show(pages["report"], width=DESK)

    found = browser.value(
        "[...document.querySelectorAll('tbody td.share')].map(td => [td.textContent.trim(), "
        "[...td.querySelectorAll('rect')].reduce((sum, r) => sum + r.getBoundingClientRect().width, 0)"
        " / td.querySelector('svg').getBoundingClientRect().width * 100])"
    )

    assert len(found) == 13
    for said, drawn in found:
        expected = {"": 0.0, "<1%": 0.5}.get(said) if said in ("", "<1%") else float(said.rstrip("%"))
        assert expected is not None
        assert drawn == pytest.approx(expected, abs=0.6), said


def test_a_host_that_forbids_styles_still_shows_numbers_and_bars(
    browser: Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    """Jenkins allows no inline style: the page is plain then, and whole."""
    ours, jenkins = "style-src 'unsafe-inline'", "style-src 'self'"
    text = pages["report"].read_text(encoding="utf-8")
    assert ours in text
    plain = tmp_path / "plain.html"
    plain.write_text(text.replace(ours, jenkins), encoding="utf-8")

    browser.show(plain, width=DESK)

    assert any("Content Security Policy" in line for line in browser.said)
    assert browser.value("getComputedStyle(document.body).maxWidth") == "none"
    assert browser.value("document.querySelector('td.share rect').getBoundingClientRect().width") > 10
    assert "test_plans_a_trip" in browser.value("document.body.innerText")
