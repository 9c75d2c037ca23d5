"""What `make compat` finds in a released list: it is told apart from what is known."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.compat import price_conflicts as conflicts
from token_meter.prices import _overlay, _public
from token_meter.prices._rate_card import UnpriceableError

NOON_S = datetime.fromisoformat("2026-11-27T12:00:00Z").timestamp()
ROW = {"litellm_provider": "openai", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05}


def test_a_rate_that_differs_is_named_with_its_place() -> None:
    table = {
        "gpt-4o": ROW | {"input_cost_per_token_priority": 9e-06},
        "gpt-4o-2024-08-06": ROW | {"deprecation_date": "2026-01-01", "input_cost_per_token": 1},
        "gpt-4o-mini": ROW | {"litellm_provider": "fireworks_ai"},
        "gpt-6.1-sol": ROW | {"input_cost_per_token": 2e-06, "input_cost_per_token_above_272k_tokens": 5e-06},
        "not-here": ROW,
    }

    assert list(conflicts.differing(table, NOON_S)) == [
        "openai gpt-4o priority input above 0: 4.25 here, 9 there",
        "openai gpt-6.1-sol standard input above 272000: 4 here, 5 there",
    ]


def test_a_row_of_the_list_that_is_not_corrected_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these was found by hand once: without its correction, the check finds it."""
    monkeypatch.setattr(_overlay, "ROWS", tuple(row for row in _overlay.ROWS if not row.corrects))
    table = {
        "mistral/mistral-large-latest": {
            "litellm_provider": "mistral", "input_cost_per_token": 5e-07, "output_cost_per_token": 1.5e-06,
        },
        "mistral/mistral-large-2411": {"litellm_provider": "mistral", "deprecation_date": "2026-05-31"},
    }  # fmt: skip

    assert "openai gpt-5.5-pro flex lost its band above 272000" in set(conflicts.lost_bands(NOON_S))
    assert "mistral mistral-large-latest has the price of mistral-large-2411, which is retired" in set(
        conflicts.stale_aliases(table, NOON_S)
    )
    assert "mistral mistral-large-latest standard input above 0: 2 here, 0.5 there" in set(
        conflicts.differing(table, NOON_S)
    )


def test_what_is_known_is_no_news_and_what_is_gone_is_told() -> None:
    found = ["a b standard input above 0: 1 here, 2 there", "c has no price"]

    new, gone = conflicts.unknown_and_gone(found, ["# why", "a b standard input above 0", "d is gone", ""])

    assert (new, gone) == (["c has no price"], ["d is gone"])


def test_the_installed_list_has_a_day_and_can_be_read_from_a_file() -> None:
    assert list(conflicts.of_the_release()) == []


def test_a_model_of_the_sdk_without_a_price_is_found() -> None:
    with pytest.raises(UnpriceableError):
        _public.look_up("openai", "sora-2", tier="", processing="", at_s=NOON_S)
    version, models = conflicts.sdk_models()
    assert version.startswith("openai ")
    assert {"gpt-5", "text-embedding-3-small", "whisper-1", "sora-2"} <= set(models)
