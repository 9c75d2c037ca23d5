"""The meters, handlers and limits that apply to a call that starts now.

A scope is computed once for each stack of entries and cached until a meter opens or closes.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from token_meter.context.stack import ATTEMPT, CALLBACKS, METER, SUPPRESSED

if TYPE_CHECKING:
    from token_meter.context.ports import Limits, Recipient, Sink
    from token_meter.context.subscriber import Subscriber


_LIMIT = 256


class CallScope:
    """What one stack of entries means for a call.

    Attributes:
        meters: the open meters, those of the process first, then outermost first.
        closed_meters: meters of the context that have closed.
        subscribers: the handlers of blocks and requests, in the order in which they are called.
        is_suppressed: a handler makes the call, so that no handler is called for it.
        budgets: the limits that apply to the call, outermost first.
        needs_ticket: the gate has something to do for the call: it is limited, told of, or may pass the seam by; `None`
            until a gate asks.
        tags: the labels of all meters, also of closed ones: what they started keeps them.
        keeps_calls: a meter, handler or sink reads single calls.
        names_asked: a meter sums by the model that was asked for, also where the answer names one.
        stream_usage: a meter adds the request for usage to streamed calls.
        allows_deferral: an answer may be parsed later, when a number of a meter is read.
        sinks: the sinks of all meters.
    """

    __slots__ = (
        "allows_deferral", "budgets", "closed_meters", "is_suppressed", "keeps_calls", "meters", "names_asked",
        "needs_ticket", "sinks", "stream_usage", "subscribers", "tags",
    )  # fmt: skip

    def __init__(self, stack: tuple[Any, ...], process: tuple[Recipient, ...]) -> None:
        meters: list[Recipient] = list(process)
        late: list[Recipient] = []
        tagged: list[Recipient] = list(process)
        subscribers: list[Subscriber] = [subscriber for meter in process for subscriber in meter.subscribers]
        self.is_suppressed = False
        for entry in stack:
            if entry.kind == METER:
                tagged.append(entry)
                if not entry.is_open:
                    if entry not in late:  # a meter that was entered twice is in the stack twice
                        late.append(entry)
                elif entry not in meters:
                    meters.append(entry)
                    subscribers += entry.subscribers
            elif entry.kind == CALLBACKS:
                if entry.is_open:
                    subscribers += entry.subscribers
            elif entry.kind == SUPPRESSED:
                self.is_suppressed = True
        self.meters = tuple(meters)
        self.closed_meters = tuple(late)
        self.subscribers = () if self.is_suppressed else tuple(subscribers)
        self.budgets: tuple[Limits, ...] = tuple(m.budget for m in meters if m.budget is not None)
        self.needs_ticket: bool | None = True if self.budgets or self.subscribers else None
        self.tags: tuple[str, ...] = tuple(dict.fromkeys(tag for meter in tagged for tag in meter.tags))
        self.sinks: tuple[Sink, ...] = tuple(dict.fromkeys(m.sink for m in meters if m.sink is not None))
        self.keeps_calls = bool(self.sinks) or any(meter.keeps_calls for meter in meters)
        self.names_asked = any(meter.names_asked for meter in meters)
        self.allows_deferral = all(meter.allows_deferral for meter in meters)
        self.stream_usage = any(meter.stream_usage for meter in meters)


def base_of(stack: tuple[Any, ...]) -> tuple[Any, ...]:
    """The stack without its entries for calls in flight."""
    return tuple(entry for entry in stack if entry.kind < ATTEMPT)


class Scopes:
    """The scopes of all stacks, and the meters that count every call of the process.

    Attributes:
        open_meters: how many meters are open, in any context.
        unattributed: calls that ran in no meter while some meter was open.
    """

    def __init__(self) -> None:
        self.open_meters = 0
        self.unattributed = 0
        self._process: tuple[Recipient, ...] = ()
        self._known: dict[tuple[Any, ...], CallScope] = {}
        self._unattributed = itertools.count(1)

    def forget(self) -> None:
        """Discard all scopes, because a meter or a handler was added or removed."""
        self._known = {}

    def opened(self, meter: Recipient) -> None:
        """Note that *meter* has opened."""
        self.open_meters += 1
        if meter.scope == "process":
            self._process = (*self._process, meter)
        self._known = {}

    def closed(self, meter: Recipient) -> None:
        """Note that *meter* has closed."""
        self.open_meters -= 1
        if meter.scope == "process":
            self._process = tuple(other for other in self._process if other is not meter)
        self._known = {}

    def count_unattributed(self) -> None:
        """Count a call that ran in no meter."""
        if self.open_meters:
            self.unattributed = next(self._unattributed)

    def get(self, stack: tuple[Any, ...]) -> CallScope | None:
        """The scope of *stack* if it is cached."""
        return self._known.get(stack)

    def of(self, stack: tuple[Any, ...]) -> CallScope:
        """The scope of *stack*, cached until a meter or a handler is added or removed."""
        known = self._known  # `forget` in another thread replaces the cache; this result must not enter the new one
        scope = known.get(stack)  # most stacks are their own base
        if scope is not None:
            return scope
        base = base_of(stack)
        scope = known.get(base)
        if scope is None:
            scope = CallScope(base, self._process)
            if len(known) >= _LIMIT:
                known.clear()
            known[base] = scope
        return scope


SCOPES = Scopes()
