"""One meter's budget: what a call may use of it, and the errors and warnings about it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from token_meter._defaults import is_list_loaded
from token_meter._failures import internal_error
from token_meter._money import EXACT, plus
from token_meter._text import WHERE_PRICES_GO, visible
from token_meter._warn import warn_user
from token_meter.budget import account
from token_meter.budget.account import Account, Ask, Released, admit
from token_meter.budget.amounts import Amounts, shown
from token_meter.budget.assumed import Least, used_by
from token_meter.budget.excess import Assumed, Excess
from token_meter.budget.foresight import CallForecast
from token_meter.budget.worth import Worth, says_its_charge, worth_of
from token_meter.context.stack import CONTEXT_STACK, SUSPENDED, push, remove
from token_meter.exceptions import BudgetExceededError, BudgetWarning, UnpricedModelError
from token_meter.types import Call, Price, Usage
from token_meter.wire import read_request

if TYPE_CHECKING:
    from token_meter.budget.shared import Budget
    from token_meter.context.endpoint import Endpoint
    from token_meter.context.ports import Recipient
    from token_meter.stores import StoreState

_BY_HAND = "make it within `with cb.suspended():` and count it by cb.record(...)"
"""What helps where no price would: the call's tokens will not be known."""


_AT_ITS_END = "make it within `with cb.suspended():`; it counts at its end, when what it used is seen"
"""Of a batch neither the request nor its answer tells what stands in its file."""


