"""Draws curves with their spread: letters on a terminal, and a picture (SVG) that is legible on light and dark pages.

It knows no tokens. The same numbers give the same picture, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 560, 64, 364
# Okabe and Ito's colours, which colour-blind people can tell apart; for a dark page the same, lighter.
LIGHT = ("#0068a3", "#b84e00", "#856200", "#00755a", "#7b4f9e", "#a8326e")
DARK = ("#56b4e9", "#ff9e4a", "#f0e442", "#2fd6a5", "#c9a6e8", "#ff8fc0")
DASHES = ("", "8 4", "2 3", "", "8 3 2 3", "5 3")


class Curve(NamedTuple):
    """One line: for each step the lowest, the middle and the highest value."""

    name: str
    letter: str
    low: Sequence[float]
    mid: Sequence[float]
    high: Sequence[float]


def text_chart(curves: Sequence[Curve], rows: int = 16, step: int = 6) -> list[str]:
    """The curves as letters; where two meet, the first one stands, and a step where all are equal shows one letter."""
    top, ticks = _ticks(curves)
    grid = [[" "] * (step * len(curves[0].mid)) for _ in range(rows + 1)]
    for curve in reversed(curves):
        for i, value in enumerate(curve.mid):
            grid[rows - round(rows * value / top)][step * i + step // 2] = curve.letter
    marks = {rows - round(rows * tick / top): f"{tick:,}" for tick in ticks}
    edges = [f"{marks[row]:>6} ┤" if row in marks else f"{'':>6} │" for row in range(rows + 1)]
    axis = "".join(f"{i:>{step // 2 + 1}}{'':{step - step // 2 - 1}}" for i in range(1, len(curves[0].mid) + 1))
    lines = [edge + "".join(cells) for edge, cells in zip(edges, grid, strict=True)]
    return [line.rstrip() for line in [*lines, f"{'turn':>6}  {axis}"]]


def svg_chart(title: str, subtitle: str, curves: Sequence[Curve], mark: tuple[int, str]) -> str:
    """The curves as a picture that stands alone: no script, no font, no link; *mark* names the first steps."""
    top, ticks = _ticks(curves)
    steps = len(curves[0].mid)

    def x(i: int) -> float:
        return LEFT + (RIGHT - LEFT) * i / (steps - 1)

    def y(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * value / top

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-labelledby="title desc" font-family="system-ui, sans-serif" font-size="13">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="desc">{escape(subtitle)} {escape(_in_words(curves))}</desc>',
        f"<style>\n{_style(len(curves))}\n</style>",
        f'<rect class="paper" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8"/>',
        f'<text class="ink" x="{LEFT - 40}" y="28" font-size="16" font-weight="600">{escape(title)}</text>',
        f'<text class="dim" x="{LEFT - 40}" y="47">{escape(subtitle)}</text>',
    ]
    for tick in ticks:
        parts.append(f'<path class="grid" d="M{LEFT} {_n(y(tick))}H{RIGHT}"/>')
        parts.append(f'<text class="dim" x="{LEFT - 8}" y="{_n(y(tick) + 4)}" text-anchor="end">{tick:,}</text>')
    parts += [
        f'<text class="dim" x="{_n(x(i))}" y="{BOTTOM + 20}" text-anchor="middle">{i + 1}</text>' for i in range(steps)
    ]
    parts.append(f'<text class="dim" x="{(LEFT + RIGHT) // 2}" y="{BOTTOM + 40}" text-anchor="middle">turn</text>')
    edge, words = x(mark[0] - 1), escape(mark[1])
    parts.append(f'<path class="edge" stroke-dasharray="2 4" d="M{_n(edge)} {TOP}V{BOTTOM}"/>')
    parts.append(f'<text class="dim" x="{_n(edge - 6)}" y="{TOP + 14}" text-anchor="end">{words}</text>')
    for number, curve in enumerate(curves):
        there = [f"{_n(x(i))} {_n(y(value))}" for i, value in enumerate(curve.high)]
        back = [f"{_n(x(i))} {_n(y(value))}" for i, value in reversed(list(enumerate(curve.low)))]
        parts.append(f'<path class="band c{number}" d="M{"L".join(there + back)}Z"/>')
    for number, curve in enumerate(curves):
        points = "L".join(f"{_n(x(i))} {_n(y(value))}" for i, value in enumerate(curve.mid))
        dash = f' stroke-dasharray="{DASHES[number % len(DASHES)]}"' if DASHES[number % len(DASHES)] else ""
        parts.append(f'<path class="line c{number}" d="M{points}"{dash}/>')
    for number, (curve, label_y) in enumerate(zip(curves, _apart([y(curve.mid[-1]) for curve in curves]), strict=True)):
        end = y(curve.mid[-1])
        parts.append(f'<path class="lead c{number}" d="M{RIGHT + 3} {_n(end)}L{RIGHT + 15} {_n(label_y)}"/>')
        parts.append(f'<text class="name n{number}" x="{RIGHT + 19}" y="{_n(label_y + 4)}">{escape(curve.name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _style(count: int) -> str:
    """One set of rules for light pages and one for dark ones; the paper changes with the ink, so both always fit."""

    def rules(paper: str, edge: str, ink: str, dim: str, grid: str, colours: Sequence[str]) -> str:
        lines = [
            f".paper{{fill:{paper};stroke:{edge}}} .ink{{fill:{ink}}} .grid{{stroke:{grid}}}",
            f".dim{{fill:{dim}}} .edge{{stroke:{dim}}}",
            *[f".c{i}{{stroke:{colours[i]}}} .band.c{i},.n{i}{{fill:{colours[i]}}}" for i in range(count)],
        ]
        return "\n".join(lines)

    return "\n".join(
        [
            ".line,.lead{fill:none} .line{stroke-width:2.5;stroke-linejoin:round} .lead{stroke-width:1}",
            ".band{stroke:none!important;fill-opacity:.16} .name{font-weight:600}",
            rules("#ffffff", "#d0d7de", "#1f2328", "#59636e", "#e3e7eb", LIGHT),
            "@media (prefers-color-scheme: dark) {",
            rules("#0d1117", "#3d444d", "#f0f6fc", "#9198a1", "#262c36", DARK),
            "}",
        ]
    )


def _ticks(curves: Sequence[Curve]) -> tuple[float, list[int]]:
    """The top of the axis, and round numbers below it."""
    most = max(max(curve.high) for curve in curves)
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10**4, 10**5) if most / s <= 6)
    ticks = list(range(0, int(most) + step, step))
    return float(ticks[-1]), ticks


def _apart(wanted: Sequence[float], gap: float = 18) -> list[float]:
    """Places near the wanted ones, at least *gap* from each other."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places = [wanted[i] for i in order]
    for _ in range(100):
        for a in range(len(places) - 1):
            if (missing := gap - (places[a + 1] - places[a])) > 0:
                places[a] -= missing / 2
                places[a + 1] += missing / 2
    found = [0.0] * len(wanted)
    for place, i in zip(places, order, strict=True):
        found[i] = place
    return found


def _in_words(curves: Sequence[Curve]) -> str:
    return "; ".join(f"{curve.name}: {', '.join(f'{value:.0f}' for value in curve.mid)}" for curve in curves) + "."


def _n(value: float) -> str:
    """A coordinate, short."""
    return f"{value:.1f}".removesuffix(".0")
