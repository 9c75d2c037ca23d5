"""Every way in which other price tables are wrong without a word is closed here: priced right, or not at all."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import genai_prices
import pytest

from tests.prices.cases import a_call
from token_meter.prices import DEFAULT_BOOK, PriceBook
from token_meter.types import Price, Usage

ROUTER = "https://openrouter.ai/api/v1"
PUBLIC = f"genai-prices {genai_prices.__version__}"
TEXT = Usage(prompt_tokens=1_000_000, completion_tokens=1_000_000, total_tokens=2_000_000)
ONE_INPUT = Usage(prompt_tokens=1_000_000, completion_tokens=0)


def price_of(model: str | None, usage: Usage | None, **fields: object) -> Price:
    return DEFAULT_BOOK.price(a_call(model, usage, **fields))


def at_s(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


@pytest.mark.parametrize("tier", ["scale", "Priority", "turbo", "flexx", "ultrafast"])
def test_a_tier_without_a_rate_is_not_the_standard_price(tier: str) -> None:
    """The public list falls back to the standard rate, up to 6 times too low."""
    price = price_of("gpt-4.1", TEXT, service_tier=tier)

    assert price.cost is None
    assert price.reason == f"tier {tier} has no rate for gpt-4.1 at openai"


@pytest.mark.parametrize("tier", [None, "auto", "default", "standard", "on_demand"])
def test_the_standard_tier_has_several_names(tier: str | None) -> None:
    """What the answer calls the standard tier costs the standard price."""
    assert price_of("gpt-4.1", TEXT, service_tier=tier).cost == Decimal(10)


@pytest.mark.parametrize(("tier", "dollars"), [("flex", "5.625"), ("priority", "22.5"), ("fast", "22.5")])
def test_the_served_tier_decides(tier: str, dollars: str) -> None:
    """Flex is half, priority and fast are double: gpt-5 at 1.25 and 10 dollars."""
    assert price_of("gpt-5", TEXT, service_tier=tier).cost == Decimal(dollars)


def test_a_tier_from_before_its_price_was_published_is_unpriced() -> None:
    """The list says what priority costs since 2026-10-12, and nothing about the day before."""
    price = price_of("gpt-4.1", TEXT, service_tier="priority", started_s=at_s("2026-10-11T23:59:59Z"))

    assert price.cost is None


def test_a_tier_at_azure_is_unpriced() -> None:
    """Azure's models are priced by OpenAI's list, and that fallback ignores the tier."""
    azure = "https://acme.openai.azure.com/openai/v1/"

    assert price_of("gpt-4.1", TEXT, base_url=azure).cost == Decimal(10)
    assert price_of("gpt-4.1", TEXT, base_url=azure, service_tier="priority").cost is None
    assert price_of("gpt-4.1", TEXT, base_url=azure, processing="batch").cost is None


def test_a_batch_is_what_the_caller_says_it_is() -> None:
    """The answer of a batch says "default"; Anthropic's says "batch" in the place of the tier."""
    anthropic = "https://api.anthropic.com/v1/"

    assert price_of("gpt-4.1", TEXT, service_tier="default", processing="batch").cost == Decimal(5)
    assert price_of("claude-haiku-4-5", TEXT, base_url=anthropic, service_tier="batch").cost == Decimal(3)
    assert price_of("gpt-4.1", TEXT, service_tier="flex", processing="batch").cost is None
    assert price_of("gpt-4-32k", TEXT, processing="batch").cost is None


@pytest.mark.parametrize("model", ["gpt-4o-search-preview", "gpt-4o", "gpt-5", "computer-use-preview"])
def test_audio_is_never_billed_at_the_text_rate(model: str) -> None:
    """The public list lets audio fall to the text rate, up to 37 times too low."""
    sent = Usage(prompt_tokens=1000, completion_tokens=10, input_audio_tokens=900)
    made = Usage(prompt_tokens=1000, completion_tokens=10, output_audio_tokens=9)

    assert price_of(model, sent).reason == "no rate is known for audio input"
    assert price_of(model, made).reason == "no rate is known for audio output"


