"""One call under shared budgets: what it asks of their stores before it is sent, and tells them at its end.

It knows no seam. Whoever carries the call runs, or awaits, what is due: before the request, and after the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from decimal import Decimal
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, NamedTuple

from token_meter._money import add_usd
from token_meter.budget.account import Ask
from token_meter.budget.amounts import Amounts
from token_meter.budget.assumed import Least, used_by
from token_meter.budget.excess import Excess
from token_meter.budget.shared import Budget, amounts_of, nano_of
from token_meter.exceptions import BudgetStoreError
from token_meter.stores import Answer, Charge, Settlement, StoreAsk, StoreState, Units, Window
from token_meter.types import Call

if TYPE_CHECKING:
    from token_meter.budget.limits import MeterBudget
    from token_meter.budget.store_client import StoreClient
    from token_meter.context.ports import WaitingEstimate

_FIELDS = dict(zip(Units._fields, Amounts._fields, strict=True))


class SharedAsk(NamedTuple):
    """What a call wants of one shared budget, and the meter that has it."""

    owner: MeterBudget
    budget: Budget
    wanted: Amounts
    is_enforced: bool
    least: Least | None = None
    remedy: str = ""


def merged(asks: Iterable[SharedAsk]) -> list[SharedAsk]:
    """The asks with each window once: where two meters name one budget, the lower limits apply."""
    found: dict[tuple[StoreClient, str, str, str], SharedAsk] = {}
    for ask in asks:
        budget = ask.budget
        key = (budget.client, budget.name, budget.period.per, budget.period.tz)
        known = found.get(key)
        if known is None:
            found[key] = ask
        elif known.budget is not budget:
            found[key] = known._replace(budget=known.budget.tightened(budget))
    return [*found.values()]


_Question = tuple["StoreClient", Callable[[int], tuple[StoreAsk, ...]]]


class SharedCall:
    """The part of a call's reservation that stores hold. One id in all of them, so that each step may be repeated."""

    def __init__(self, asks: Sequence[SharedAsk], *, is_under_way: bool = False) -> None:
        self.id = token_hex(12)
        self._by_client: dict[StoreClient, list[SharedAsk]] = {}
        for ask in merged(asks):
            self._by_client.setdefault(ask.budget.client, []).append(ask)
        self._windows: dict[StoreClient, list[Window]] = {}
        self._settlements: dict[StoreClient, Settlement] = {}
        self._counted: list[Call | WaitingEstimate] = []
        self._is_asked = is_under_way
        self._is_open = [True]  # popped by the end: once, also between threads and a finalizer
        self._was_sent = False
        for client, mine in self._by_client.items() if is_under_way else ():
            self._asks(client, mine, client.now_ms())

    @classmethod
    def of(cls, owners: Sequence[MeterBudget], asks: Sequence[Ask] | None) -> SharedCall:
        """A call under the budgets of these meters, which wants what their own limits were asked."""
        nothing = Ask(owners[0].account, Amounts(Decimal(0), 0, 1), is_enforced=False)
        rows = zip(owners, asks or [nothing] * len(owners), strict=True)
        found = [SharedAsk(owner, budget, *a[1:]) for owner, a in rows for budget in owner.shared]
        return cls(found, is_under_way=asks is None)

    @property
    def is_due(self) -> bool:
        """Whether the stores have to be asked before the call goes on, or be told that it has ended."""
        return not self._is_asked or (not self._is_open and any(client.has_waiting for client in self._by_client))

    def run(self) -> None:
        """Do what is due.

        Raises:
            BudgetExceededError: the call does not fit.
            BudgetStoreError: a store does not answer.
        """
        if self._is_asked:
            for client in self._by_client:
                client.settle()
            return
        plan = self._asking()
        try:
            client, asks = next(plan)
            while True:
                try:
                    answer = client.admit(self.id, asks)
                except Exception as error:
                    client, asks = plan.throw(error)
                else:
                    client, asks = plan.send(answer)
        except StopIteration:
            pass
        finally:
            plan.close()

    async def arun(self) -> None:
        """The same, awaited."""
        if self._is_asked:
            for client in self._by_client:
                await client.asettle()
            return
        plan = self._asking()
        try:
            client, asks = next(plan)
            while True:
                try:
                    answer = await client.aadmit(self.id, asks)
                except Exception as error:
                    client, asks = plan.throw(error)
                else:
                    client, asks = plan.send(answer)
        except StopIteration:
            pass
        finally:
            plan.close()

    def count(self, call: Call | WaitingEstimate) -> None:
        """One attempt has ended. One append: a finalizer may do it."""
        self._counted.append(call)

    def end(self, *, was_sent: bool) -> None:
        """The call is over; the second time does nothing. What it used is worked out when the stores are told."""
        try:
            self._is_open.pop()
        except IndexError:
            return
        self._was_sent = was_sent
        for client in self._windows:
            client.queue(self._settlement_for(client))

    # Before the call.

    def _asking(self) -> Generator[_Question, Answer, None]:
        self._is_asked = True
        try:
            for client, mine in self._by_client.items():
                try:
                    answer = yield client, partial(self._asks, client, mine)
                except BudgetStoreError as error:
                    if any(ask.budget.is_needed and ask.is_enforced for ask in mine):
                        raise
                    if not self._windows.get(client):
                        self._asks(client, mine, client.now_ms())
                    for ask in mine:
                        ask.budget.store_failed(error)
                else:
                    if answer.status == "refused":
                        del self._windows[client]  # it holds nothing there
                    self._judge(mine, answer)
        except BaseException:
            # A step that had no answer may have been carried out: it is taken back by its id.
            self.end(was_sent=False)
            raise

    def _asks(self, client: StoreClient, mine: list[SharedAsk], now_ms: int) -> tuple[StoreAsk, ...]:
        found = tuple(ask.budget.ask(now_ms, ask.wanted, is_enforced=ask.is_enforced) for ask in mine)
        self._windows[client] = [ask.window for ask in found]
        return found

    def _judge(self, mine: list[SharedAsk], answer: Answer) -> None:
        for number, field in answer.exceeded:
            ask = mine[number]
            excess = self._excess(ask, answer.states[number], field)
            if answer.status == "refused":
                raise ask.owner.shared_refusal(ask.budget, excess)
            ask.owner.shared_passed(ask.budget, excess)
        for ask, state in zip(mine, answer.states, strict=True):
            over = ask.budget.field_over(state, ask.wanted) if ask.is_enforced else None
            if over is not None:
                raise ask.owner.shared_refusal(ask.budget, self._excess(ask, state, over))
            ask.owner.check_shared_threshold(ask.budget, state)

    def _excess(self, ask: SharedAsk, state: StoreState, field: str) -> Excess:
        name = _FIELDS[field]
        spent, held = (getattr(amounts_of(units), name) for units in (state.spent, state.held))
        limit, wanted = getattr(ask.budget.limits, name), getattr(ask.wanted, name)
        return Excess(ask.owner.account, name, limit, spent, held, wanted, remedy=ask.remedy)

    # After the call.

    def _settlement_for(self, client: StoreClient) -> Callable[[], Settlement]:
        def settlement() -> Settlement:
            found = self._settlements.get(client)
            if found is None:  # a step that is repeated says the same
                found = self._settlements.setdefault(client, Settlement(self.id, self._charges(client)))
            return found

        return settlement

    def _charges(self, client: StoreClient) -> tuple[Charge, ...]:
        if not self._was_sent:
            return ()
        calls = [call if isinstance(call, Call) else call.resolve() for call in self._counted]
        rows = zip(self._by_client[client], self._windows[client], strict=True)
        return tuple(Charge(window, _used(ask, calls)) for ask, window in rows)


def _used(ask: SharedAsk, calls: Sequence[Call]) -> Units:
    """What the attempts of a call used of one budget; what they do not tell counts as it was reserved."""
    least = ask.least or Least()
    cost, tokens = Decimal(0), 0
    for call in filter(ask.budget.counts, calls):
        used = used_by(call, least, ask.owner.price_of)
        tokens += used.tokens + used.assumed.tokens
        cost = add_usd(cost, add_usd(used.cost, used.assumed.cost))
    return Units(nano_of(cost, up=False), tokens, 1)
