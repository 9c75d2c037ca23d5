"""The picture of `token-meter watch`: `python -m tests.docs.watch_picture` makes it again, from a run."""

from __future__ import annotations

from contextlib import chdir
from datetime import UTC, datetime, tzinfo
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch
from xml.sax.saxutils import escape

import httpx
from rich.console import Console
from rich.segment import Segment
from rich.terminal_theme import MONOKAI

import token_meter.cli.watch as watch
from tests.report.docs_pages import IMAGES
from token_meter import Budget, configure, meter
from token_meter.config import load_config
from token_meter.simulator import Simulator

PICTURE = IMAGES / "watch.svg"
WIDTH = 80
_NOW = datetime(2026, 11, 27, 14, 5, 9, tzinfo=UTC)
_CELL, _LINE = 9.0, 20
_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"

_CALLS = (("ada", 3), ("bob", 2), ("eve", 1))
"""The shop's customers, and how often each asks all three providers in a minute."""


class _Clock(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return _NOW


def lines() -> list[list[Segment]]:
    """What the command shows of a service after a minute, line by line."""
    with (
        TemporaryDirectory() as folder, chdir(folder), Simulator() as simulator, httpx.Client() as client,
        patch.object(watch, "datetime", _Clock), patch.object(watch, "monotonic") as clock,
    ):  # fmt: skip
        Path("prices.toml").write_text(f'[hosts]\n"{simulator.url}" = "by-model"\n', encoding="utf-8")
        configure(store=f"sqlite:///{folder}/budgets.db", prices="prices.toml")
        view = watch._Watch("ledger", load_config(given={"prices": "prices.toml"}), None)
        try:
            with meter("shop", ledger="ledger", budgets=[Budget("shop", max_cost="0.20", per="day")]) as cb:
                for minute in (0, 1):
                    for customer, times in _CALLS:
                        with meter(tags={"customer": customer}):
                            for _ in range(times):
                                _ask(client, simulator.url)
                    clock.return_value = 60.0 * minute
                    view.view(WIDTH)
                cb.record(
                    "claude-haiku-4-5", provider="anthropic", status=529, error="overloaded_error",
                    started_s=_NOW.timestamp() - 38, tags={"customer": "ada"},
                )  # fmt: skip
                console = Console(width=WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor")
                return [list(line) for line in console.render_lines(view.view(WIDTH), pad=False)]
        finally:
            configure()


def _ask(client: httpx.Client, url: str) -> None:
    """Ask each provider for a long answer."""
    message = {"role": "user", "content": "Which rose is the pinkest?"}
    options = {"x-sim-words": "900"}
    for path, body in (
        ("v1/chat/completions", {"model": "gpt-4o-mini", "messages": [message], "max_tokens": 2000}),
        ("v1/messages", {"model": "claude-haiku-4-5", "messages": [message], "max_tokens": 2000}),
        ("v1beta/models/gemini-2.5-flash:generateContent", {"contents": [{"parts": [{"text": message["content"]}]}]}),
    ):
        client.post(f"{url}/{path}", json=body, headers=options).raise_for_status()


def text(shown: list[list[Segment]]) -> str:
    """The same without colours."""
    return "\n".join("".join(part.text for part in line).rstrip() for line in shown)


def svg(shown: list[list[Segment]]) -> str:
    """A terminal: one text an entry of a line, each at its column, so that every font keeps the columns."""
    width, height = round(WIDTH * _CELL) + 32, (len(shown) + 2) * _LINE + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="t">',
        "<title id='t'>token-meter watch: calls, tokens and dollars by model and by customer, a budget, an error</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#16181d"/>',
        f'<g font-family="{_FONT}" font-size="15" fill="#e6e6e6">',
        '<text x="16" y="30" fill="#8b95a5">$ token-meter watch ledger</text>',
    ]
    for number, line in enumerate(shown):
        column = 0
        for part in line:
            said = part.text
            start = column + len(said) - len(said.lstrip())
            if said.strip():
                x, y = 16 + start * _CELL, 30 + (number + 1.5) * _LINE
                length = len(said.strip()) * _CELL
                parts.append(
                    f'<text x="{x:g}" y="{y:g}" textLength="{length:g}" xml:space="preserve"{_style(part)}>'
                    f"{escape(said.strip())}</text>"
                )
            column += len(said)
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _style(part: Segment) -> str:
    style = part.style
    if style is None:
        return ""
    found = ' font-weight="bold"' if style.bold else ""
    if style.dim:
        found += ' fill="#8b95a5"'
    elif style.color is not None:
        found += f' fill="{style.color.get_truecolor(MONOKAI).hex}"'
    return found


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(svg(lines()), encoding="utf-8")


if __name__ == "__main__":
    main()
