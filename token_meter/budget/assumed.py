"""What a call that has ended counts as under a limit: what it used, and where not all is known, what it had reserved.

One rule, for the limits of a meter and for budgets that processes share.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from token_meter._failures import internal_error
from token_meter._money import EXACT
from token_meter.budget.excess import Assumed
from token_meter.types import Call, Price

_NO_COST = Decimal(0)
_NOT_TOLD = "its answer does not say what it used"
_NOT_READ = "its answer was not read to its end"


class Least(NamedTuple):
    """What a call counts as at least, if its end does not tell what it used.

    Attributes:
        cost: US dollars that were reserved for it, or those of a small answer where its size was not known before.
        tokens: the same in tokens.
        model: the model that it asked for, whose price that was; `None` where the price book is told by the address.
        is_sized: its size was known before it was sent. Else what it shows before its end may be the smallest part.
    """

    cost: Decimal = _NO_COST
    tokens: int = 0
    model: str | None = None
    is_sized: bool = True


class Used(NamedTuple):
    """What one call used.

    Attributes:
        cost: what is known of its cost.
        tokens: its tokens, as far as they are known.
        assumed: what counts beyond both.
    """

    cost: Decimal
    tokens: int
    assumed: Assumed = Assumed()


def used_by(call: Call, least: Least, price_of: Callable[[Call], Price]) -> Used:
    """What *call* used, and what is assumed beside it. Never raises: a price book that fails has no price."""
    price = Price(_NO_COST) if call.usage is None else _price(call, price_of)
    cost, tokens = price.cost or _NO_COST, call.tokens.total_tokens or 0
    is_unread = _may_be_more(call, is_sized=least.is_sized)
    if not is_unread and price.is_whole:
        return Used(cost, tokens)
    at_least = least.cost
    if call.usage is not None and price.cost is None:
        # The served model or tier has no price, and the reservation may have been too small, or of unknown size.
        asked = call._replace(request_model=least.model or call.request_model, response_model=None, service_tier=None)
        at_least = max(at_least, _price(asked, price_of).cost or _NO_COST)
    beyond = EXACT.subtract(max(cost, at_least), cost)
    tokens_beyond = max(0, least.tokens - tokens) if is_unread else 0
    if not beyond and not tokens_beyond:
        return Used(cost, tokens)
    why = (_NOT_TOLD if call.certainty == "unmeasured" else _NOT_READ) if is_unread else price.reason or "no price"
    return Used(cost, tokens, Assumed(beyond, tokens_beyond, 1, why))


def _price(call: Call, price_of: Callable[[Call], Price]) -> Price:
    try:
        return price_of(call)
    except Exception:
        internal_error("price for a limit")
        return Price(reason="its price book failed")


def _may_be_more(call: Call, *, is_sized: bool) -> bool:
    """Whether a call may have used much more than it told: it is not measured, was cancelled, or showed no output."""
    if call.certainty in ("unmeasured", "exact"):
        return call.certainty == "unmeasured"
    return call.outcome == "cancelled" or not (is_sized and call.tokens.completion_tokens)
