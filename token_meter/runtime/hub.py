"""Who is listening: finds the meters of each departing request. It knows no sums and no bytes."""

from __future__ import annotations

import atexit
import itertools
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from token_meter._fork import in_child
from token_meter._meter.attach import ATTACHED, attached_to, inherit
from token_meter.budget.admission import REFUSALS, AdmissionController, CallTicket
from token_meter.call.attempt import Attempt
from token_meter.call.background import BackgroundCalls, BackgroundPoll, response_id
from token_meter.context.endpoint import Endpoint, EndpointCache
from token_meter.context.scope import CallScope, base_of
from token_meter.context.stack import ATTEMPT, CONTEXT_STACK, TICKET
from token_meter.context.threads import ThreadSeam
from token_meter.transports.client_copies import CopySeam
from token_meter.transports.gates import GateSeam
from token_meter.transports.httpx import HttpSeam
from token_meter.transports.ports import ObservedAttempt
from token_meter.transports.vcr import CassetteSeam
from token_meter.transports.websocket_clients import OpenerSeam
from token_meter.transports.websockets import WebSocketSeam

if TYPE_CHECKING:
    from token_meter._meter.block import Meter
    from token_meter.call.lifecycle import AttemptLifecycle
    from token_meter.events.dispatcher import EventDispatcher
    from token_meter.transports.websockets import Line

logger = logging.getLogger("token_meter")

_SCOPES_LIMIT = 256


