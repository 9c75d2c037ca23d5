"""Tells handlers what happens to one call, in order, in the caller's task or thread. It knows no sums and no seams.

An attempt puts events in; the seam lets them out where a handler may be told: at departure, before a chunk goes on to
its reader, at the end. What ends where nobody can be told, in the garbage collector, waits for the next occasion.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from token_meter._failures import internal_error
from token_meter.context.stack import CONTEXT_STACK, SUPPRESSED, push, remove
from token_meter.context.subscriber import CHAT_START, END, ERROR, SLOW_S, START, TOKEN, Subscriber, logger
from token_meter.events.helper_loop import LOOP
from token_meter.events.prompts import messages_of, prompts_of
from token_meter.exceptions import LLMCallError
from token_meter.types import Answer, Call
from token_meter.wire import DeltaReader

if TYPE_CHECKING:
    from token_meter.events.ports import ToldAttempt

_DEFERRED = "deferred"
"""Stands for an exception that a handler wants raised and that waits until what was paid has been handed over."""


class _Suppressed:
    """In the context while handlers are at work: their own calls are metered, and no handler is told of them."""

    kind = SUPPRESSED


_SUPPRESSED = _Suppressed()


class _Event(NamedTuple):
    """Something that happened; `what` is its first argument, or for a start the only subscriber whom it concerns."""

    name: str
    what: Any = None
    keywords: dict[str, Any] | None = None


_Telling: TypeAlias = tuple[Subscriber, str, tuple[Any, ...], dict[str, Any]]
"""Whom to tell, the method, its arguments and keywords."""


class EventDispatcher:
    """What one attempt has to tell, and to whom.

    Attributes:
        run_id: the id that the call's record will have.
        pending: what has happened and was not told yet.
        delivering: a chunk waits to go on to its reader, as soon as the handlers were told.
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
        # The deferred exception comes first: this is the SDK's retry of a call that is over for its caller.
        self._is_repeated = deferred_error is not None
        self.pending.append(_Event(_DEFERRED, deferred_error) if deferred_error is not None else _Event(START))

    # What the attempt brings.

    def passed(self, chunk: bytes) -> None:
        """A piece of a stream is there; it goes on to its reader once the handlers were told."""
        if self._deltas is not None:
            try:
                self.pending.extend(_Event(TOKEN, delta) for delta in self._deltas.feed(chunk))
            except Exception:
                self._deltas = None
                internal_error("tokens")

    def ended(self, call: Call, error: BaseException | None, answer: Callable[[], Answer | None]) -> None:
        """The call is over; *answer* gives what it said, for a handler that was told to show it."""
        keywords: dict[str, Any] = {"model": call.model or self._model}
        if any(subscriber.include_output for subscriber in self._subscribers):
            keywords["answer"] = answer()
        if call.outcome in ("error", "cancelled") or not (call.is_success or call.status is None):
            keywords["response"] = call
            self.pending.append(_Event(ERROR, LLMCallError.of(call) if error is None else error, keywords))
        else:
            self.pending.append(_Event(END, call, keywords))
        self._attempt = None

    # What the seams let out.

    def dispatch(self) -> None:
        """Tell every handler, here and now; coroutines run to their end."""
        if LATE:
            dispatch_late()
        try:
            self._dispatch()
        except BaseException as error:
            if self._is_refused(error):
                self._dispatch()
            raise

    async def adispatch(self) -> None:
        """Tell every handler, here and now; coroutines are awaited."""
        while LATE:
            late = LATE.popleft()
            try:
                await late._adispatch()
            except Exception as error:
                _unheard(error)
        try:
            await self._adispatch()
        except BaseException as error:
            if self._is_refused(error):
                await self._adispatch()
            raise

    def dispatch_late(self) -> None:
        """Tell what nobody could be told when it happened; no caller is left for an exception."""
        try:
            self._dispatch()
        except Exception as error:
            _unheard(error)

    def _dispatch(self) -> None:
        if self._is_telling:  # a handler closed the stream of which it is being told
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
                        if perf_counter() - begun > SLOW_S and _is_in_loop():
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

    # How an event is told.

    def _told(self, event: _Event) -> Iterator[_Telling]:
        """Whom *event* concerns, and with which arguments; what was deferred is raised instead."""
        name, what = event.name, event.what
        if name is _DEFERRED:
            # The chunk that is there now does not reach its reader any more.
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
        """The start, read from the request for this subscriber alone: what it does with the messages is its affair."""
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
            from token_meter.prices import DEFAULT_BOOK

            return DEFAULT_BOOK.priced(call)
        except Exception:
            internal_error("price for a handler")
            return call

    # What a handler's exception does.

    def _raised(self, subscriber: Subscriber, name: str, error: Exception) -> Exception | None:
        """Log what a handler raised, or give it back when it shall reach the caller."""
        if name is CHAT_START and isinstance(error, NotImplementedError) and subscriber.wants(START):
            # The convention of these methods: a handler without chats is told by on_llm_start.
            self.pending.appendleft(_Event(START, subscriber))
            return None
        if subscriber.may_raise:
            return error
        subscriber.failed(error, name)
        return None

    def _settle(self, deferred_error: Exception | None) -> None:
        """Let *deferred_error* reach the caller, but never in place of an answer that was paid and not handed over."""
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
        """End a call whose start was not let through; whether there is more to tell then."""
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
"""Events of calls that ended in the garbage collector, where no handler can be told."""


def dispatch_late() -> None:
    """Tell handlers of calls that ended where none could be told; called at the next occasion."""
    while LATE:
        LATE.popleft().dispatch_late()


def _unheard(error: Exception) -> None:
    """An exception that a handler wanted raised has no caller left that it could reach."""
    logger.warning("token_meter: a handler raised %s after its call was over", type(error).__qualname__)


def _is_in_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None
