"""Tells handlers what happens to one call, in order, in the caller's task or thread. It knows no sums and no seams.

A flight puts events in; the seam lets them out where a handler may be told: at departure, before a chunk goes on to
its reader, at the end. What ends where nobody can be told, in the garbage collector, waits for the next occasion.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from token_meter._meter._chain import CHAIN, MUTED, push, remove
from token_meter._meter._listener import CHAT_START, END, ERROR, SLOW_S, START, TOKEN, Listener, logger
from token_meter._meter._loop import LOOP
from token_meter._meter._prompts import CHATS, messages_of, prompts_of
from token_meter._wire import DeltaReader
from token_meter.exceptions import LLMCallError
from token_meter.types import Answer, Call

if TYPE_CHECKING:
    from token_meter._meter._ending import Ending

_OWED = "owed"
"""Stands for an exception that a handler wants raised and that waits until what was paid has been handed over."""


class _Muted:
    """In the context while handlers are at work: their own calls are metered, and no handler is told of them."""

    kind = MUTED


_MUTED = _Muted()


class _Event(NamedTuple):
    """Something that happened; `what` is its first argument, or for a start the only listener whom it concerns."""

    name: str
    what: Any = None
    keywords: dict[str, Any] | None = None


_Telling: TypeAlias = tuple[Listener, str, tuple[Any, ...], dict[str, Any]]
"""Whom to tell, the method, its arguments and keywords."""


class News:
    """What one flight has to tell, and to whom.

    Attributes:
        run_id: the id that the call's record will have.
        pending: what has happened and was not told yet.
        serves: a chunk waits to go on to its reader, as soon as the handlers were told.
    """

    __slots__ = (
        "_deltas", "_flight", "_gate", "_hub", "_is_repeated", "_is_starting", "_is_telling", "_listeners", "_meter",
        "_model", "_tags", "pending", "run_id", "serves",
    )  # fmt: skip

    def __init__(self, flight: Ending, listeners: tuple[Listener, ...], gate: Any, run_id: str) -> None:
        self.run_id = run_id
        self.serves = False
        self.pending: deque[_Event] = deque()
        self._flight: Ending | None = flight
        self._hub = flight.hub
        self._listeners = listeners
        self._gate = gate
        self._meter = flight.meters[-1] if flight.meters else None
        self._model = flight.place.route.deployment or flight.request_says().model
        self._tags = flight.tags
        self._is_telling = False
        self._deltas: DeltaReader | None = None
        if any(listener.wants_tokens for listener in listeners):
            self._deltas = DeltaReader(flight.place.route.flavour)
        owed = gate.deferred if gate is not None else None
        self._is_starting = True
        # What is owed comes first: this is the SDK's retry of a call that is over for its caller.
        self._is_repeated = owed is not None
        self.pending.append(_Event(_OWED, owed) if owed is not None else _Event(START))

    # What the flight brings.

    def passed(self, chunk: bytes) -> None:
        """A piece of a stream is there; it goes on to its reader once the handlers were told."""
        if self._deltas is not None:
            try:
                self.pending.extend(_Event(TOKEN, delta) for delta in self._deltas.feed(chunk))
            except Exception:
                self._deltas = None
                self._hub.internal_error("tokens")

    def ended(self, call: Call, error: BaseException | None, answer: Callable[[], Answer | None]) -> None:
        """The call is over; *answer* gives what it said, for a handler that was told to show it."""
        keywords: dict[str, Any] = {"model": call.model or self._model}
        if any(listener.wants_answer for listener in self._listeners):
            keywords["answer"] = answer()
        if call.end in ("error", "cancelled") or not (call.is_success or call.status is None):
            keywords["response"] = call
            self.pending.append(_Event(ERROR, LLMCallError.of(call) if error is None else error, keywords))
        else:
            self.pending.append(_Event(END, call, keywords))
        self._flight = None

    # What the seams let out.

    def tell(self) -> None:
        """Tell every handler, here and now; coroutines run to their end."""
        if self._hub.late:
            self._hub.tell_late()
        try:
            self._tell()
        except BaseException as error:
            if self._is_refused(error):
                self._tell()
            raise

    async def atell(self) -> None:
        """Tell every handler, here and now; coroutines are awaited."""
        while self._hub.late:
            late: News = self._hub.late.popleft()
            try:
                await late._atell()
            except Exception as error:
                _unheard(error)
        try:
            await self._atell()
        except BaseException as error:
            if self._is_refused(error):
                await self._atell()
            raise

    def tell_late(self) -> None:
        """Tell what nobody could be told when it happened; no caller is left for an exception."""
        try:
            self._tell()
        except Exception as error:
            _unheard(error)

    def _tell(self) -> None:
        if self._is_telling:  # a handler closed the stream of which it is being told
            return
        self._is_telling = True
        push(_MUTED)
        owed: Exception | None = None
        try:
            while self.pending:
                for listener, name, args, keywords in self._told(self.pending.popleft()):
                    try:
                        begun = perf_counter()
                        result = listener.call(name, args, keywords)
                        if hasattr(type(result), "__await__"):
                            LOOP.run(result)
                        if perf_counter() - begun > SLOW_S and _is_in_loop():
                            listener.took(perf_counter() - begun, name)
                    except Exception as error:
                        owed = self._raised(listener, name, error) or owed
                    else:
                        listener.did_well()
        finally:
            remove(_MUTED)
            self._is_telling = False
        self._settle(owed)

    async def _atell(self) -> None:
        if self._is_telling:
            return
        self._is_telling = True
        push(_MUTED)
        owed: Exception | None = None
        try:
            while self.pending:
                for listener, name, args, keywords in self._told(self.pending.popleft()):
                    try:
                        begun = perf_counter()
                        result = listener.call(name, args, keywords)
                        if perf_counter() - begun > SLOW_S:
                            listener.took(perf_counter() - begun, name)
                        if hasattr(type(result), "__await__"):
                            await result
                    except Exception as error:
                        owed = self._raised(listener, name, error) or owed
                    else:
                        listener.did_well()
        finally:
            remove(_MUTED)
            self._is_telling = False
        self._settle(owed)

    # How an event is told.

    def _told(self, event: _Event) -> Iterator[_Telling]:
        """Whom *event* concerns, and with which arguments; what is owed is raised instead."""
        name, what = event.name, event.what
        if name is _OWED:
            # The chunk that is there now does not reach its reader any more.
            self.pending = deque(event for event in self.pending if event.name is not TOKEN)
            raise what
        if name is START:
            for listener in self._listeners:
                if listener.wants_start and not listener.is_off and what in (None, listener):
                    yield from self._start(listener, is_chat=what is None)
            return
        keywords = event.keywords or {}
        if name is END:
            what = self._priced(what)
        elif name is ERROR:
            keywords["response"] = self._priced(keywords["response"])
        elif name is TOKEN:
            keywords, what = {"kind": what.kind, "choice": what.choice}, what.text
        common = self._common()
        for listener in self._listeners:
            if listener.hears(name) and not listener.is_off:
                mine = {**common, **keywords}
                if not listener.wants_answer:
                    mine.pop("answer", None)
                yield listener, name, (what,), mine

    def _start(self, listener: Listener, *, is_chat: bool) -> Iterator[_Telling]:
        """The start, read from the request for this listener alone: what it does with the messages is its affair."""
        flight = self._flight
        if flight is None:
            return
        flavour = flight.place.route.flavour
        if flavour in CHATS and listener.ignores_chats:
            return
        serialized = {"name": flavour, "id": ["openai", flavour], "kwargs": {"model": self._model}}
        if is_chat and flavour in CHATS and listener.hears(CHAT_START):
            yield listener, CHAT_START, (serialized, messages_of(flight.request_body())), self._common()
        elif listener.hears(START):
            prompts = prompts_of(flight.request_body(), is_chat=flavour in CHATS)
            yield listener, START, (serialized, prompts), self._common()

    def _common(self) -> dict[str, Any]:
        return {"run_id": self.run_id, "model": self._model, "tags": self._tags, "meter": self._meter}

    def _priced(self, call: Call) -> Call:
        try:
            if self._meter is not None:
                return self._meter.priced(call)
            from token_meter.prices import DEFAULT_BOOK

            return DEFAULT_BOOK.priced(call)
        except Exception:
            self._hub.internal_error("price for a handler")
            return call

    # What a handler's exception does.

    def _raised(self, listener: Listener, name: str, error: Exception) -> Exception | None:
        """Log what a handler raised, or give it back when it shall reach the caller."""
        if name is CHAT_START and isinstance(error, NotImplementedError) and listener.hears(START):
            # As LangChain does it: who does not do chats hears of them by on_llm_start.
            self.pending.appendleft(_Event(START, listener))
            return None
        if listener.may_raise:
            return error
        listener.failed(error, name)
        return None

    def _settle(self, owed: Exception | None) -> None:
        """Let *owed* reach the caller, but never in place of an answer that was paid and not handed over."""
        serves, self.serves = self.serves, False
        if owed is None:
            self._is_starting = False
            return
        gate = self._gate
        is_gated = gate is not None and any(entry is gate for entry in CHAIN.get())
        if is_gated and gate.deferred is None:
            gate.deferred = owed
        if self._is_starting or not (is_gated or serves):
            raise owed
        if not is_gated:
            self.pending.append(_Event(_OWED, owed))

    def _is_refused(self, error: BaseException) -> bool:
        """End a call whose start was not let through; whether there is more to tell then."""
        if not self._is_starting:
            return False
        self._is_starting = False
        flight = self._flight
        if flight is None:
            return False
        if self._is_repeated:
            flight.dismiss()
        else:
            flight.failed(error, was_sent=False)
        return bool(self.pending)


def _unheard(error: Exception) -> None:
    """An exception that a handler wanted raised has no caller left that it could reach."""
    logger.warning("token_meter: a handler raised %s after its call was over", type(error).__qualname__)


def _is_in_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None
