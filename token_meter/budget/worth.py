"""What a call that is not sent yet may cost, by a price book, and what it counts as if its end does not tell."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from token_meter import budget
from token_meter._fees import fees_of
from token_meter.budget.foresight import CallForecast
from token_meter.types import Call, Price, Usage

_NO_TOKENS = frozenset({"input tokens", "output tokens"})
"""Without a rate for these, what is counted of a call is too little for a limit."""


class Worth(NamedTuple):
    """What a call may cost.

    Attributes:
        cost: the most, in US dollars; `None`: it cannot be estimated, or there is no price.
        reason: why its model has no price; `None` if it has one.
        least: what it counts as if its end does not tell: the same; where its size cannot be estimated, an answer of a
            common size and one use of each tool.
    """

    cost: Decimal | None
    reason: str | None = None
    least: Decimal = Decimal(0)


_A_CHARGE = Usage(provider_cost=Decimal("0.000001"))


def says_its_charge(forecast: CallForecast, price: Callable[[Call], Price]) -> bool:
    """Whether a charge in the answer would be believed: then its end tells what the call cost, without a price."""
    is_read = forecast.endpoint.route.api.is_metered
    return is_read and price(forecast.as_call(_A_CHARGE, None)).cost == _A_CHARGE.provider_cost


def worth_of(forecast: CallForecast, price: Callable[[Call], Price]) -> Worth:
    """What the call may cost."""
    api = forecast.endpoint.route.api
    if forecast.is_free:
        return Worth(Decimal(0))
    if forecast.asked is not None and (found := price(forecast.as_call(forecast.asked, None))).is_whole:
        return Worth(found.cost, None, found.cost or Decimal(0))
    if not api.is_metered:
        is_read = api.name != "unknown"
        return Worth(
            None, f"answers of {api.name} never report their usage" if is_read else "such answers are not read"
        )
    if forecast.tokens is None:
        return _of_a_common_answer(forecast, price)
    usage = Usage(forecast.prompt_tokens, forecast.output_tokens, forecast.tokens)
    # The provider may serve another tier than the requested one, so the requested one may lack a price.
    found = price(forecast.as_call(usage, forecast.service_tier))
    if found.cost is None:
        found = price(forecast.as_call(usage, None))
    if found.cost is None:
        return Worth(None, found.reason or "no price")
    if found.is_whole:
        return Worth(found.cost, None, found.cost)
    # A fee that only the answer tells, or no rate for tokens.
    return Worth(None, found.reason if _NO_TOKENS.intersection(found.missing) else None, found.cost)


def _of_a_common_answer(forecast: CallForecast, price: Callable[[Call], Price]) -> Worth:
    """Price usages of several kinds; a price book that has a price for a model can price at least one of them."""
    reason, n = None, budget.DEFAULT_OUTPUT_TOKENS
    fees = fees_of(dict.fromkeys(forecast.tools, 1))
    for usage in (Usage(1, n, n + 1), Usage(n, 0, n), Usage(audio_seconds=60.0), Usage()):
        found = price(forecast.as_call(usage._replace(fees=fees), None))
        if found.cost is not None and not _NO_TOKENS.intersection(found.missing):
            return Worth(None, None, found.cost)
        reason = reason or found.reason
    return Worth(None, reason or "no price")
