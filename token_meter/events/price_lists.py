"""Loads price lists while the event loop goes on, before handlers are told of calls with their prices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from token_meter._aside import aside
from token_meter._defaults import slow_part
from token_meter._failures import internal_error

if TYPE_CHECKING:
    from token_meter.context.ports import Recipient
    from token_meter.types import Call


async def load_for(meter: Recipient | None, calls: Iterable[Call]) -> None:
    """Load what the prices of *calls* by *meter*, or by the default book, take. Only a cancellation is raised."""
    try:
        for call in calls:
            loads = slow_part(None, call) if meter is None else meter.slow_part(call)
            if loads is not None:
                await aside(loads)
    except Exception:
        internal_error("price for a handler")
