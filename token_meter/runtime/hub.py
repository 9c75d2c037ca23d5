"""Who listens: what is patched while a meter or a handler does, and the meters of each request that leaves."""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING, Any

from token_meter import _failures
from token_meter._fork import in_child
from token_meter.budget.admission import REFUSALS, AdmissionController, CallTicket, limits_of
from token_meter.call.attempt import REFUSES_USAGE, Attempt
from token_meter.call.background import BACKGROUND
from token_meter.call.jobs import NewJob, later_look
from token_meter.context.children import ChildSeam
from token_meter.context.endpoint import ENDPOINTS
from token_meter.context.greenlets import GreenletSeam
from token_meter.context.pools import ThreadPoolSeam
from token_meter.context.registry import CLIENTS
from token_meter.context.scope import SCOPES
from token_meter.context.stack import ATTEMPT, CONTEXT_STACK, TICKET
from token_meter.context.threads import ThreadSeam
from token_meter.context.unseen import UNSEEN
from token_meter.events.dispatcher import dispatch_late
from token_meter.providers import PROVIDERS
from token_meter.runtime import forks  # noqa: F401  # it waits for forks
from token_meter.runtime.blind import child_started, missed, not_read
from token_meter.runtime.rows import carriers, is_signed
from token_meter.transports.client_copies import CopySeam
from token_meter.transports.gates import GateSeam
from token_meter.transports.httpx import HttpSeam
from token_meter.transports.ports import ObservedAttempt, OutgoingRequest
from token_meter.transports.vcr import CassetteSeam
from token_meter.transports.watched import WatchSeam
from token_meter.transports.websocket_clients import OpenerSeam
from token_meter.transports.websockets import WebSocketSeam

if TYPE_CHECKING:
    from token_meter.context.ports import Recipient
    from token_meter.transports.module_seam import ModuleSeam
    from token_meter.transports.websockets import Line


