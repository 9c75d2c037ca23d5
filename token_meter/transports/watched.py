"""Transports that are not read, or not in each of their shapes: a call over them is seen, and never a silent zero.

The runtime is asked about such a call as about any other, and knows by host and path whether it is paid for: a limit
can refuse it, and it counts as unmeasured.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from functools import partial, wraps
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

from token_meter.blind_spots import BlindSpot
from token_meter.transports.lm15 import listen, request_of
from token_meter.transports.module_seam import ModuleSeam
from token_meter.transports.ports import Key, ObservedAttempt, OutgoingRequest, Runtime

_Read: TypeAlias = Callable[[Any, tuple[Any, ...], dict[str, Any]], Key | OutgoingRequest | None]

PLACED: set[str] = set()
"""The modules whose calls are watched now."""


class Watch(NamedTuple):
    """Where the requests of a transport pass.

    Attributes:
        module: the full name of the module that holds the class.
        owner: the class.
        method: the method that makes one request.
        read: the request, or where it goes, from `(object, args, kwargs)` of *method*; `None` for what is no request.
        what: the transport's name for people.
        is_async: the method is a coroutine function.
        listen: reads an answer of the shape that it knows, and says whether it has that shape.
    """

    module: str
    owner: str
    method: str
    read: _Read
    what: str
    is_async: bool = False
    listen: Callable[[ObservedAttempt, Any], bool] | None = None


class WatchedRequest:
    """A request of which little but its address is known."""

    __slots__ = ("body", "client", "key")
    headers: Mapping[str, str] = {}

    def __init__(self, key: Key, client: Any, body: Callable[[], bytes] = bytes) -> None:
        self.key = key
        self.client = client
        self.body = body

    def with_body(self, content: bytes) -> Any | None:
        """None can be made."""
        return None


class WatchSeam(ModuleSeam):
    """Patches what *rows* name, also when it is imported later."""

    def __init__(
        self,
        stack: contextvars.ContextVar[tuple[Any, ...]],
        runtime: Runtime,
        blind: Callable[[ObservedAttempt, BlindSpot], None],
        attempt_kind: int,
    ) -> None:
        self._rows: dict[str, tuple[Watch, ...]] = {}
        for row in WATCHES:
            self._rows[row.module] = (*self._rows.get(row.module, ()), row)
        self.modules = tuple(self._rows)
        super().__init__(stack, runtime)
        self._blind = blind
        self._attempt_kind = attempt_kind

    def uninstall(self) -> None:
        super().uninstall()
        PLACED.clear()

    def _patch_module(self, module: ModuleType) -> None:
        try:
            for row in self._rows[module.__name__]:
                make = self._async if row.is_async else self._sync
                self._patches.put(getattr(module, row.owner), row.method, partial(make, row))
            PLACED.add(module.__name__)
        except Exception:
            self._runtime.internal_error("install watch")

    def _begin(self, row: Watch, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ObservedAttempt | None:
        """The attempt that this call is; `None` when it is none, or another one's transport."""
        current = self._stack.get()
        if not (current or self._runtime.is_listening) or not self._live:
            return None
        if current and current[-1].kind == self._attempt_kind:
            return None
        try:
            found = row.read(owner, args, kwargs)
        except Exception:
            self._runtime.internal_error("watch")
            return None
        if found is None:
            return None
        attempt = self._runtime.on_request(WatchedRequest(found, owner) if isinstance(found, tuple) else found)
        if attempt is not None and row.listen is None:
            self._note(attempt, row)
        return attempt

    def _note(self, attempt: ObservedAttempt, row: Watch) -> None:
        try:
            self._blind(attempt, _spot(row))
        except Exception:
            self._runtime.internal_error("watch")

    def _failed(self, attempt: ObservedAttempt, error: BaseException) -> None:
        """The call ended with an exception, which may be how its library tells of an answer."""
        try:
            status = _status_in(error)
        except Exception:
            self._runtime.internal_error("watch")
            status = None
        if status is not None:
            attempt.respond(status, "", streamed=False)
        attempt.failed(error, was_sent=True)

    def _ended(self, row: Watch, attempt: ObservedAttempt, answer: Any) -> None:
        """The answer is there. It may be anything, and looking at it may run anybody's code."""
        if row.listen is not None:
            try:
                if row.listen(attempt, answer):
                    return
            except Exception:
                self._runtime.internal_error("watch")
            self._note(attempt, row)
        try:
            status = getattr(answer, "status_code", None) or getattr(answer, "status", None)
        except Exception:
            self._runtime.internal_error("watch")
            status = None
        attempt.respond(status if isinstance(status, int) else 200, "", streamed=False)
        attempt.body(b"")

    def _sync(self, row: Watch, original: Callable[..., Any]) -> Callable[..., Any]:
        stack = self._stack

        @wraps(original)
        def request(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
            attempt = self._begin(row, owner, args, kwargs)
            if attempt is None:
                return original(owner, *args, **kwargs)
            if attempt.has_pending_events:
                attempt.dispatch()
            current = stack.get()
            stack.set((*current, attempt))
            try:
                answer = original(owner, *args, **kwargs)
            except BaseException as error:
                self._failed(attempt, error)
                raise
            finally:
                if stack.get()[-1:] == (attempt,):
                    stack.set(current)
                if attempt.has_pending_events:
                    attempt.dispatch()
            self._ended(row, attempt, answer)
            if attempt.has_pending_events:
                attempt.dispatch()
            return answer

        return request

    def _async(self, row: Watch, original: Callable[..., Any]) -> Callable[..., Any]:
        stack = self._stack

        @wraps(original)
        async def request(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
            attempt = self._begin(row, owner, args, kwargs)
            if attempt is None:
                return await original(owner, *args, **kwargs)
            if attempt.has_pending_events:
                await attempt.adispatch()
            current = stack.get()
            stack.set((*current, attempt))
            try:
                answer = await original(owner, *args, **kwargs)
            except BaseException as error:
                self._failed(attempt, error)
                raise
            finally:
                if stack.get()[-1:] == (attempt,):
                    stack.set(current)
                if attempt.has_pending_events:
                    await attempt.adispatch()
            self._ended(row, attempt, answer)
            if attempt.has_pending_events:
                await attempt.adispatch()
            return answer

        return request


def _status_in(error: BaseException) -> int | None:
    """The status of the answer that *error* tells of."""
    status = getattr(error, "status", None)
    return status if type(status) is int and 400 <= status < 600 else None


def _spot(row: Watch) -> BlindSpot:
    why = f"calls through {row.what} are seen and not read, so that each counts as unmeasured"
    return BlindSpot(row.what, why, "Count them by cb.record(...), or use the SDK's httpx client where it has one")


def _gemini_music(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Key:
    return "POST", "https", "generativelanguage.googleapis.com", None, "/ws/music"


_LM15 = "dspy._vendor.lm15.transports"

WATCHES = (
    Watch(f"{_LM15}._sync", "StdlibTransport", "stream", request_of, "DSPy's own transport", listen=listen),
    Watch(f"{_LM15}._async", "StdlibAsyncTransport", "_do_stream", request_of, "DSPy's own transport", True, listen),
    Watch("google.genai.live_music", "AsyncLiveMusic", "connect", _gemini_music, "Gemini's live music"),
)
"""All that is watched. Read in the libraries' sources: DSPy 3.4, google-genai 3.6, 2026-11-27."""