class MeterBudget:
    """The limits of one meter, and what happens when a call could exceed them."""

    def __init__(self, meter: Recipient, limits: Amounts, on_exceed: str, warn_at: Decimal | None) -> None:
        self._meter = meter
        self._on_exceed = on_exceed
        self._warn_at = warn_at
        self._warned: set[str] = set()
        self._owner = ""
        self._options: Mapping[str, str] = {}
        self._inherited: Amounts | None = None
        self._asking: set[int] = set()  # the threads that ask the price book what is assumed
        self.account = Account(limits, self._spent, self._spent_now, self._work_out)
        self.shared: tuple[Budget, ...] = ()

    def name_options(self, owner: str, options: Mapping[str, str]) -> None:
        """Say whose limits these are, and by which options they were set: texts then name what the user wrote."""
        self._owner, self._options = owner, options

    def _spent(self, limits: Amounts) -> Amounts:
        """What the meter has counted of the fields with a limit; costs are computed only for a limit on cost."""
        meter = self._meter
        return self._with_inherited(
            meter.priced_sums().cost if limits.cost is not None else None,
            meter.total_tokens if limits.tokens is not None else None,
        )

    def _spent_now(self, limits: Amounts) -> Amounts | None:
        """The same without asking a price book; `None` where one has to be asked first."""
        is_costly = limits.cost is not None
        if not is_costly and limits.tokens is None:
            return Amounts()
        if self.account.is_behind and not self._is_asking:
            return None
        sums = self._meter.sums_now(priced=is_costly)
        return None if sums is None else self._with_inherited(sums.cost if is_costly else None, sums.total_tokens)

    def _with_inherited(self, cost: Decimal | None, tokens: int | None) -> Amounts:
        before = self._inherited
        if before is None:
            return Amounts(cost, tokens)
        pairs = ((before.cost, cost), (before.tokens, tokens))
        sums: Any = (now if now is None or then is None else plus(then, now) for then, now in pairs)
        return Amounts(*sums)

    def _work_out(self, ended: Sequence[Released]) -> None:
        """Work out what is assumed of calls that have ended: of most nothing, because they told it all. Never raises.

        A price book that reads the meter while it is asked finds such calls as they were reserved.
        """
        thread, is_costly = threading.get_ident(), self.account.limits.cost is not None
        if self._is_asking:
            return
        self._asking.add(thread)
        try:
            is_told = is_costly and self._is_all_told()
            self._assume(ended, is_told=is_told, price_of=self._meter.price_of if is_costly else _free)
        finally:
            self._asking.discard(thread)

    def _is_all_told(self) -> bool:
        """Whether every call has said all that it used, and has a whole price."""
        try:
            sums = self._meter.priced_sums()
        except Exception:
            internal_error("price for a limit")
            return False
        return not (sums.unpriced_calls or sums.partly_priced_calls or sums.unmeasured_calls or sums.estimated_calls)

    @property
    def _is_asking(self) -> bool:
        """Whether this thread asks the price book just now."""
        return self._meter.is_asking or threading.get_ident() in self._asking

    @staticmethod
    def _assume(ended: Sequence[Released], *, is_told: bool, price_of: Callable[[Call], Price]) -> None:
        for one in ended:
            least, assumed = one.ask.least or Least(), Assumed()
            for call in () if is_told else one.calls:
                found = call if isinstance(call, Call) else call.resolve()
                assumed = assumed.and_more(used_by(found, least, price_of).assumed)
            one.assumed = assumed

    def inherit(self) -> None:
        """Take over what the meter has counted, which a forked child is about to forget: limits go on from there."""
        self._asking = set()
        self.account.catch_up()
        self._inherited = self._spent(self.account.limits)

    @property
    def settling_lock(self) -> Any:
        """Held while a call is let in."""
        return account._lock

    @property
    def needs_tokens(self) -> bool:
        """Whether these limits depend on the tokens of a call."""
        if self._meter.on_unpriced == "raise":
            return True
        return any(limits.cost is not None or limits.tokens is not None for limits in self._all_limits())

    def _all_limits(self) -> tuple[Amounts, ...]:
        return (self.account.limits, *(budget.limits for budget in self.shared))

    @property
    def _needs_price(self) -> bool:
        return self._meter.on_unpriced == "raise" or any(limits.cost is not None for limits in self._all_limits())

    def is_slow(self, endpoint: Endpoint, body: bytes) -> bool:
        """Whether to check a call would hold up an event loop: for a price list, or for estimates of earlier calls."""
        limits = self.account.limits
        if (limits.cost is not None or limits.tokens is not None) and self._meter.is_far_behind(
            priced=limits.cost is not None
        ):
            return True
        if is_list_loaded() or not body:
            return False
        if not self._needs_price and not self.shared:  # which are told what each call cost
            return False
        model = read_request(body).model
        return self._meter.slow_part(CallForecast(endpoint, model, None, None, None).as_call(Usage(), None)) is not None

    def prepare(self, forecast: CallForecast) -> None:
        """Do what a check would wait for."""
        self._meter.catch_up()
        if self._needs_price or self.shared:
            worth_of(forecast, self._meter.price_of)

    def ask(self, forecast: CallForecast) -> Ask:
        """What a call wants to reserve in this budget.

        Raises:
            UnpricedModelError: its model has no price, but the meter needs one.
        """
        is_suspended = any(entry.kind == SUSPENDED and entry.meter is self._meter for entry in CONTEXT_STACK.get())
        enforced = self._on_exceed == "raise" and not is_suspended
        wanted, worth = Amounts(None, forecast.tokens, 1), Worth(None)
        if self._needs_price:
            worth = worth_of(forecast, self._meter.price_of)
            if worth.reason is not None and self._meter.on_unpriced != "ignore":
                self._refuse_unpriced(forecast, worth.reason, enforced)
                worth = worth._replace(cost=None)
            elif worth.reason is not None:
                # on_unpriced='ignore': such a call reserves nothing, unless its answer says what it cost.
                worth = Worth(None if says_its_charge(forecast, self._meter.price_of) else Decimal(0))
        model = forecast.endpoint.route.model or forecast.model
        least = None if is_suspended else Least(worth.least, forecast.tokens or 0, model, forecast.tokens is not None)
        return Ask(self.account, wanted._replace(cost=worth.cost), enforced, least, forecast.remedy)

    def _refuse_unpriced(self, forecast: CallForecast, reason: str, enforced: bool) -> None:
        endpoint = forecast.endpoint
        model = endpoint.route.model or forecast.model
        what = visible(endpoint.host) if model is None else repr(visible(model))
        can_be_priced = model is not None and endpoint.route.api.is_metered
        way = f"give its price in a price file ({WHERE_PRICES_GO})" if can_be_priced else _BY_HAND
        if endpoint.route.api.job is not None:
            way = _AT_ITS_END
        mine = f"its {self._options.get('cost', 'max_cost')}"
        named = [(mine, self.account.limits.cost)]
        named += [(budget.described() or mine, budget.limits.cost) for budget in self.shared]
        option, limit = next((row for row in named if row[1] is not None), ("", None))
        why = "on_unpriced='raise'" if limit is None else f"{option} of {shown('cost', limit)} could not be enforced"
        ignoring = self._options.get("unpriced", "on_unpriced='ignore'")
        msg = (
            f"{self._whose} refuses calls to {what}: their price is not known ({reason}), and {why}. "
            f"The call was not sent: {way}, or set {ignoring}"
        )
        if enforced:
            self._note_refusal("price")
            spent, reserved = self.account.spent.cost, self.account.reserved.cost
            raise UnpricedModelError(
                msg, meter=self._meter, field="cost", limit=limit, spent=spent, reserved=reserved, wanted=None
            )
        self._warn("unpriced", msg.replace("The call was not sent", "The call was sent anyway"))

    def count_made(self) -> None:
        """Count a call that was made without a reservation. Its cost and tokens are in the spent sum already."""
        reservation = admit([Ask(self.account, Amounts(Decimal(0), 0, 1), is_enforced=False)]).reservation
        if reservation is not None:
            reservation.release(was_sent=True)

    def refusal(self, excess: Excess, whose: str = "") -> BudgetExceededError:
        """The error for a call that does not fit."""
        if not excess.is_transient:  # a transient refusal exceeds no limit: the caller may try again in a moment
            self._note_refusal(excess.field)
        return BudgetExceededError(
            excess.describe(whose or self._whose, self._options.get(excess.field)),
            meter=self._meter,
            field=excess.field,
            limit=excess.limit,
            spent=excess.spent,
            reserved=excess.reserved,
            wanted=excess.wanted,
        )

    def _note_refusal(self, field: str) -> None:
        if self._meter.sink is not None:
            self._meter.sink.on_refused(field)

    def passed(self, excess: Excess, whose: str = "") -> None:
        """Warn, once for each limit, about a call that was sent although it could exceed it; silent while suspended."""
        if self._on_exceed == "warn":
            told = excess.describe(whose or self._whose, self._options.get(excess.field))
            text = told.partition(" The call was not sent")[0]
            self._warn(f"{whose} {excess.field}", f"{text} It was sent, because on_exceed='warn'")

    def check_warning_threshold(self) -> None:
        """Warn, once for each limit, when the share that `warn_at` names is spent."""
        share = self._warn_at
        if share is None:
            return
        limits = self.account.limits
        if all(limit is None or f"{field} soon" in self._warned for field, limit in limits._asdict().items()):
            return
        for field, limit, spent in zip(Amounts._fields, limits, self.account.spent, strict=True):
            if limit and spent is not None and spent >= EXACT.multiply(share, limit):
                used, whole = shown(field, spent), shown(field, limit)
                self._warn(f"{field} soon", f"{self._whose} has used {used} of its limit of {whole}")

    # Shared budgets.

    def price_of(self, call: Call) -> Price:
        """What a call cost by this meter's price book."""
        return self._meter.price_of(call)

    def shared_refusal(self, budget: Budget, excess: Excess) -> BudgetExceededError:
        """The error for a call that does not fit into a shared budget."""
        return self.refusal(excess, budget.described())

    def shared_passed(self, budget: Budget, excess: Excess) -> None:
        """Warn about a call that was sent although it could exceed a shared budget."""
        self.passed(excess, budget.described())

    def check_shared_threshold(self, budget: Budget, state: StoreState) -> None:
        """Warn, once for each limit, when the share that `warn_at` names is spent."""
        for field, text in budget.nearly_spent(state, self._warn_at) if self._warn_at is not None else ():
            self._warn(f"{budget.name} {field} soon", text)

    def _warn(self, what: str, text: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            warn_user(text, BudgetWarning, repeat=True)

    @property
    def _whose(self) -> str:
        name = self._meter.name
        if self._owner:
            return self._owner
        return f"meter {visible(name)!r}" if name else "this meter"


def _free(call: Call) -> Price:
    """The price of a call whose cost has no limit."""
    return Price(Decimal(0))


class Suspension:
    """Suspends a meter's limits within a `with` block; calls still count and reserve. See `Meter.suspended`."""

    kind = SUSPENDED

    def __init__(self, meter: Any) -> None:
        self.meter = meter

    def __enter__(self) -> Suspension:
        push(self)
        return self

    def __exit__(self, *_: object) -> None:
        remove(self)
