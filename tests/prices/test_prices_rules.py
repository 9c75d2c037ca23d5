"""Rules beside the rates: what a price depends on and no row of the public list says. One row, one hand-made amount."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from tests.prices.cases import a_call
from tests.wire.by_name import StreamReader, read_body
from token_meter.prices import DEFAULT_BOOK, PriceBook, Rates
from token_meter.types import Price, Usage

K = Usage(1_000, 100, 1_100)
LONG = Usage(300_000, 100, 300_100)
CACHED = Usage(10_000, 1_000, 11_000, cached_tokens=6_000, cache_write_tokens=2_000)
DEEPSEEK = "https://api.deepseek.com/v1"
MISTRAL = "https://api.mistral.ai/v1"
ANTHROPIC = "https://api.anthropic.com"
AZURE = "https://acme.openai.azure.com/openai/v1"
VERTEX = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1"
GLOBAL = "https://aiplatform.googleapis.com/v1/projects/p/locations/global"
EUROPE = "https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu"
QWEN = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"


class Case(NamedTuple):
    """A call and the amount that a person works out; a `reason` when that is a lower bound, or there is none."""

    model: str
    usage: Usage
    cost: str | None
    where: str = "https://api.openai.com/v1"
    tier: str | None = None
    at: str = "2026-11-19T12:00:00Z"
    api: str = "chat"
    processing: str | None = None
    reason: str | None = None


def price_of(case: Case, book: PriceBook = DEFAULT_BOOK) -> Price:
    return book.price(
        a_call(
            case.model, case.usage, base_url=case.where, service_tier=case.tier, api=case.api,
            processing=case.processing, started_s=datetime.fromisoformat(case.at).timestamp(),
        )
    )  # fmt: skip


CASES = {
    # A model of 2026-11-17: 2 / 0.10 / 2.50 / 5 / 10, from 272,000 on twice and 1.5 times that.
    "new model, cached and written": Case("gpt-6.2-sol", CACHED, "0.0196"),
    "new model, its snapshot": Case("gpt-6.2-sol-2026-11-17", K, "0.003"),
    "new model, long": Case("gpt-6.2-sol", LONG, "1.2015"),
    "new model, fast": Case("gpt-6.2-sol", K, "0.006", tier="fast"),
    "new model, batch": Case("gpt-6.2-sol", K, "0.0015", processing="batch"),
    "new model, in a region": Case("gpt-6.2-sol", K, "0.0033", where="https://eu.api.openai.com/v1"),
    "ultrafast on the last day of its rate": Case(
        "gpt-6.2-sol", K, "0.009", tier="ultrafast", at="2027-02-28T23:59:59Z"
    ),
    "ultrafast a second later": Case("gpt-6.2-sol", K, "0.018", tier="ultrafast", at="2027-03-01T00:00:00Z"),
    "ultrafast, long": Case("gpt-6.2-sol", LONG, "3.6045", tier="ultrafast"),
    "a tier without a factor": Case("gpt-6.2-sol", K, None, tier="scale", reason="tier scale has no rate"),
    "a secondary price": Case("gpt-6.2-astra", K, "0.012"),
    "a secondary price has no tiers": Case("gpt-6.2-astra", K, None, tier="fast", reason="tier fast has no rate"),
    "ultrafast of a listed model": Case("gpt-6.1-sol", K, "0.018", tier="ultrafast"),
    # Bands that the public list has lost.
    "flex, long": Case("gpt-5.5-pro", LONG, "9.0135", tier="flex"),
    "batch, long": Case("gpt-5.5-pro", LONG, "9.0135", processing="batch"),
    "flex, short": Case("gpt-5.5-pro", K, "0.024", tier="flex"),
    "no band at all": Case("gpt-5.6-cyber", LONG, "7.51125"),
    "priority, long": Case("gpt-5.4", LONG, "1.503", tier="priority", reason="above 272,000 input tokens"),
    "fast, long": Case("gpt-5.5", LONG, "3.7575", tier="fast", reason="above 272,000 input tokens"),
    "priority, at the limit": Case("gpt-5.4", Usage(272_000, 0, 272_000), "1.36", tier="priority"),
    "priority that was asked for, long": Case("gpt-5.4", LONG, "1.50225", tier="priority?", reason="was asked for"),
    # Aliases that mean another model than the list thinks.
    "large-latest": Case("mistral-large-latest", K, "0.00065", where=MISTRAL),
    "medium": Case("mistral-medium", K, "0.00225", where=MISTRAL),
    "magistral-medium-latest": Case("magistral-medium-latest", K, "0.00225", where=MISTRAL),
    "magistral-small-latest": Case("magistral-small-latest", K, "0.00021", where=MISTRAL),
    "a snapshot keeps its own price": Case("mistral-large-2411", K, "0.0026", where=MISTRAL),
    # Two prices on the vendor's own pages: today's.
    "mini-transcribe": Case(
        "gpt-4o-mini-transcribe", K._replace(input_audio_tokens=1_000), "0.00175", api="transcriptions"
    ),
    "transcribe": Case("gpt-4o-transcribe", K._replace(input_audio_tokens=1_000), "0.0035", api="transcriptions"),
    # Long writes cost twice the short ones, in every tier.
    "12 h write": Case("gpt-6.1-sol", Usage(1_000, 0, 1_000, 0, 1_000, 1_000), "0.005"),
    "12 h write, flex": Case("gpt-6.1-sol", Usage(1_000, 0, 1_000, 0, 1_000, 1_000), "0.0025", tier="flex"),
    "12 h write, batch": Case("gpt-6-luna", Usage(1_000, 0, 1_000, 0, 1_000, 1_000), "0.000125", processing="batch"),
    # Decisions: what comes out is not charged.
    "decisions": Case("gpt-6-luna", Usage(1_000, 200, 1_200), "0.0001", api="decisions"),
    "decisions, long": Case("gpt-6-luna", LONG, "0.06", api="decisions"),
    # A window of hours costs less, and how much less is not published.
    "8 hours": Case("gpt-6.1-sol", K, None, tier="window-8h", reason="window of 8h is discounted"),
    "2 hours": Case("gpt-6.2-sol", K, None, tier="window-2h", reason="window of 2h is discounted"),
    # DeepSeek: 0.30 / 1.20 in peak hours of working days, half of it else.
    "working day, peak": Case("deepseek-flash", K, "0.00042", where=DEEPSEEK, at="2026-10-08T02:00:00Z"),
    "working day, noon": Case("deepseek-flash", K, "0.00021", where=DEEPSEEK, at="2026-10-08T05:00:00Z"),
    "National Day": Case("deepseek-flash", K, "0.00021", where=DEEPSEEK, at="2026-10-01T02:00:00Z"),
    "the last of Golden Week": Case("deepseek-flash", K, "0.00021", where=DEEPSEEK, at="2026-10-07T09:59:59Z"),
    "Mid-Autumn": Case("deepseek-flash", K, "0.00021", where=DEEPSEEK, at="2026-09-25T02:00:00Z"),
    "a Saturday that is worked": Case("deepseek-flash", K, "0.00021", where=DEEPSEEK, at="2026-10-10T02:00:00Z"),
    "New Year": Case("deepseek-flash", K, "0.00021", where=DEEPSEEK, at="2027-01-01T02:00:00Z"),
    "perhaps a holiday": Case(
        "deepseek-flash", K, "0.00021", where=DEEPSEEK, at="2027-02-09T02:00:00Z", reason="2027-02-09 is a public holiday"
    ),
    "perhaps a holiday, off-peak anyway": Case(
        "deepseek-flash", K, "0.00021", where=DEEPSEEK, at="2027-02-09T12:00:00Z"
    ),
    "a year that nobody has announced": Case(
        "deepseek-flash", K, "0.00021", where=DEEPSEEK, at="2028-03-01T02:00:00Z", reason="2028-03-01 is a public holiday"
    ),
    # Anthropic: speed and place.
    "fast": Case("claude-opus-5-5", K, "0.012", where=ANTHROPIC, tier="fast"),
    "fast, older": Case("claude-opus-4-6", K, "0.045", where=ANTHROPIC, tier="fast"),
    "fast, of a model that has none": Case(
        "claude-haiku-5-5", K, None, where=ANTHROPIC, tier="fast", reason="tier fast has no rate"
    ),
    "in the US": Case("claude-opus-5-5", K, "0.0066", where=ANTHROPIC, tier="standard@us"),
    "fast in the US": Case("claude-opus-5-5", K, "0.0132", where=ANTHROPIC, tier="fast@us"),
    "batch in the US": Case("claude-opus-5-5", K, "0.0033", where=ANTHROPIC, tier="batch@us"),
    "in the US, too old for it": Case("claude-opus-4-5", K, "0.0075", where=ANTHROPIC, tier="standard@us"),
    "in another place": Case(
        "claude-opus-5-5", K, "0.006", where=ANTHROPIC, tier="standard@eu", reason="inference in eu costs is not known"
    ),
    # Vertex: newer models cost a tenth more in a region.
    "Claude in a region": Case("claude-sonnet-4-5@20250929", K, "0.00495", where=VERTEX),
    "Claude in Europe": Case("claude-sonnet-4-5@20250929", K, "0.00495", where=EUROPE),
    "Claude anywhere": Case("claude-sonnet-4-5@20250929", K, "0.0045", where=GLOBAL),
    "older Claude in a region": Case("claude-sonnet-4@20250514", K, "0.0045", where=VERTEX),
    "Claude under its publisher": Case("publishers/anthropic/models/claude-haiku-4-5@20251001", K, "0.0015", where=GLOBAL),
    "Gemini of then in a region": Case("google/gemini-2.5-pro", K, "0.00225", where=VERTEX),
    "Gemini of today anywhere": Case("google/gemini-3.5-flash", K, "0.0024", where=GLOBAL),
    "Gemini of today in a region": Case("google/gemini-3.5-flash", K, "0.00264", where=VERTEX),
    # DashScope's international list.
    "Qwen": Case("qwen3.8-max", K, "0.0026", where=QWEN),
    "Qwen, cached": Case("qwen3.8-max", K._replace(cached_tokens=500), "0.001725", where=QWEN),
    "Qwen, second band": Case("qwen3-coder-plus", Usage(40_000, 100, 40_100), "0.0729", where=QWEN),
    "Qwen that may think": Case("qwen-plus-latest", K, None, where=QWEN, reason="no price"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_amount_is_what_the_rule_says(case: Case) -> None:
    price = price_of(case)

    assert price.cost == (None if case.cost is None else Decimal(case.cost)), price
    if case.reason is None:
        assert price.reason is None
    else:
        assert price.reason is not None
        assert case.reason in price.reason


def test_calls_priced_together_cost_what_they_cost_one_by_one() -> None:
    """Also where one of them is beyond a lost band, above a factor's last day, or on a holiday."""
    for case in CASES.values():
        call = a_call(case.model, case.usage, base_url=case.where, service_tier=case.tier, api=case.api,
                      processing=case.processing, started_s=datetime.fromisoformat(case.at).timestamp())  # fmt: skip
        both = DEFAULT_BOOK.price_together([call, call])
        assert both is None or both.cost == 2 * (DEFAULT_BOOK.price(call).cost or 0)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("priority, long", ("long-context rates",)),
        ("priority that was asked for, long", ("service tier",)),
        ("perhaps a holiday", ("peak hours",)),
        ("National Day", ()),
        ("in another place", ("regional uplift",)),
    ],
)
def test_what_a_lower_bound_leaves_open_is_named(name: str, missing: tuple[str, ...]) -> None:
    assert price_of(CASES[name]).missing == missing


