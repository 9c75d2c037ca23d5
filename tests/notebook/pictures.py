"""The pictures of docs/notebooks.md; `python -m tests.notebook.pictures` takes them again (Chromium, pngquant, matplotlib)."""

from __future__ import annotations

import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.report.chromium import Browser
from tests.report.docs_pages import IMAGES
from token_meter import Meter, meter
from token_meter.prices import PriceBook
from token_meter.simulator import Simulator

QUESTIONS = ("Which rose is the pinkest?", "What does a pink rose mean?")
PAGE = "<!doctype html><meta charset=utf-8><body style='font: 15px system-ui, sans-serif; margin: 1em'>{}"


def cell() -> Meter:
    """The first cell of the page, with a limit, so that a bar can be seen."""
    with Simulator() as simulator, simulator.client() as client:
        book = PriceBook(hosts={simulator.url: "openai"})
        with meter("roses", tags={"customer": "ada"}, max_calls=5, prices=book) as cb:
            for question in QUESTIONS:
                client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": question}])
    return cb


def experiment() -> Meter:
    """An hour of calls of three models."""
    began = datetime(2026, 11, 27, 9, tzinfo=UTC).timestamp()
    with meter("experiment", keep_calls=True) as cb:
        for minute in range(60):
            model = ("gpt-4o-mini", "gpt-4o", "gpt-4.1")[minute % 7 % 3]
            tokens = 4_000 + minute * 377 % 5_000
            cb.record(
                model, provider="openai", prompt_tokens=tokens, completion_tokens=tokens // 9,
                started_s=began + 60 * minute, duration_s=2.0,
            )  # fmt: skip
    return cb


def main() -> None:
    """Take both."""
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        page = Path(folder) / "card.html"
        page.write_text(PAGE.format(cell()._repr_html_()), encoding="utf-8")
        browser.show(page, width=520, scale=2)
        height = browser.value("document.documentElement.getBoundingClientRect().height")
        browser.resize(520, round(height), scale=2)
        (IMAGES / "card.png").write_bytes(browser.picture(whole=False))
    experiment().plot().savefig(IMAGES / "plot.png", dpi=110)
    subprocess.run(
        ["pngquant", "--force", "--ext=.png", "--strip", IMAGES / "card.png", IMAGES / "plot.png"], check=True
    )


if __name__ == "__main__":
    main()
