"""Background responses and runs: what waits for its end, and the later look that shows it. No meter is known."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from token_meter._meter._chain import FLIGHT
from token_meter._wire import read_body
from token_meter.types import Source

if TYPE_CHECKING:
    from token_meter._meter._ending import Ending
    from token_meter._meter._hub import Hub

_LIMIT = 10_000


class Parking(OrderedDict[tuple[str, str], "Ending"]):
    """Background responses and runs under way, by base URL and id; bounded, the oldest goes."""

    def park(self, flight: Ending, response_id: str) -> None:
        """Remember *flight* until a later request shows its end."""
        key = flight.place.base_url, response_id
        before, self[key] = self.get(key), flight
        if before is not None and before is not flight:  # a gateway that gives an id twice
            before.unpark()
        if len(self) > _LIMIT:
            _, oldest = self.popitem(last=False)
            oldest.unpark()

    def give_up(self) -> None:
        """Wait for none of them any longer."""
        while self:
            self.popitem()[1].unpark()


class Return:
    """A later look at a background response (a `Watch`): it counts for the call that started it, once, at its end."""

    kind = FLIGHT
    wants_body = False
    is_local = False
    stand_in: Source | None = None
    inner = instead = sieve = None

    def __init__(self, hub: Hub, parked: Ending, response_id: str) -> None:
        self._hub = hub
        self._flight = parked
        self._id = response_id
        self._chunks: list[bytes] = []

    def respond(self, status: int, content_type: str, *, streamed: bool) -> None:
        self.wants_body = 200 <= status < 300

    def body(self, data: bytes) -> None:
        if not self.wants_body:
            return
        try:
            reading = read_body(self._flight.place.route.flavour, data)
            if reading.usage is None and reading.status in (None, "pending"):
                return
            flight = self._hub.parked.pop((self._flight.place.base_url, self._id), None)  # once
            if flight is not None:
                flight.resume(reading)
        except Exception:
            self._hub.internal_error("return")

    def feed(self, chunk: bytes) -> None:
        self._chunks.append(chunk)

    def exhausted(self) -> None:
        chunks, self._chunks = self._chunks, []
        if chunks:
            self.body(b"".join(chunks))

    closed = abandoned = exhausted

    def failed(self, error: BaseException, *, was_sent: bool) -> None:
        self.exhausted()

    @property
    def has_news(self) -> bool:
        """Whether the call that this is a look at has ended, and handlers wait to be told."""
        return self._flight.has_news

    def tell(self) -> None:
        self._flight.tell()

    async def atell(self) -> None:
        await self._flight.atell()


def response_id(request: Any) -> str:
    """The id in `/responses/{id}`, `/responses/{id}/cancel` and `/threads/{id}/runs/{id}/submit_tool_outputs`."""
    parts: list[str] = request.url.path.rstrip("/").split("/")
    return parts[-2] if parts[-1] in ("cancel", "submit_tool_outputs") else parts[-1]