@pytest.mark.parametrize(
    ("book", "source"),
    [
        (DEFAULT_BOOK, ", assumed Global Standard"),
        (PriceBook(multipliers={AZURE: "1.1"}), " x 1.1"),
        (PriceBook(multipliers={AZURE: "1"}), ""),
        (PriceBook([Rates("azure", "gpt-5", input="1", output="1")]), "override"),
    ],
)
def test_an_assumed_type_of_deployment_is_said(book: PriceBook, source: str) -> None:
    """A multiplier for the host says which type it is: then nothing is assumed."""
    found = price_of(Case("gpt-5", K, None, where=AZURE), book).source

    assert found is not None
    assert found.endswith(source)
    assert ("assumed" in found) == ("assumed" in source)


def test_a_contract_price_is_no_list_price() -> None:
    """Neither the place of the inference nor a window moves an override."""
    book = PriceBook([
        Rates("anthropic", "claude-opus-5-5", input="1", output="1"),
        Rates("openai", "gpt-6.1-sol", tier="window-8h", input="1", output="1"),
    ])  # fmt: skip

    for case in (
        Case("claude-opus-5-5", K, None, where=ANTHROPIC, tier="standard@us"),
        Case("gpt-6.1-sol", K, None, tier="window-8h"),
    ):
        assert price_of(case, book).cost == Decimal("0.0011")


