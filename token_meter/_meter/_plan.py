"""What a chain of entries means for a call that departs now: who counts it, who is told, which limits hold.

Worked out once for a chain and kept until a meter opens or closes; it knows no request and no answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from token_meter._meter._chain import CALLBACKS, FLIGHT, METER, MUTED

if TYPE_CHECKING:
    from token_meter._meter._limits import MeterBudget
    from token_meter._meter._listener import Listener
    from token_meter._meter._meter import Meter
    from token_meter._meter._sink import Sink


class Plan:
    """The meaning of one chain.

    Attributes:
        meters: the open meters, those of the process first, then outermost first.
        late: meters of the context that have closed.
        heard: the handlers of blocks and requests, in the order in which they are told.
        is_muted: handlers are at work: none is told of this call.
        budgets: the limits over the call, outermost first.
        tags: the labels of all meters.
        keeps_calls: somebody will look at the single call.
        exact_streams: somebody wants streams to be asked for their usage.
        can_wait: nobody needs a finished call before a number is read.
        sinks: who takes single calls.
    """

    __slots__ = (
        "budgets", "can_wait", "exact_streams", "heard", "is_muted", "keeps_calls", "late", "meters", "sinks", "tags",
    )  # fmt: skip

    def __init__(self, chain: tuple[Any, ...], process: tuple[Meter, ...]) -> None:
        meters: list[Meter] = list(process)
        late: list[Meter] = []
        heard: list[Listener] = [listener for meter in process for listener in meter.listeners]
        self.is_muted = False
        for entry in chain:
            if entry.kind == METER:
                if not entry.is_open:
                    if entry not in late:  # a meter that was entered twice stands there twice
                        late.append(entry)
                elif entry not in meters:
                    meters.append(entry)
                    heard += entry.listeners
            elif entry.kind == CALLBACKS:
                if entry.is_open:
                    heard += entry.listeners
            elif entry.kind == MUTED:
                self.is_muted = True
        self.meters = tuple(meters)
        self.late = tuple(late)
        self.heard = () if self.is_muted else tuple(heard)
        self.budgets: tuple[MeterBudget, ...] = tuple(m.budget for m in meters if m.budget is not None)
        self.tags: tuple[str, ...] = tuple(dict.fromkeys(tag for meter in meters for tag in meter.tags))
        self.sinks: tuple[Sink, ...] = tuple(dict.fromkeys(m.sink for m in meters if m.sink is not None))
        self.keeps_calls = bool(self.sinks) or any(meter.keeps_calls for meter in meters)
        self.can_wait = all(meter.can_wait for meter in meters)
        self.exact_streams = any(meter.exact_streams for meter in meters)


def base_of(chain: tuple[Any, ...]) -> tuple[Any, ...]:
    """The chain without the entries that stand for calls under way."""
    return tuple(entry for entry in chain if entry.kind < FLIGHT)
