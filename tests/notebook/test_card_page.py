"""The card of a cell as a browser shows it: at the width of a phone, in the colours of the notebook's page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.chromium import Browser, executable
from tests.report.page_checks import CONTRAST, NAMELESS, WIDTH
from token_meter import meter

pytestmark = pytest.mark.skipif(executable() is None, reason="no Chromium here (.ci/browser installs it)")

PAGE = "<!doctype html><meta charset=utf-8><body style='background: {}; color: {}; font: 14px sans-serif'>{}"


def test_a_card_fits_a_phone_by_day_and_by_night(tmp_path: Path):
    """With names that are long, a bar for each limit, and no colours of its own."""
    with meter("a run", tags={"customer": "x" * 40}, max_cost=1, max_calls=9, on_unpriced="ignore") as cb:
        cb.record("acme-" + "7b" * 30, provider="acme", prompt_tokens=10**9, completion_tokens=10**6)
        cb.record("gpt-4o-mini", provider="openai", prompt_tokens=1000, completion_tokens=10**5)
    with Browser() as browser:
        for colours in (("#fff", "#222"), ("#111", "#ddd")):
            (tmp_path / "card.html").write_text(PAGE.format(*colours, cb._repr_html_()), encoding="utf-8")
            browser.show(tmp_path / "card.html", width=390)

            assert browser.said == []
            assert browser.value(WIDTH) <= 390
            assert browser.value(NAMELESS) == []
            assert browser.value(CONTRAST)[0] >= 4.5
            assert browser.value("document.querySelectorAll('[role=img][aria-label]').length") == 2
