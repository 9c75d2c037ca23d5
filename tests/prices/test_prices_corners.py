"""Prices that refuse to be guessed, and what is said where there is none."""

from __future__ import annotations

import importlib.metadata
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from tests.prices.cases import A_THURSDAY_NOON_S, a_call
from token_meter._money import format_usd, parse_usd
from token_meter.exceptions import ConfigError, LLMCallError
from token_meter.handlers import StdOutHandler
from token_meter.handlers._record import Recorder
from token_meter.prices import PriceBook, Rates, _public, _units
from token_meter.prices._rate_card import UnpriceableError
from token_meter.types import Usage


@pytest.mark.parametrize(
    ("rates", "usage", "reason"),
    [
        ({"output": 1}, Usage(1, 1, 2), "input"),
        ({"input": 1}, Usage(1, 1, 2), "output"),
        ({"input": 1, "output": 1}, Usage(10, 0, 10, cached_tokens=5), "cached input"),
        ({"input": 1, "output": 1}, Usage(10, 0, 10, cache_write_tokens=5), "cache writes"),
        ({"input": 1, "output": 1, "cache_write": 1}, Usage(10, 0, 10, cache_write_tokens=5, cache_write_long_tokens=2),
         "the long time to live"),
        ({"input": 1, "output": 1, "input_audio": 2, "cached_input": 1},
         Usage(10, 0, 10, cached_tokens=5, input_audio_tokens=5, cached_audio_tokens=2), "cached audio"),
        ({"input": 1, "output": 1, "input_audio": 2, "cached_input": 1},
         Usage(10, 0, 10, cached_tokens=5, input_audio_tokens=5), "does not say how much of the cached input was audio"),
    ],
)  # fmt: skip
def test_a_rate_that_is_missing_is_named(rates, usage, reason):
    """A part has no other part's rate: it is left out."""
    book = PriceBook([Rates("openai", "mine", tier=None, **rates)])
    found = book.price(a_call("mine", usage))

    assert not found.is_whole
    assert reason in (found.reason or "")


def test_cached_sound_has_its_own_rate():
    """Of the cached part only what was sound."""
    book = PriceBook(
        [Rates("openai", "mine", tier=None, input=10, output=10, cached_input=1, input_audio=20, cached_audio=2)]
    )
    usage = Usage(
        1_000_000, 0, 1_000_000, cached_tokens=500_000, input_audio_tokens=200_000, cached_audio_tokens=100_000
    )

    # 0.4 M plain text, 0.1 M sound, 0.4 M cached text, 0.1 M cached sound
    assert book.price(a_call("mine", usage)).cost == Decimal("0.4") * 10 + 2 + Decimal("0.4") + Decimal("0.2")


def test_without_the_price_tables_their_version_says_so(monkeypatch):
    """It is a dependency, and may still be missing from a broken installation."""

    def missing(_: str) -> str:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "version", missing)
    _public.version.cache_clear()
    try:
        assert _public.version() == "(not installed)"
    finally:
        _public.version.cache_clear()


def test_counts_that_contradict_each_other_have_no_price():
    """More cached than sent, where the tables' own calculation finds out."""
    found = _public.look_up("openai", "gpt-4o", tier="", processing="", at_s=A_THURSDAY_NOON_S)
    with pytest.raises(UnpriceableError, match="contradict"):
        found.ask(Usage(10, 0, 10, cached_tokens=50), "chat")


def test_what_stands_beside_the_usage_has_another_price():
    """An image that a tool drew."""
    found = _public.look_up("openai", "gpt-4o", tier="", processing="", at_s=A_THURSDAY_NOON_S)
    with pytest.raises(UnpriceableError, match="7 tokens are outside of the usage"):
        found.ask(Usage(10, 0, 10, tool_usage_tokens=7), "responses")


def test_a_limit_of_an_unknown_kind_is_asked_again_for_every_call():
    """So that a price which may change is never kept."""
    model: Any = SimpleNamespace(prices=[SimpleNamespace(constraint=SimpleNamespace())], price_variants=None)

    assert _public._valid(model, 5.0) == (5.0, 5.0)


@pytest.mark.parametrize("rate", [SimpleNamespace(odd_mtok=Decimal(1)), SimpleNamespace(input_mtok="1")])
def test_rates_that_no_card_knows_are_left_to_the_tables(rate):
    """A new unit, or a new shape of a rate."""
    assert _units.sheet_of(rate) is None


@pytest.mark.parametrize("value", [True, "five", "$", -1, float("nan"), Decimal("Infinity")])
def test_a_limit_that_is_no_money_is_refused(value):
    """With what would do."""
    with pytest.raises(ConfigError, match="max_cost must be an amount of US dollars such as 0.05"):
        parse_usd(value, name="max_cost")


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("0.00001", "$0.00001"), ("-1e-13", ">-$0.000000000001"), ("12.346", "$12.35"), ("1234.5", "$1,234.50")],
)
def test_money_never_shows_as_nothing(amount, shown):
    """More than zero is never $0.00."""
    assert format_usd(Decimal(amount)) == shown


# Handlers and errors.


def test_a_recorder_without_a_place_writes_nowhere():
    """A base for handlers."""
    with pytest.raises(NotImplementedError):
        Recorder()._write(a_call("m", Usage()), {})


def test_what_was_asked_is_remembered_within_a_bound(monkeypatch):
    """Calls that never end must not be kept for ever."""
    monkeypatch.setattr("token_meter.handlers._record._ASKED_LIMIT", 2)
    recorder = Recorder(include_text=True)
    for number in range(5):
        recorder.on_llm_start({}, ["hi"], run_id=str(number))

    assert list(recorder._asked) == ["3", "4"]


@pytest.mark.parametrize(
    ("asked", "shown"), [(["hi"], "hi"), ([[{"role": "user"}]], '[{"role": "user"}]'), (["a", "b"], '["a", "b"]')]
)
def test_what_was_asked_is_printed_without_its_brackets(capsys, asked, shown):
    """A prompt as it is, anything else as JSON."""
    handler = StdOutHandler(include_text=True)
    call = a_call("m", Usage(1, 2, 3))
    handler.on_llm_start({}, asked, run_id=call.id)
    handler.on_llm_end(call, run_id=call.id)

    assert f"asked: {shown}" in capsys.readouterr().out


def test_an_error_of_a_call_survives_a_pickle():
    """It may come back from another process."""
    import pickle

    error = pickle.loads(pickle.dumps(LLMCallError(429, "rate_limit")))

    assert (error.status, error.kind, str(error)) == (429, "rate_limit", "rate_limit")


@pytest.mark.parametrize(
    ("usage", "audio", "image"),
    [
        (Usage(), None, None),
        (Usage(input_audio_tokens=1), 1, None),
        (Usage(output_image_tokens=2, input_image_tokens=3), None, 5),
    ],
)
def test_sound_and_pictures_of_both_directions(usage, audio, image):
    """Unknown stays unknown."""
    assert (usage.audio_tokens, usage.image_tokens) == (audio, image)


@pytest.mark.parametrize("other", [1, "x"])
def test_a_usage_adds_to_usages_only(other):
    """And `sum` may start from its 0."""
    with pytest.raises(TypeError):
        Usage() + other
    with pytest.raises(TypeError):
        other + Usage()
    assert sum([Usage(1), Usage(2)], start=0) == Usage(3)  # type: ignore[arg-type]