def _anthropic(**usage: Any) -> dict[str, Any]:
    counts = {"input_tokens": 1_000, "output_tokens": 100}
    return {"model": "claude-opus-5-5", "usage": {**counts, **usage}}


@pytest.mark.parametrize(
    ("usage", "tier"),
    [
        ({}, None),
        ({"service_tier": "standard"}, "standard"),
        ({"service_tier": "standard", "speed": "standard", "inference_geo": "global"}, "standard"),
        ({"service_tier": "standard", "inference_geo": "not_available"}, "standard"),
        ({"service_tier": "standard", "speed": "fast"}, "fast"),
        ({"speed": "fast", "inference_geo": "us"}, "fast@us"),
        ({"service_tier": "priority", "inference_geo": "us"}, "priority@us"),
        ({"inference_geo": "us"}, "standard@us"),
        ({"inference_geo": ["us"], "speed": 7}, None),
    ],
)
def test_the_tier_of_a_message_holds_all_that_its_price_depends_on(usage: dict[str, Any], tier: str | None) -> None:
    """Read from a whole answer, and from the first event of a stream."""
    body = _anthropic(**usage)
    events = [
        {"type": "message_start", "message": {**body, "type": "message"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 100}},
        {"type": "message_stop"},
    ]
    stream = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)

    assert read_body("messages", json.dumps(body).encode()).service_tier == tier
    reader = StreamReader("messages")
    reader.feed(stream.encode())
    assert reader.finish().service_tier == tier
