"""Says what a meter does not see: to its sink, and by a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from token_meter._failures import internal_error
from token_meter._warn import tell_user
from token_meter.blind_spots import BlindSpot
from token_meter.exceptions import BlindSpotWarning

if TYPE_CHECKING:
    from token_meter.context.ports import Sink


ELSEWHERE = BlindSpot(
    "a block left in another context",
    "the block was left in another context (thread, task or `copy_context()`) than it was entered in, so calls in "
    "between may not have been its own",
    "Enter and leave it in one place: `async def` instead of `def` for a FastAPI dependency with `yield`, "
    "`with meter()` inside of the function that makes the calls, or meter(scope='process')",
)


class Noting(Protocol):
    """A meter that has found a blind spot."""

    sink: Sink | None
    is_quiet: bool


told: set[str] = set()
"""What this process was told that concerns all its meters alike: an SDK, a transport."""


def note(meter: Noting, spot: BlindSpot, *, once: bool) -> None:
    """Tell of a blind spot that the meter has found. Never raises."""
    tell = getattr(meter.sink, "on_blind_spot", None)
    if tell is not None:
        try:
            tell(spot)
        except Exception:
            internal_error("sink")
    if meter.is_quiet or (once and spot.what in told):
        return
    if once:
        told.add(spot.what)
    tell_user(f"token_meter does not see all calls. {spot}", BlindSpotWarning)