class Hub:
    """The runtime of all transports; one a process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._subscriber_count = 0
        self._admission = AdmissionController()
        self.slow_part = self._admission.slow_part
        self._http = HttpSeam(CONTEXT_STACK, self)
        self._carriers = carriers(self)
        self._gate = self._gates()
        self._sockets = WebSocketSeam(CONTEXT_STACK, self, _connect)
        self._openers = OpenerSeam(CONTEXT_STACK, self)
        self._threads = ThreadSeam(CONTEXT_STACK)
        self._greenlets = GreenletSeam(CONTEXT_STACK, self)
        self._pools = ThreadPoolSeam(CONTEXT_STACK, self)
        self._copies = CopySeam(self, CLIENTS.inherit)
        self._cassettes = CassetteSeam(CONTEXT_STACK, self, _replayed)
        self._watches = WatchSeam(CONTEXT_STACK, self, not_read, ATTEMPT)
        self._children = ChildSeam(CONTEXT_STACK, self, child_started)
        self._installed = False
        in_child(self._after_fork)
        atexit.register(dispatch_late)

    # Meters come and go.

    def open(self, meter: Recipient) -> None:
        """Enter a meter; the first entry opens it."""
        with self._lock:  # one meter may be entered by several threads at once
            if meter.depth == 0:
                self.acquire()
                meter.is_open = True
                SCOPES.opened(meter)
            meter.depth += 1

    def close(self, meter: Recipient) -> bool:
        """Leave a meter; return whether this closed it. After the last meter threads are as before."""
        with self._lock:
            if meter.depth:
                meter.depth -= 1
            if meter.depth or not meter.is_open:
                return False
            meter.is_open = False
            self.release()
            SCOPES.closed(meter)
            return True

    def acquire(self) -> None:
        """Add one subscriber, a meter or a handler; the first one installs what is patched."""
        with self._lock:
            if not self._installed:
                for seam in self._seams():
                    seam.install()
                UNSEEN.forget()
            if self._subscriber_count == 0 or not self._installed:
                self._threads.install()
            self._installed = True
            self._subscriber_count += 1
            SCOPES.forget()

    def release(self) -> None:
        """Drop one subscriber; without any, threads are as before."""
        with self._lock:
            self._subscriber_count -= 1
            SCOPES.forget()
            if self._subscriber_count == 0:
                self._threads.uninstall()

    def watch_copies(self, cls: type) -> None:
        """Attach what is attached to a client of *cls* to its copies too."""
        self._copies.watch(cls)

    def uninstall(self) -> None:
        """Put back every function that we patched and that was not patched after us. The next meter installs again."""
        with self._lock:
            for seam in self._seams():
                seam.uninstall()
            self._threads.uninstall()
            self._installed = False
            BACKGROUND.expire_all()
            REFUSES_USAGE.clear()

    def providers_changed(self) -> None:
        """Patch the gates of a provider that was registered."""
        with self._lock:
            self._gate.uninstall()
            self._gate = self._gates()
            if self._installed:
                self._gate.install()

    def _seams(self) -> tuple[ModuleSeam | CopySeam, ...]:
        return (
            self._http, *self._carriers, self._gate, self._sockets, self._openers, self._copies, self._cassettes,
            self._watches, self._children, self._greenlets, self._pools,
        )  # fmt: skip

    def _gates(self) -> GateSeam:
        rows = (gate for provider in PROVIDERS.providers.values() for gate in provider.gates)
        return GateSeam(CONTEXT_STACK, self, self._admission, rows, missed)

    # What the transports ask.

    @property
    def is_listening(self) -> bool:
        """Whether a request outside every block matters: to a subscriber, or as the end of a background call."""
        return self._subscriber_count > 0 or bool(BACKGROUND)

    def on_request(self, request: OutgoingRequest) -> ObservedAttempt | None:
        """Decide which meters count *request*; `None` when none does."""
        try:
            return self._on_request(request)
        except REFUSALS:
            raise
        except Exception:
            self.internal_error("depart")
            return None

    def _on_request(self, request: OutgoingRequest) -> ObservedAttempt | None:
        endpoint = ENDPOINTS[request.key]
        if endpoint is None or endpoint.route.action == "retrieve":
            return None if endpoint is None else later_look(endpoint, request)
        stack = CONTEXT_STACK.get()
        outer: Attempt | None = None
        ticket: CallTicket | None = None
        scope = SCOPES.get(stack)
        if scope is None:
            for entry in stack:
                if entry.kind == ATTEMPT:
                    outer, ticket = entry, None
                elif entry.kind == TICKET:
                    ticket = entry
            scope = SCOPES.of(stack)
        if endpoint.needs_sign and not is_signed(endpoint, request, scope):
            if ticket is not None:
                ticket.was_seen = True
            return Attempt.unsigned(endpoint, request, scope, outer) if scope.meters else None
        for meter in scope.closed_meters:
            meter.count_late_call()
        subscribers = scope.subscribers
        if CLIENTS and not scope.is_suppressed:
            subscribers = (*CLIENTS.attached_to(ticket and ticket.client, request.client), *subscribers)
        if not scope.meters:
            SCOPES.count_unattributed()
            if not subscribers:
                return None
        attempt = (Attempt if endpoint.route.api.job is None else NewJob)(endpoint, request, scope, outer)
        if ticket is not None or scope.budgets:
            attempt.ticket = self._admission.on_request(endpoint, request.body, ticket, limits_of(scope))
            attempt.retries = 0 if attempt.ticket is None else attempt.ticket.retries
        if scope.sinks:
            attempt.record_start()
        try:
            if subscribers:
                attempt.listen(subscribers)
            if scope.stream_usage:
                attempt.request_with_usage()
        except Exception:
            attempt.dismiss()  # or its reservation would stay
            raise
        return attempt

    @property
    def internal_errors(self) -> dict[str, int]:
        """Failures of ours by place; each cost a count at most, never a call."""
        return _failures.internal_errors

    internal_error = staticmethod(_failures.internal_error)
    dispatch_late = staticmethod(dispatch_late)

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


HUB = Hub()
CLIENTS.acquire, CLIENTS.release = HUB.acquire, HUB.release
PROVIDERS.changed.append(HUB.providers_changed)
