"""Calls that are alike are counted and priced together: what comes out is what each by itself adds up to."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from tests.meter.test_reading import call, filled
from token_meter.prices import PriceBook, Rates
from token_meter.types import Call, Price, Usage


class EachByItself(PriceBook):
    """A book of the user's own, of which nothing is known: it is asked for each call."""

    def price(self, call: Call) -> Price:
        return super().price(call)


TEXT = [Usage(1000 + n, 10 * n, 1000 + 11 * n) for n in range(5)]
GROUPS: dict[str, Sequence[Call]] = {
    "text": [call(usage=usage) for usage in TEXT],
    "cached": [call(usage=usage._replace(cached_tokens=n)) for n, usage in enumerate(TEXT)],
    "more cached than sent": [call(usage=Usage(5, 1, 6, cached_tokens=n)) for n in (5, 6)],
    "hidden reasoning": [call("grok-4", usage=Usage(10, n, 100), host="api.x.ai") for n in (10, 90)],
    "over the context border": [call("gpt-5.4", usage=Usage(n, 1, n + 1)) for n in (200_000, 272_000, 272_001)],
    "some without a count": [call(usage=Usage(10, None, None)), *(call(usage=usage) for usage in TEXT)],
    "audio": [call("gpt-4o-audio-preview", usage=Usage(10, n, 10 + n, input_audio_tokens=n)) for n in (1, 2)],
    "charged by the provider": [call(usage=Usage(1, 1, 2, provider_cost=Decimal(n))) for n in range(3)],
    "tokens beside": [call(usage=Usage(1, 1, 2, tool_usage_tokens=n)) for n in range(3)],
    "no price": [call("acme", usage=usage) for usage in TEXT],
    "two models": [call(model, usage=usage) for usage in TEXT for model in ("gpt-4o", "gpt-4o-mini")],
    "tags": [call(usage=usage, tags=tags) for usage in TEXT for tags in ((), ("a",), ("a", "b"))],
    "failed and estimated": [
        call(usage=usage)._replace(status=status, certainty=certainty)
        for usage in TEXT
        for status, certainty in ((200, "exact"), (500, "estimated"), (None, "unmeasured"))
    ],
    "a list for tags": [call(usage=usage)._replace(tags=["a"]) for usage in TEXT],
}


@pytest.mark.parametrize("kind", GROUPS)
def test_the_price_of_a_group_is_the_sum_of_its_prices(kind):
    """And so are its tokens, by model and by tag."""
    calls = GROUPS[kind]
    together = filled(*calls, on_unpriced="ignore")
    apart = filled(*calls, on_unpriced="ignore", prices=EachByItself())
    one_by_one = filled(on_unpriced="ignore", prices=EachByItself())
    for each in calls:
        one_by_one.add(each)
        assert one_by_one.cost >= 0

    def numbers(cb):
        told = cb.to_dict()
        parts = {(place, name): sub for place in ("by_model", "by_tag") for name, sub in told[place].items()}
        for part in (told, *parts.values()):
            part["cost"] = part["cost"] and Decimal(part["cost"])
        return {**told, "by_model": 0, "by_tag": 0, "price_source": 0, **parts}

    assert numbers(together) == numbers(apart) == numbers(one_by_one)


def test_a_price_that_changes_amid_a_group_holds_for_its_calls_only():
    """DeepSeek's price changes by the hour of the day, so that calls of one kind may have two."""
    usage = Usage(1_000_000, 0, 1_000_000)
    hours = [call("deepseek-chat", usage)._replace(host="api.deepseek.com", started_s=3600.0 * n) for n in range(24)]

    assert filled(*hours).cost == sum(PriceBook().price(each).cost for each in hours)


def test_private_rates_price_a_group_too():
    """Rows of a price book are exact in sums."""
    book = PriceBook([Rates("openai", "gpt-4o-mini", input="0.1", output="0.7")])
    calls = [call(usage=usage) for usage in TEXT]

    assert filled(*calls, prices=book).cost == sum(book.price(each).cost for each in calls)
    assert book.price_together(calls) == Price(
        sum(book.price(each).cost for each in calls), book.price(calls[0]).source
    )
