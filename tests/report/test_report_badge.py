"""The badge: what a run cost, and whether its limits hold, in a picture that stands alone."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from tests.report.samples import row, summary_of
from token_meter.report import Limit, check_limits, render


@pytest.mark.parametrize(
    ("limits", "colour"),
    [
        ([], "#33658a"),
        ([Limit.of("run", "calls", 5)], "#2e7d32"),
        ([Limit.of("run", "calls", 5), Limit.of("run", "tokens", 1)], "#b3261e"),
        ([Limit.of("run", "tokens", 1, "warn")], "#8a6100"),
    ],
)
def test_its_colour_is_that_of_the_worst_limit(limits, colour):
    summary = summary_of(row())
    judged = replace(summary, checks=check_limits(summary, limits))

    assert f'fill="{colour}"' in render(judged, "badge")


def test_it_is_one_picture_with_a_name_and_loads_nothing():
    shown = render(summary_of(row()), "badge")
    root = ElementTree.fromstring(shown)

    assert root.tag.endswith("svg")
    assert root.get("aria-label") == "LLM cost: $0.0020"
    assert "http" not in shown.replace("http://www.w3.org/2000/svg", "")