class Hub:
    """The runtime of all seams; one a process.

    Attributes:
        internal_errors: failures of ours by place; each cost a count at most, never a call.
        late: events of calls that ended in the garbage collector, where no handler can be told.
        background: background responses and runs whose end a later request will show.
        refuses_usage: base URLs that turned down a stream which asked for its usage.
    """

    def __init__(self) -> None:
        self.internal_errors: dict[str, int] = {}
        self.late: deque[EventDispatcher] = deque()
        self._lock = threading.RLock()
        self._open_meters = 0
        self._subscriber_count = 0
        self._process: tuple[Meter, ...] = ()
        self._scopes: dict[tuple[Any, ...], CallScope] = {}
        self._unattributed = itertools.count()
        self._unattributed_seen = 0
        self.background = BackgroundCalls()
        self._endpoints = EndpointCache()
        self._admission = AdmissionController(self)
        self._gate = GateSeam(CONTEXT_STACK, self, self._admission)
        self._http = HttpSeam(CONTEXT_STACK, self)
        self._sockets = WebSocketSeam(CONTEXT_STACK, self, _connect)
        self._openers = OpenerSeam(CONTEXT_STACK, self)
        self._threads = ThreadSeam(CONTEXT_STACK)
        self._copies = CopySeam(self, inherit)
        self._cassettes = CassetteSeam(CONTEXT_STACK, self, _replayed)
        self._installed = False
        self.refuses_usage: set[str] = set()
        in_child(self._after_fork)
        atexit.register(self.dispatch_late)

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
                self._scopes = {}
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
            self.release()
            if meter.scope == "process":
                self._process = tuple(m for m in self._process if m is not meter)
                self._scopes = {}
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
            if self._subscriber_count == 0 or not self._installed:
                self._threads.install()
            self._installed = True
            self._subscriber_count += 1
            self._scopes = {}

    def release(self) -> None:
        """Somebody who listened is gone."""
        with self._lock:
            self._subscriber_count -= 1
            self._scopes = {}
            if self._subscriber_count == 0:
                self._threads.uninstall()

    def dispatch_late(self) -> None:
        """Tell handlers of calls that ended where nobody could be told; called at the next occasion."""
        while self.late:
            self.late.popleft().dispatch_late()

    def watch_copies(self, cls: type) -> None:
        """What is attached to a client of *cls* is attached to its copies too."""
        self._copies.attempt(cls)

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
            self.background.expire_all()
            self.refuses_usage.clear()

    @property
    def unattributed(self) -> int:
        """Calls that ran in no meter while some meter was open."""
        return self._unattributed_seen

    # What the seams ask.

    @property
    def is_listening(self) -> bool:
        """Whether a request outside every block is of interest too: to somebody, or as the end of a background call."""
        return self._subscriber_count > 0 or bool(self.background)

    def on_request(self, request: Any, client: Any) -> ObservedAttempt | None:
        """Decide who hears of *request*; `None` when nobody does."""
        try:
            return self._on_request(request, client)
        except REFUSALS:
            raise
        except Exception:
            self.internal_error("depart")
            return None

    def _on_request(self, request: Any, client: Any) -> ObservedAttempt | None:
        endpoint = self.endpoint_of(request)
        if endpoint is None:
            return None
        if endpoint.route.action == "retrieve":
            background = self.background and self.background.get((endpoint.base_url, response_id(request)))
            return BackgroundPoll(self, background, response_id(request)) if background else None
        stack = CONTEXT_STACK.get()
        outer: Attempt | None = None
        ticket: CallTicket | None = None
        call_scope = self._scopes.get(stack)
        if call_scope is None:
            for entry in stack:
                if entry.kind == ATTEMPT:
                    outer, ticket = entry, None
                elif entry.kind == TICKET:
                    ticket = entry
            call_scope = self.scope_of(stack)
        for meter in call_scope.closed_meters:
            meter.count_late_call()
        subscribers = call_scope.subscribers
        if ATTACHED and not call_scope.is_suppressed:
            subscribers = (*attached_to(ticket.client if ticket is not None else None, client), *subscribers)
        if not call_scope.meters:
            if self._open_meters:
                self._unattributed_seen = next(self._unattributed) + 1
            if not subscribers:
                return None
        attempt = Attempt(self, endpoint, request, client, call_scope, outer)
        if ticket is not None or call_scope.budgets:
            attempt.ticket = self._admission.on_request(
                endpoint, lambda: self.request_body(request), ticket, call_scope.budgets
            )
        if call_scope.sinks:
            attempt.record_start()
        try:
            if subscribers:
                attempt.listen(subscribers)
            if call_scope.stream_usage:
                attempt.request_with_usage()
        except Exception:
            attempt.dismiss()  # or its reservation would stay
            raise
        return attempt

    def scope_of(self, stack: tuple[Any, ...]) -> CallScope:
        """What *stack* means for a call; kept until somebody starts or stops to listen."""
        scopes = (
            self._scopes
        )  # whoever starts or stops to listen meanwhile puts another there, which stays clean of this
        call_scope = scopes.get(stack)  # most stacks are their own base
        if call_scope is not None:
            return call_scope
        base = base_of(stack)
        call_scope = scopes.get(base)
        if call_scope is None:
            call_scope = CallScope(base, self._process)
            if len(scopes) >= _SCOPES_LIMIT:
                scopes.clear()
            scopes[base] = call_scope
        return call_scope

    def internal_error(self, where: str) -> None:
        """Count a failure of ours; log it once per place, without its text, which may quote a body."""
        count = self.internal_errors.get(where, 0)
        self.internal_errors[where] = count + 1
        if count == 0:
            import sys

            kind = sys.exc_info()[0]
            logger.warning("token_meter: internal error in %s (%s); the call itself is untouched", where, kind)

    def endpoint_of(self, request: Any) -> Endpoint | None:
        """What the URL of *request* says; `None` when it is none of ours."""
        url = request.url
        return self._endpoints[request.method, url.scheme, url.host, url.port, url.path]

    # What an attempt asks.

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

    @staticmethod
    def source_of(attempt: AttemptLifecycle) -> Any:
        """Whether a server answered, or something on this machine that stands for one."""
        if attempt.is_replay:
            return "replay"
        if attempt.endpoint.is_loopback:
            return "mock"
        transport = getattr(attempt.client, "_transport", None)
        return "mock" if type(transport).__name__ in ("MockTransport", "ASGITransport", "WSGITransport") else "live"

    def _after_fork(self) -> None:
        self._lock = threading.RLock()


def _replayed(entry: Any) -> None:
    """The answer to the call that is *entry* comes from a cassette."""
    if isinstance(entry, Attempt):
        entry.is_replay = True


def _connect(url: Any, connection: Any) -> Line:
    """What passes a websocket connection; the few programs that have one load what it takes."""
    from token_meter.call.websocket import Connection

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