@pytest.mark.parametrize(
    ("model", "dollars"), [("gpt-4o-audio-preview", "121.25"), ("gpt-4o-mini-audio-preview", "30.075")]
)
def test_audio_preview_models_have_their_audio_rates(model: str, dollars: str) -> None:
    """Half a million tokens of text and a million of audio are sent, a million of audio comes back."""
    usage = Usage(
        prompt_tokens=1_500_000,
        completion_tokens=1_000_000,
        input_audio_tokens=1_000_000,
        output_audio_tokens=1_000_000,
    )

    assert price_of(model, usage).cost == Decimal(dollars)


@pytest.mark.parametrize(
    ("model", "rate"), [("gpt-6.1-terra", "2.5"), ("gpt-6-astra", "25"), ("gpt-6-luna", "0.25"), ("gpt-5.6-sol", "10")]
)
def test_long_cache_writes_cost_double(model: str, rate: str) -> None:
    """The public list bills writes of 12 hours like those of 30 minutes, at half their rate."""
    written = 200_000
    usage = Usage(
        prompt_tokens=written, completion_tokens=0, cache_write_tokens=written, cache_write_long_tokens=written
    )

    assert price_of(model, usage).cost == Decimal(rate) * written / 1_000_000


def test_long_cache_writes_without_a_rate_are_unpriced() -> None:
    """The public list has no rate for a write of 12 hours of this model."""
    usage = Usage(prompt_tokens=10, completion_tokens=0, cache_write_tokens=10, cache_write_long_tokens=10)

    price = price_of("gpt-4.1", usage._replace(cache_write_tokens=None))

    assert price.reason == "no rate is known for cache writes with the long time to live"


@pytest.mark.parametrize(
    ("model", "usage", "api", "words"),
    [
        ("gpt-transcribe", ONE_INPUT, "transcriptions", "input tokens"),
        ("whisper-1", ONE_INPUT, "transcriptions", "input tokens"),
        ("tts-1", ONE_INPUT, "speech", "input tokens"),
        ("gpt-4o-transcribe", Usage(audio_seconds=60.0), "transcriptions", "seconds of audio"),
        ("text-embedding-3-small", TEXT, "chat", "output tokens"),
    ],
)
def test_no_confident_zero(model: str, usage: Usage, api: str, words: str) -> None:
    """The public list prices a known model's unknown unit at 0; here it has no price."""
    price = price_of(model, usage, api=api)

    assert not price.is_whole
    assert price.cost != 0
    assert price.reason == f"no rate is known for {words}"


def test_tokens_beside_the_usage_make_the_price_a_part() -> None:
    """An image made by a tool is billed at another model's price, which the answer does not name."""
    price = price_of("gpt-5", TEXT._replace(tool_usage_tokens=4160))

    assert (price.cost, price.missing) == (price_of("gpt-5", TEXT).cost, ("tokens of another model",))
    assert "4160 tokens are outside of the usage" in str(price.reason)


@pytest.mark.parametrize("day", ["2026-11-21", "2026-11-22"])
@pytest.mark.parametrize("hour", ["02:00", "07:30", "12:00"])
def test_deepseek_is_off_peak_all_weekend(day: str, hour: str) -> None:
    """The public list cannot say "weekday": its weekend mornings are twice too expensive."""
    url = "https://api.deepseek.com"

    assert price_of("deepseek-flash", TEXT, base_url=url, started_s=at_s(f"{day}T{hour}:00Z")).cost == Decimal("0.75")


