"""Calls handlers with the events of one call, in order, in the caller's task or thread.

An attempt adds events. The transport dispatches them where handlers may run: at the start, before a chunk is passed to
its reader, and at the end. Events of a call that ends in the garbage collector are dispatched with the next call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from token_meter._aside import is_on_loop
from token_meter._defaults import default_book
from token_meter._failures import internal_error
from token_meter.context.stack import CONTEXT_STACK, SUPPRESSED, push, remove
from token_meter.context.subscriber import CHAT_START, END, ERROR, SLOW_S, START, TOKEN, Subscriber, logger
from token_meter.events.helper_loop import LOOP
from token_meter.events.price_lists import load_for
from token_meter.events.prompts import messages_of, prompts_of
from token_meter.exceptions import LLMCallError
from token_meter.types import Answer, Call
from token_meter.wire import DeltaReader

if TYPE_CHECKING:
    from token_meter.events.ports import ToldAttempt

_DEFERRED = "deferred"
"""Names the event of a handler's exception, which is raised after a paid answer has been delivered."""


class _Suppressed:
    """An entry of the context while handlers run. Their own calls are metered, but call no handlers."""

    kind = SUPPRESSED


_SUPPRESSED = _Suppressed()


class _Event(NamedTuple):
    """One event; `what` is the handler's first argument, or, for a start, the only subscriber that gets it."""

    name: str
    what: Any = None
    keywords: dict[str, Any] | None = None


_Telling: TypeAlias = tuple[Subscriber, str, tuple[Any, ...], dict[str, Any]]
"""A subscriber, the method to call, its arguments and keywords."""


