"""What a provider says it charged, in US dollars. Whether its host is known to do that, the price book asks."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from token_meter._text import is_number
from token_meter.types import Reading, Usage
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader

_TOTALS = ("total_cost", "total")


def charge_of(raw: Object, numbers: NumberReader) -> Decimal | None:
    """The charge in a usage object: an amount, or the total of an object (Perplexity, 2026-11); `None` in other money.

    With a key of the caller's own at a router, `cost` is the router's fee, and what the key's owner pays stands beside
    it; without such a key both name the same money (OpenRouter's usage accounting, 2026-11).
    """
    cost = raw.get("cost")
    if not (_is_dollars(raw) and (not isinstance(cost, dict) or _is_dollars(cost))):
        return None
    if isinstance(cost, dict):
        return numbers.dollars(next((cost[name] for name in _TOTALS if cost.get(name) is not None), None))
    if cost is None:
        ticks = raw.get("cost_in_usd_ticks")  # xAI
        return numbers.dollars(raw.get("estimated_cost")) if ticks is None else numbers.ticks(ticks)  # DeepInfra
    charged = numbers.dollars(cost)
    if charged is None or raw.get("is_byok") is not True:
        return charged
    details: Any = raw.get("cost_details")
    upstream = numbers.dollars(details.get("upstream_inference_cost")) if isinstance(details, dict) else None
    return charged if upstream is None else charged + upstream  # without it, `fees` says that a part is missing


def read_charge(reading: Reading, headers: Mapping[str, str], numbers: NumberReader) -> Reading:
    """Add the charge that LiteLLM's proxy states in a header (docs.litellm.ai, proxy/cost_tracking, 2026-11).

    Of a stream the head comes before the answer has cost anything: its last chunk says it, as `usage.cost`. A 0 is
    known where the answer comes from the proxy's cache; else it may be a model that the proxy has no price for
    (BerriAI/litellm#13790, #30725).
    """
    said = headers.get("x-litellm-response-cost")
    if said is None or not is_number(said) or "event-stream" in headers.get("content-type", ""):
        return reading
    usage = reading.usage or Usage()
    charged = numbers.dollars(said)
    if charged is None or usage.provider_cost is not None or not (charged or headers.get("x-litellm-cache-key")):
        return reading
    return reading._replace(usage=usage._replace(provider_cost=charged))


def _is_dollars(where: Object) -> bool:
    """Whether the amounts there are in US dollars, as far as it says."""
    for name in ("currency", "cost_currency"):
        currency = where.get(name)
        if currency is not None and not (isinstance(currency, str) and currency.strip().upper() in ("USD", "US$", "$")):
            return False
    return True