def test_deepseek_changes_its_price_within_one_book() -> None:
    """A resolved price is used up to the moment when it changes, and not a second longer."""
    book = PriceBook()
    moments = {
        "2026-11-20T00:59:59Z": "0.75",
        "2026-11-20T01:00:00Z": "1.5",
        "2026-11-20T03:59:59.9Z": "1.5",
        "2026-11-20T04:00:00Z": "0.75",
        "2026-11-20T23:59:59Z": "0.75",
        "2026-11-21T01:00:00Z": "0.75",
        "2026-11-23T01:00:00Z": "1.5",
        "2026-11-20T02:00:00Z": "1.5",
    }

    found = {
        moment: book.price(
            a_call("deepseek-flash", TEXT, base_url="https://api.deepseek.com", started_s=at_s(moment))
        ).cost
        for moment in moments
    }

    assert found == {moment: Decimal(dollars) for moment, dollars in moments.items()}


def test_dated_prices_follow_the_call_and_not_the_clock() -> None:
    """o3 cost 10 and 40 dollars before 2025-06-10, 2 and 8 since."""
    assert price_of("o3", TEXT, started_s=at_s("2025-06-09T23:59:59Z")).cost == Decimal(50)
    assert price_of("o3", TEXT, started_s=at_s("2025-06-10T00:00:00Z")).cost == Decimal(10)


@pytest.mark.parametrize(
    ("model", "rate"),
    [
        ("ft:gpt-4o-2024-08-06:acme::x", "1.875"),
        ("ft:gpt-4o-mini-2024-07-18:acme::x", "0.15"),
        ("ft:gpt-4.1-2025-04-14:acme::x", "0.75"),
        ("ft:gpt-4.1-mini-2025-04-14:acme::x", "0.2"),
        ("ft:gpt-4.1-nano-2025-04-14:acme::x", "0.05"),
        ("ft:o4-mini-2025-04-16:acme::x", "1"),
    ],
)
def test_fine_tunes_have_their_cached_rate(model: str, rate: str) -> None:
    """The public list bills a fine-tune's cached input in full."""
    cached = Usage(prompt_tokens=1_000_000, completion_tokens=0, cached_tokens=1_000_000)

    assert price_of(model, cached).cost == Decimal(rate)


@pytest.mark.parametrize("model", ["ft:gpt-3.5-turbo-0125:acme::x", "o3-pro", "gpt-4o-2024-05-13", "gpt-audio"])
def test_cached_input_without_a_rate_is_unpriced(model: str) -> None:
    """Where no discount is published, neither the full rate nor a guess is used."""
    cached = Usage(prompt_tokens=10, completion_tokens=1, cached_tokens=5, output_audio_tokens=0)

    assert price_of(model, cached).reason == "no rate is known for cached input"


def test_cached_input_in_a_batch_is_not_the_standard_rate() -> None:
    """OpenAI's batch list shows a dash for gpt-4.1's cached input: neither the full rate nor half of it is known."""
    cached = Usage(prompt_tokens=1_000_000, completion_tokens=0, cached_tokens=500_000)

    assert price_of("gpt-4.1", cached, processing="batch").reason == "no rate is known for cached input"
    assert price_of("gpt-5", cached, processing="batch").cost == Decimal("0.34375")


def test_azure_surcharges_come_from_the_user() -> None:
    """Data Zone and regional deployments cost more, and nothing in the answer tells."""
    azure = "https://acme.openai.azure.com/openai/v1/"
    book = PriceBook(multipliers={"https://acme.openai.azure.com": "1.1"})

    assert book.price(a_call("gpt-4.1", TEXT, base_url=azure)) == Price(Decimal(11), f"{PUBLIC} x 1.1", None)


def test_reasoning_is_billed_once_wherever_it_is_counted() -> None:
    """xAI excludes it from the completion, OpenAI includes it: the total shows which."""
    beside = Usage(prompt_tokens=100, completion_tokens=20, total_tokens=420, reasoning_tokens=300)
    inside = Usage(prompt_tokens=100, completion_tokens=320, total_tokens=420, reasoning_tokens=300)

    assert price_of("gpt-5", beside).cost == price_of("gpt-5", inside).cost == Decimal("0.003325")