class EventDispatcher:
    """The events of one attempt, and their subscribers.

    Attributes:
        run_id: the id of the call's record.
        pending: events that have not been dispatched yet.
        delivering: a chunk is passed to its reader as soon as the handlers have run.
    """

    __slots__ = (
        "_attempt", "_deltas", "_is_repeated", "_is_starting", "_is_telling", "_meter", "_model", "_subscribers",
        "_tags", "_ticket", "delivering", "pending", "run_id",
    )  # fmt: skip

    def __init__(self, attempt: ToldAttempt, subscribers: tuple[Subscriber, ...], ticket: Any, run_id: str) -> None:
        self.run_id = run_id
        self.delivering = False
        self.pending: deque[_Event] = deque()
        self._attempt: ToldAttempt | None = attempt
        self._subscribers = subscribers
        self._ticket = ticket
        self._meter = attempt.meters[-1] if attempt.meters else None
        self._model = attempt.endpoint.route.model or attempt.request_says().model
        self._tags = attempt.tags
        self._is_telling = False
        self._deltas: DeltaReader | None = None
        if any(subscriber.wants_tokens for subscriber in subscribers):
            self._deltas = DeltaReader(attempt.endpoint.route.api.format)
        deferred_error = ticket.deferred if ticket is not None else None
        self._is_starting = True
        # A deferred exception means that this is the SDK's retry: its caller gets the exception, not the answer.
        self._is_repeated = deferred_error is not None
        self.pending.append(_Event(_DEFERRED, deferred_error) if deferred_error is not None else _Event(START))

    # Called by the attempt.

    def passed(self, chunk: bytes) -> None:
        """Add the text of a chunk. The chunk is passed to its reader after the handlers have run."""
        if self._deltas is not None:
            try:
                self.pending.extend(_Event(TOKEN, delta) for delta in self._deltas.feed(chunk))
            except Exception:
                self._deltas = None
                internal_error("tokens")

    def ended(self, call: Call, error: BaseException | None, answer: Callable[[], Answer | None]) -> None:
        """Add the end of the call; *answer* gives its text, for a handler with `include_output`."""
        keywords: dict[str, Any] = {"model": call.model or self._model}
        if any(subscriber.include_output for subscriber in self._subscribers):
            keywords["answer"] = answer()
        if call.outcome in ("error", "cancelled") or not (call.is_success or call.status is None):
            keywords["response"] = call
            self.pending.append(_Event(ERROR, LLMCallError.of(call) if error is None else error, keywords))
        else:
            self.pending.append(_Event(END, call, keywords))
        self._attempt = None

    # Called by the transports.

    def dispatch(self) -> None:
        """Call every handler now; coroutines run to their end."""
        if LATE:
            dispatch_late()
        try:
            self._dispatch()
        except BaseException as error:
            if self._is_refused(error):
                self._dispatch()
            raise

    async def adispatch(self) -> None:
        """Call every handler now; coroutines are awaited."""
        while LATE:
            late = LATE.popleft()
            try:
                await late._load()
                await late._adispatch()
            except Exception as error:
                _unheard(error)
        try:
            await self._load()
            await self._adispatch()
        except BaseException as error:
            if self._is_refused(error):
                await self._adispatch()
            raise

    async def _load(self) -> None:
        ends = ((event.what, (event.keywords or {}).get("response")) for event in self.pending)
        calls = [found for end in ends for found in end if isinstance(found, Call)]
        try:
            await load_for(self._meter, calls)
        except BaseException:  # the caller goes without its answer; handlers are told with the next call
            LATE.append(self)
            raise

    def dispatch_late(self) -> None:
        """Dispatch events that could not be dispatched when they happened. An exception is logged: no caller waits."""
        try:
            self._dispatch()
        except Exception as error:
            _unheard(error)

    def _dispatch(self) -> None:
        if self._is_telling:  # a handler that handles an event of a stream has closed this stream
            return
        self._is_telling = True
        push(_SUPPRESSED)
        deferred_error: Exception | None = None
        try:
            while self.pending:
                for subscriber, name, args, keywords in self._told(self.pending.popleft()):
                    try:
                        begun = perf_counter()
                        result = subscriber.call(name, args, keywords)
                        if hasattr(type(result), "__await__"):
                            LOOP.run(result)
                        if perf_counter() - begun > SLOW_S and is_on_loop():
                            subscriber.report_slow(perf_counter() - begun, name)
                    except Exception as error:
                        deferred_error = self._raised(subscriber, name, error) or deferred_error
                    else:
                        subscriber.reset_failures()
        finally:
            remove(_SUPPRESSED)
            self._is_telling = False
        self._settle(deferred_error)

    async def _adispatch(self) -> None:
        if self._is_telling:
            return
        self._is_telling = True
        push(_SUPPRESSED)
        deferred_error: Exception | None = None
        try:
            while self.pending:
                for subscriber, name, args, keywords in self._told(self.pending.popleft()):
                    try:
                        begun = perf_counter()
                        result = subscriber.call(name, args, keywords)
                        if perf_counter() - begun > SLOW_S:
                            subscriber.report_slow(perf_counter() - begun, name)
                        if hasattr(type(result), "__await__"):
                            await result
                    except Exception as error:
                        deferred_error = self._raised(subscriber, name, error) or deferred_error
                    else:
                        subscriber.reset_failures()
        finally:
            remove(_SUPPRESSED)
            self._is_telling = False
        self._settle(deferred_error)

    # Events and their arguments.

    def _told(self, event: _Event) -> Iterator[_Telling]:
        """The subscribers of *event* with their arguments. The event of a deferred exception raises it."""
        name, what = event.name, event.what
        if name is _DEFERRED:
            # The exception replaces the current chunk, so that handlers must not get its text.
            self.pending = deque(event for event in self.pending if event.name is not TOKEN)
            raise what
        if name is START:
            for subscriber in self._subscribers:
                if subscriber.wants_start and not subscriber.is_off and what in (None, subscriber):
                    yield from self._start(subscriber, is_chat=what is None)
            return
        keywords = event.keywords or {}
        if name is END:
            what = self._priced(what)
        elif name is ERROR:
            keywords["response"] = self._priced(keywords["response"])
        elif name is TOKEN:
            keywords, what = {"kind": what.kind, "choice": what.choice}, what.text
        common = self._common()
        for subscriber in self._subscribers:
            if subscriber.wants(name) and not subscriber.is_off:
                mine = {**common, **keywords}
                if not subscriber.include_output:
                    mine.pop("answer", None)
                yield subscriber, name, (what,), mine

    def _start(self, subscriber: Subscriber, *, is_chat: bool) -> Iterator[_Telling]:
        """The start, parsed from the request for each subscriber, because a handler may change the messages."""
        attempt = self._attempt
        if attempt is None:
            return
        route = attempt.endpoint.route
        api = route.api
        if api.is_chat and subscriber.ignores_chats:
            return
        serialized = {"name": api.name, "id": [route.dialect, api.name], "kwargs": {"model": self._model}}
        if is_chat and api.is_chat and subscriber.wants(CHAT_START):
            yield subscriber, CHAT_START, (serialized, messages_of(attempt.request_body())), self._common()
        elif subscriber.wants(START):
            prompts = prompts_of(attempt.request_body(), is_chat=api.is_chat)
            yield subscriber, START, (serialized, prompts), self._common()

    def _common(self) -> dict[str, Any]:
        return {"run_id": self.run_id, "model": self._model, "tags": self._tags, "meter": self._meter}

    def _priced(self, call: Call) -> Call:
        try:
            if self._meter is not None:
                return self._meter.priced(call)
            return default_book().priced(call)
        except Exception:
            internal_error("price for a handler")
            return call

    # Exceptions of handlers.

    def _raised(self, subscriber: Subscriber, name: str, error: Exception) -> Exception | None:
        """Log an exception of a handler, or return it if it must be raised to the caller."""
        if name is CHAT_START and isinstance(error, NotImplementedError) and subscriber.wants(START):
            # By the convention of these methods, a handler without on_chat_model_start gets on_llm_start.
            self.pending.appendleft(_Event(START, subscriber))
            return None
        if subscriber.may_raise:
            return error
        subscriber.failed(error, name)
        return None

    def _settle(self, deferred_error: Exception | None) -> None:
        """Raise *deferred_error*, unless a paid answer has not been delivered yet."""
        delivering, self.delivering = self.delivering, False
        if deferred_error is None:
            self._is_starting = False
            return
        ticket = self._ticket
        is_gated = ticket is not None and any(entry is ticket for entry in CONTEXT_STACK.get())
        if is_gated and ticket.deferred is None:
            ticket.deferred = deferred_error
        if self._is_starting or not (is_gated or delivering):
            raise deferred_error
        if not is_gated:
            self.pending.append(_Event(_DEFERRED, deferred_error))

    def _is_refused(self, error: BaseException) -> bool:
        """End a call whose start a handler refused; return whether events are left to dispatch."""
        if not self._is_starting:
            return False
        self._is_starting = False
        attempt = self._attempt
        if attempt is None:
            return False
        if self._is_repeated:
            attempt.dismiss()
        else:
            attempt.failed(error, was_sent=False)
        return bool(self.pending)


LATE: deque[EventDispatcher] = deque()
"""Events of calls that ended in the garbage collector, where no handler may run."""


def dispatch_late() -> None:
    """Dispatch the events of calls that ended in the garbage collector; called with the next call."""
    while LATE:
        LATE.popleft().dispatch_late()


def _unheard(error: Exception) -> None:
    """Log a handler's exception after the call has returned to its caller."""
    logger.warning("token_meter: a handler raised %s after its call was over", type(error).__qualname__)
