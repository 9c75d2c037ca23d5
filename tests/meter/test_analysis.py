"""A meter's calls as a table and as a plot."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from token_meter import ConfigError, Meter, meter


def _metered() -> Meter:
    with meter(keep_calls=True, on_unpriced="ignore") as cb:
        for model, tokens in (("gpt-4o-mini", 1_000_000), ("gpt-4o", 1_000), ("no-such-model", 7)):
            cb.record(model, provider="openai", prompt_tokens=tokens, completion_tokens=0, tags=["a"])
        cb.record("gpt-4o", provider="openai", status=500, error="server_error")
    return cb


def test_a_frame_has_a_row_for_each_call():
    pytest.importorskip("pandas")
    cb = _metered()
    frame = cb.to_frame()

    assert list(frame["model"]) == ["gpt-4o-mini", "gpt-4o", "no-such-model", "gpt-4o"]
    assert frame["prompt_tokens"].sum() == cb.prompt_tokens
    assert frame["cost"].sum() == pytest.approx(cb.total_cost)
    assert str(frame["started_at"].dtype).startswith("datetime64")
    assert frame.groupby("model")["cost"].sum()["gpt-4o-mini"] == pytest.approx(0.15)


def test_what_is_unknown_is_missing_in_a_frame():
    pytest.importorskip("pandas")
    frame = _metered().to_frame()

    assert list(frame["cost"].isna()) == [False, False, True, True]
    assert list(frame["prompt_tokens"].isna()) == [False, False, False, True]


def test_a_meter_without_calls_has_a_frame_with_the_same_columns():
    pytest.importorskip("pandas")
    with meter(keep_calls=True) as empty:
        pass

    assert list(empty.to_frame().columns) == list(_metered().to_frame().columns)
    assert list(empty.to_frame().dtypes) == list(_metered().to_frame().dtypes)


def test_a_plot_has_a_line_for_each_priced_model():
    pytest.importorskip("matplotlib")
    (axes,) = _metered().plot().axes

    assert [line.get_label() for line in axes.get_lines()] == [r"gpt-4o-mini: \$0.1500", r"gpt-4o: \$0.0025"]
    assert axes.get_title() == "cost (left out: 1 without a price)"


def test_a_plot_of_one_moment_spans_minutes():
    """Left alone, the axis would span years, and small amounts read `1e-5`."""
    pytest.importorskip("matplotlib")
    with meter(keep_calls=True) as cb:
        cb.record("gpt-4o-mini", provider="openai", prompt_tokens=10, completion_tokens=52)
    (axes,) = cb.plot().axes
    first, last = axes.get_xlim()

    assert (last - first) * 24 * 60 < 10
    assert axes.yaxis.get_major_formatter()(0.00002) == r"\$0.00002"


@pytest.mark.parametrize(("method", "library"), [("to_frame", "pandas"), ("plot", "matplotlib")])
def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, method: str, library: str):
    for name in (library, f"{library}.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    cb: Any = _metered()

    with pytest.raises(ConfigError, match=f"pip install {library}"):
        getattr(cb, method)()


@pytest.mark.parametrize("method", ["to_frame", "plot"])
def test_calls_that_were_not_kept_are_asked_for(method: str):
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    cb: Any = meter()

    with pytest.raises(ConfigError, match="keep_calls=True"):
        getattr(cb, method)()