def test_what_the_provider_charged_wins() -> None:
    """OpenRouter and xAI say what they charged: no table knows better, for no model."""
    usage = TEXT._replace(provider_cost=Decimal("0.0123"))

    assert price_of("gpt-5", usage, base_url=ROUTER) == Price(Decimal("0.0123"), "provider", None)
    assert price_of("acme-7b", usage, base_url="https://api.x.ai/v1").cost == Decimal("0.0123")


@pytest.mark.parametrize("amount", ["-1", "NaN", "Infinity"])
def test_a_charge_that_is_no_amount_is_no_price(amount: str) -> None:
    """A broken bill is not replaced by a list price."""
    assert price_of("gpt-5", TEXT._replace(provider_cost=Decimal(amount)), base_url=ROUTER).cost is None


@pytest.mark.parametrize("model", ["gpt-9-ultra", "gpt-5-2099-01-01", "gpt", "", "x" * 10_000])
def test_an_unknown_model_is_unpriced(model: str) -> None:
    """Others bill unknown models as 0 or as a model of a similar name."""
    price = price_of(model, TEXT)

    assert price.cost is None
    assert price.reason
    assert len(price.reason) < 300


@pytest.mark.parametrize(
    "url",
    [
        "https://dashscope.aliyuncs.com/compatible-mode/v1",
        "https://api.moonshot.cn/v1",
        "https://open.bigmodel.cn/api/paas/v4",
        "https://api.minimaxi.com/v1",
    ],
)
def test_an_endpoint_billed_in_yuan_has_no_dollar_price(url: str) -> None:
    """The international dollar price, or one converted at some day's rate, is not what is paid."""
    price = price_of("qwen3-max", TEXT, base_url=url)

    assert price.cost is None
    assert "billed in CNY" in str(price.reason)


def test_qwen_bands_are_cliffs_and_end() -> None:
    """Above the last published band there is no price."""
    url = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"
    costs = [
        price_of("qwen3-max", Usage(prompt_tokens=n, completion_tokens=0), base_url=url).cost
        for n in (32_000, 32_001, 128_000, 128_001, 252_000, 252_001)
    ]

    assert costs == [*map(Decimal, ("0.0384", "0.0768024", "0.3072", "0.384003", "0.756")), None]


def test_free_of_charge_is_a_row_and_not_a_gap() -> None:
    """Moderation costs nothing, with and without counts, because OpenAI says so."""
    free = Price(Decimal(0), "overlay 2026-11-27", None)

    assert price_of("omni-moderation-latest", TEXT, api="moderations") == free
    assert price_of("omni-moderation-latest", None, api="moderations") == free
    assert price_of("omni-moderation-latest", Usage(), api="moderations") == free
    assert price_of(None, Usage(), api="moderations") == free


def test_no_usage_has_no_price() -> None:
    """Speech answers carry no counts: the cost is unknown, not 0."""
    assert price_of("gpt-4o-mini-tts", None, api="speech").reason == "no usage: the answer carried no counts"


def test_a_disputed_price_says_so() -> None:
    """OpenAI's pages contradict each other about this model; the report shows it."""
    price = price_of("gpt-4o-transcribe", Usage(prompt_tokens=100, completion_tokens=10, input_audio_tokens=100))

    assert price.cost == Decimal("0.00035")
    assert price.source == "overlay 2026-11-27 (disputed)"


def test_the_model_that_was_served_is_priced() -> None:
    """A gateway may serve another model than the one that was asked for."""
    assert price_of("gpt-4o-mini", ONE_INPUT, request_model="gpt-4o").cost == Decimal("0.15")
    assert price_of(None, ONE_INPUT, request_model="gpt-4o").cost == Decimal("2.5")
    assert price_of(None, ONE_INPUT).reason == "neither the request nor the answer names a model"
