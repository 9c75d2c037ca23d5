"""What a stack of entries means for a call that departs now: who counts it, who is told, which limits hold.

Worked out once for a stack and kept until a meter opens or closes; it knows no request and no answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from token_meter.context.stack import ATTEMPT, CALLBACKS, METER, SUPPRESSED

if TYPE_CHECKING:
    from token_meter._meter.block import Meter
    from token_meter._meter.limits import MeterBudget
    from token_meter._meter.sink import Sink
    from token_meter.events.subscriber import Subscriber


class CallScope:
    """The meaning of one stack.

    Attributes:
        meters: the open meters, those of the process first, then outermost first.
        closed_meters: meters of the context that have closed.
        subscribers: the handlers of blocks and requests, in the order in which they are told.
        is_suppressed: handlers are at work: none is told of this call.
        budgets: the limits over the call, outermost first.
        tags: the labels of all meters.
        keeps_calls: somebody will look at the single call.
        stream_usage: somebody wants streams to be asked for their usage.
        allows_deferral: nobody needs a finished call before a number is read.
        sinks: who takes single calls.
    """

    __slots__ = (
        "allows_deferral",
        "budgets",
        "closed_meters",
        "is_suppressed",
        "keeps_calls",
        "meters",
        "sinks",
        "stream_usage",
        "subscribers",
        "tags",
    )  # fmt: skip

    def __init__(self, stack: tuple[Any, ...], process: tuple[Meter, ...]) -> None:
        meters: list[Meter] = list(process)
        late: list[Meter] = []
        subscribers: list[Subscriber] = [subscriber for meter in process for subscriber in meter.subscribers]
        self.is_suppressed = False
        for entry in stack:
            if entry.kind == METER:
                if not entry.is_open:
                    if entry not in late:  # a meter that was entered twice stands there twice
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
        self.budgets: tuple[MeterBudget, ...] = tuple(m.budget for m in meters if m.budget is not None)
        self.tags: tuple[str, ...] = tuple(dict.fromkeys(tag for meter in meters for tag in meter.tags))
        self.sinks: tuple[Sink, ...] = tuple(dict.fromkeys(m.sink for m in meters if m.sink is not None))
        self.keeps_calls = bool(self.sinks) or any(meter.keeps_calls for meter in meters)
        self.allows_deferral = all(meter.allows_deferral for meter in meters)
        self.stream_usage = any(meter.stream_usage for meter in meters)


def base_of(stack: tuple[Any, ...]) -> tuple[Any, ...]:
    """The stack without the entries that stand for calls under way."""
    return tuple(entry for entry in stack if entry.kind < ATTEMPT)
