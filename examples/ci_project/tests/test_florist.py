"""What the florist says, and what it may cost."""

from __future__ import annotations

from pathlib import Path

import pytest
import vcr
from shop.florist import answer, plan

CASSETTES = vcr.VCR(
    cassette_library_dir=str(Path(__file__).with_name("cassettes")),
    match_on=["method", "path", "body"],  # the port of the simulator changes
    filter_headers=["authorization"],
    record_mode="once",
)


def test_answers_about_roses() -> None:
    assert answer("Which rose is the pinkest?")


def test_plans_a_bouquet() -> None:
    assert len(plan("a sister's birthday")) == 3


def test_finds_in_the_catalogue(catalogue: list[list[float]], meter) -> None:
    assert len(catalogue) == 3
    assert answer("Do you have pink roses?")
    assert meter.total_tokens > 0


@pytest.mark.token_budget(max_cost=0.001, max_calls=1)
def test_stays_cheap() -> None:
    assert answer("How long do cut roses live?")


@CASSETTES.use_cassette("greets.yaml")
def test_greets() -> None:
    """Replayed: it has a cost, and nothing is spent."""
    assert answer("Good morning!")
