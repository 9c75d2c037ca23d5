"""SDKs that are imported and that no seam reaches. It looks when a meter opens, closes or is read, never at a call."""

from __future__ import annotations

import sys

from token_meter.blind_spots import BlindSpot
from token_meter.providers.unseen import UNSEEN_SDKS, UnseenSdk
from token_meter.transports.watched import PLACED


class UnseenSdks:
    """The blind spots of this process that an import makes."""

    def __init__(self) -> None:
        self._found: dict[str, BlindSpot] = {}
        self._size = 0

    def look(self) -> tuple[BlindSpot, ...]:
        """All that are there now; the table is asked only when a module was imported since."""
        if len(sys.modules) != self._size:
            self._size = len(sys.modules)
            self._found = {sdk.module: _spot(sdk) for sdk in UNSEEN_SDKS if _is_unseen(sdk)}
        return tuple(self._found.values())

    def forget(self) -> None:
        """Look again, because what is watched has changed."""
        self._size = 0


def _is_unseen(sdk: UnseenSdk) -> bool:
    if sdk.module not in sys.modules:
        return False
    watched = [carrier in PLACED for carrier in sdk.carriers if carrier in sys.modules]
    return not all(watched) or not (watched or sdk.has_seen_ways)


def _spot(sdk: UnseenSdk) -> BlindSpot:
    name = sdk.module
    return BlindSpot(
        name,
        f"{name} is imported, and token_meter cannot see its calls",
        "Count them by cb.record(...), or call the provider through an SDK that uses httpx",
    )


UNSEEN = UnseenSdks()
