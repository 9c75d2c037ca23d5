"""Who is listening: finds the meters of each departing request. It knows no sums and no bytes."""

from __future__ import annotations

import atexit
import itertools
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from token_meter._forks import in_child
from token_meter._meter._attach import ATTACHED, attached_to, inherit
from token_meter._meter._chain import CHAIN, FLIGHT, GATE
from token_meter._meter._flight import Flight
from token_meter._meter._gatekeeper import REFUSALS, Gate, Gatekeeper
from token_meter._meter._places import Place, Places
from token_meter._meter._plan import Plan, base_of
from token_meter._meter._return import Parking, Return, response_id
from token_meter._seams._cassettes import CassetteSeam
from token_meter._seams._copies import CopySeam
from token_meter._seams._gate import GateSeam
from token_meter._seams._http import HttpSeam
from token_meter._seams._observer import Watch
from token_meter._seams._openers import OpenerSeam
from token_meter._seams._threads import ThreadSeam
from token_meter._seams._websocket import WebSocketSeam

if TYPE_CHECKING:
    from token_meter._meter._meter import Meter
    from token_meter._meter._news import News
    from token_meter._seams._websocket import Line

logger = logging.getLogger("token_meter")

_PLANS_LIMIT = 256


class Hub:
    """The observer of all seams; one a process.

    Attributes:
        internal_errors: failures of ours by place; each cost a count at most, never a call.
        late: news of calls that ended in the garbage collector, where no handler can be told.
        parked: background responses and runs whose end a later request will show.
        refuses_usage: base URLs that turned down a stream which asked for its usage.
    """

    def __init__(self) -> None:
        self.internal_errors: dict[str, int] = {}
        self.late: deque[News] = deque()
        self._lock = threading.RLock()
        self._open_meters = 0
        self._audience = 0
        self._process: tuple[Meter, ...] = ()
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self._unattributed = itertools.count()
        self._unattributed_seen = 0
        self.parked = Parking()
        self._places = Places()
        self._gatekeeper = Gatekeeper(self)
        self._gate = GateSeam(CHAIN, self, self._gatekeeper)
        self._http = HttpSeam(CHAIN, self)
        self._sockets = WebSocketSeam(CHAIN, self, _connect)
        self._openers = OpenerSeam(CHAIN, self)
        self._threads = ThreadSeam(CHAIN)
        self._copies = CopySeam(self, inherit)
        self._cassettes = CassetteSeam(CHAIN, self, _replayed)
        self._installed = False
        self.refuses_usage: set[str] = set()
        in_child(self._after_fork)
        atexit.register(self.tell_late)

    # Meters come and go.

    def open(self, meter: Meter) -> None:
        """Somebody enters a meter: the first one opens it."""
        with self._lock:  # one meter may be entered by several threads at once
            if meter.depth == 0:
                self.listen()
                meter.is_open = True
                self._open_meters += 1
                if meter.scope == "process":
                    self._process = (*self._process, meter)
                self._plans = {}
            meter.depth += 1

    def close(self, meter: Meter) -> bool:
        """Somebody leaves a meter: the last one closes it, and hears so. After the last meter threads are as before."""
        with self._lock:
            if meter.depth:
                meter.depth -= 1
            if meter.depth or not meter.is_open:
                return False
            meter.is_open = False
            self._open_meters -= 1
            self.hush()
            if meter.scope == "process":
                self._process = tuple(m for m in self._process if m is not meter)
                self._plans = {}
            return True

    def listen(self) -> None:
        """Somebody, a meter or a handler, wants to hear of calls: install the seams, once."""
        with self._lock:
            if not self._installed:
                self._http.install()
                self._gate.install()
                self._sockets.install()
                self._openers.install()
                self._copies.install()
                self._cassettes.install()
            if self._audience == 0 or not self._installed:
                self._threads.install()
            self._installed = True
            self._audience += 1
            self._plans = {}

    def hush(self) -> None:
        """Somebody who listened is gone."""
        with self._lock:
            self._audience -= 1
            self._plans = {}
            if self._audience == 0:
                self._threads.uninstall()

    def tell_late(self) -> None:
        """Tell handlers of calls that ended where nobody could be told; called at the next occasion."""
        while self.late:
            self.late.popleft().tell_late()

    def watch_copies(self, cls: type) -> None:
        """What is attached to a client of *cls* is attached to its copies too."""
        self._copies.watch(cls)

    def uninstall(self) -> None:
        """Put back every function that we patched and nobody patched after us. The next meter installs again."""
        with self._lock:
            self._http.uninstall()
            self._gate.uninstall()
            self._sockets.uninstall()
            self._openers.uninstall()
            self._copies.uninstall()
            self._cassettes.uninstall()
            self._threads.uninstall()
            self._installed = False
            self.parked.give_up()
            self.refuses_usage.clear()

    @property
    def unattributed(self) -> int:
        """Calls that ran in no meter while some meter was open."""
        return self._unattributed_seen

    # What the seams ask.

    @property
    def is_listening(self) -> bool:
        """Whether a request outside every block is of interest too: to somebody, or as the end of what is parked."""
        return self._audience > 0 or bool(self.parked)

    def depart(self, request: Any, client: Any) -> Watch | None:
        """Decide who hears of *request*; `None` when nobody does."""
        try:
            return self._depart(request, client)
        except REFUSALS:
            raise
        except Exception:
            self.internal_error("depart")
            return None

    def _depart(self, request: Any, client: Any) -> Watch | None:
        place = self.place_of(request)
        if place is None:
            return None
        if place.route.action == "retrieve":
            parked = self.parked and self.parked.get((place.base_url, response_id(request)))
            return Return(self, parked, response_id(request)) if parked else None
        chain = CHAIN.get()
        outer: Flight | None = None
        gate: Gate | None = None
        plan = self._plans.get(chain)
        if plan is None:
            for entry in chain:
                if entry.kind == FLIGHT:
                    outer, gate = entry, None
                elif entry.kind == GATE:
                    gate = entry
            plan = self.plan_of(chain)
        for meter in plan.late:
            meter.came_late()
        heard = plan.heard
        if ATTACHED and not plan.is_muted:
            heard = (*attached_to(gate.client if gate is not None else None, client), *heard)
        if not plan.meters:
            if self._open_meters:
                self._unattributed_seen = next(self._unattributed) + 1
            if not heard:
                return None
        flight = Flight(self, place, request, client, plan, outer)
        if gate is not None or plan.budgets:
            flight.gate = self._gatekeeper.depart(place, lambda: self.request_body(request), gate, plan.budgets)
        if plan.sinks:
            flight.enrol()
        try:
            if heard:
                flight.listen(heard)
            if plan.exact_streams:
                flight.ask_for_usage()
        except Exception:
            flight.dismiss()  # or its reservation would stay
            raise
        return flight

    def plan_of(self, chain: tuple[Any, ...]) -> Plan:
        """What *chain* means for a call; kept until somebody starts or stops to listen."""
        plans = self._plans  # whoever starts or stops to listen meanwhile puts another there, which stays clean of this
        plan = plans.get(chain)  # most chains are their own base
        if plan is not None:
            return plan
        base = base_of(chain)
        plan = plans.get(base)
        if plan is None:
            plan = Plan(base, self._process)
            if len(plans) >= _PLANS_LIMIT:
                plans.clear()
            plans[base] = plan
        return plan

    def internal_error(self, where: str) -> None:
        """Count a failure of ours; log it once per place, without its text, which may quote a body."""
        count = self.internal_errors.get(where, 0)
        self.internal_errors[where] = count + 1
        if count == 0:
            import sys

            kind = sys.exc_info()[0]
            logger.warning("token_meter: internal error in %s (%s); the call itself is untouched", where, kind)

    def place_of(self, request: Any) -> Place | None:
        """What the URL of *request* says; `None` when it is none of ours."""
        url = request.url
        return self._places[request.method, url.scheme, url.host, url.port, url.path]

    # What a flight asks.

    @staticmethod
    def request_body(request: Any) -> bytes:
        """The request's bytes, as far as they are in memory; of a form, its fields."""
        try:
            content: bytes = request.content
            return content
        except Exception:  # httpx raises RequestNotRead for a form, which is streamed
            return _form_fields(request)

    @staticmethod
    def attempt_of(request: Any) -> int:
        """Which try of the SDK this is."""
        count = request.headers.get("x-stainless-retry-count", "0") if request is not None else "0"
        return int(count) if count.isascii() and count.isdigit() else 0

    def _after_fork(self) -> None:
        self._lock = threading.RLock()


def _replayed(entry: Any) -> None:
    """The answer to the call that is *entry* comes from a cassette."""
    if isinstance(entry, Flight):
        entry.is_replay = True


def _connect(url: Any, connection: Any) -> Line:
    """What passes a websocket connection; the few programs that have one load what it takes."""
    from token_meter._meter._sockets import Connection

    return Connection(HUB, url, HUB._openers.client_of(connection))


def _form_fields(request: Any) -> bytes:
    """The short text fields of a form as JSON: a transcription's model stands only there."""
    import json

    try:
        fields = {
            field.name: field.value
            for field in request.stream.fields
            if isinstance(getattr(field, "value", None), str) and len(field.value) < 200
        }
    except AttributeError:
        return b""
    return json.dumps(fields).encode()


HUB = Hub()
