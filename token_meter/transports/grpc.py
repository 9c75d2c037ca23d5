"""Where calls over gRPC pass: the callable that grpc makes for each method of a service. It knows no tokens.

A message is shown to the attempt as the JSON of the same call over HTTP. It is taken where grpc makes it of its bytes,
so that nothing is put around the objects that the caller gets.
"""

from __future__ import annotations

import contextvars
import copy
import json
import re
import weakref
from collections.abc import Callable, Mapping
from functools import lru_cache, partial, wraps
from types import ModuleType
from typing import Any

from token_meter.blind_spots import BlindSpot
from token_meter.transports.module_seam import ModuleSeam
from token_meter.transports.ports import Key, ObservedAttempt, RpcRow, Runtime
from token_meter.transports.watched import PLACED

_BLOCKING, _AIO = "grpc._channel", "grpc.aio._channel"
_METHODS = {
    _BLOCKING: (
        ("_UnaryUnaryMultiCallable", "__call__"),
        ("_UnaryUnaryMultiCallable", "with_call"),
        ("_UnaryUnaryMultiCallable", "future"),
        ("_UnaryStreamMultiCallable", "__call__"),
        ("_SingleThreadedUnaryStreamMultiCallable", "__call__"),
    ),
    _AIO: (("UnaryUnaryMultiCallable", "__call__"), ("UnaryStreamMultiCallable", "__call__")),
}
"""Class and method of what makes a call (grpcio 1.82, 2026-11)."""
_STATUSES = {
    "INVALID_ARGUMENT": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404, "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429, "UNIMPLEMENTED": 501, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}  # fmt: skip
"""HTTP statuses of codes, as google/rpc/code.proto gives them."""
_NOT_READ = BlindSpot(
    "gRPC",
    "calls of this method are seen and not read, so that each counts as unmeasured",
    "Count them by cb.record(...)",
)


class RpcCall:
    """A request of gRPC, as the runtime reads it."""

    __slots__ = ("_made", "_message", "_row", "client", "key")
    headers: Mapping[str, str] = {}

    def __init__(self, owner: Any, row: RpcRow, key: Key, message: Any) -> None:
        self.client = owner
        self.key = key
        self._row = row
        self._message = message
        self._made = b""

    def body(self) -> bytes:
        """The JSON of the request; it is made once."""
        if not self._made and self._row.path is not None:
            self._made = _json(self._row, self._row.request, self._message)
        return self._made

    def with_body(self, content: bytes) -> Any | None:
        """None can be made."""
        return None


class GrpcSeam(ModuleSeam):
    """Patches the callables, also of channels that were made before, and also if grpc is imported later."""

    modules = (_BLOCKING, _AIO)

    def __init__(
        self,
        stack: contextvars.ContextVar[tuple[Any, ...]],
        runtime: Runtime,
        attempt_kind: int,
        rows: Callable[[], tuple[RpcRow, ...]],
        blind: Callable[[ObservedAttempt, BlindSpot], None],
    ) -> None:
        super().__init__(stack, runtime)
        self._attempt_kind = attempt_kind
        self._rows = rows
        self._blind = blind

    def uninstall(self) -> None:
        super().uninstall()
        PLACED.difference_update(self.modules)

    def _patch_module(self, module: ModuleType) -> None:
        try:
            for owner, method in _METHODS[module.__name__]:
                make = partial(self._calling, is_stream="Stream" in owner, is_waited=_is_waited(module, method, owner))
                self._patches.put(getattr(module, owner), method, make)
            PLACED.add(module.__name__)
        except Exception:
            self._runtime.internal_error("install grpc")

    def _begin(
        self, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[ObservedAttempt, RpcRow] | None:
        """The attempt that this call is; `None` when it is none."""
        current = self._stack.get()
        is_inner = bool(current) and current[-1].kind == self._attempt_kind
        if is_inner or not self._live or not (current or self._runtime.is_listening):
            return None
        try:
            method = owner._method
            method = method.decode() if isinstance(method, bytes) else str(method)
            if (found := _row_of(self._rows(), method)) is None:
                return None
            row, match = found
            message = args[0] if args else kwargs["request"]
            if not hasattr(getattr(message, "_pb", message), "DESCRIPTOR"):  # bytes that a program made itself, say
                row = row.unread()
            path = method if row.path is None else row.path(match, message)
            host = row.host if row.host_of is None else row.host_of(match, message)
            call = RpcCall(owner, row, ("POST", "https", host, None, path), message)
        except Exception:
            self._runtime.internal_error("grpc")
            return None
        attempt = self._runtime.on_request(call)
        return None if attempt is None else (attempt, row)

    def _calling(self, original: Callable[..., Any], *, is_stream: bool, is_waited: bool) -> Callable[..., Any]:
        stack = self._stack

        @wraps(original)
        def call(owner: Any, /, *args: Any, **kwargs: Any) -> Any:
            begun = self._begin(owner, args, kwargs)
            if begun is None:
                return original(owner, *args, **kwargs)
            attempt, row = begun
            if attempt.has_pending_events:
                attempt.dispatch()
            seen = Messages(attempt, row, self._runtime, is_stream=is_stream)
            current = stack.get()
            stack.set((*current, attempt))
            try:
                answer = original(seen.through(owner), *args, **kwargs)
            except BaseException as error:
                seen.failed(error)
                raise
            finally:
                if stack.get()[-1:] == (attempt,):
                    stack.set(current)
            if row.path is None:
                self._not_read(attempt)
            elif is_waited:
                seen.ended()
            else:
                seen.follow(answer)
            return answer

        return call

    def _not_read(self, attempt: ObservedAttempt) -> None:
        try:
            self._blind(attempt, _NOT_READ)
        except Exception:
            self._runtime.internal_error("grpc")
        attempt.respond(200, "", streamed=False)
        attempt.body(b"")
        if attempt.has_pending_events:
            attempt.dispatch()


class Messages:
    """The messages of one call, from the thread or the task in which grpc makes each of its bytes."""

    def __init__(self, attempt: ObservedAttempt, row: RpcRow, runtime: Runtime, *, is_stream: bool) -> None:
        self._attempt = attempt
        self._row = row
        self._runtime = runtime
        self._is_stream = is_stream
        self._has_any = False

    def through(self, owner: Any) -> Any:
        """A copy of the callable that shows each message; the callable itself is used by other calls too."""
        if self._row.path is None:
            return owner
        try:
            made = copy.copy(owner)
            original = owner._response_deserializer
            made._response_deserializer = partial(self._parsed, original)
        except Exception:
            self._runtime.internal_error("grpc")
            return owner
        return made

    def _parsed(self, original: Callable[[bytes], Any] | None, raw: bytes) -> Any:
        message = raw if original is None else original(raw)
        try:
            self._show(_json(self._row, self._row.answer, message))
        except Exception:
            self._runtime.internal_error("grpc")
        return message

    def _show(self, data: bytes) -> None:
        attempt = self._attempt
        if not self._is_stream:
            attempt.respond(200, "application/json", streamed=False)
            attempt.body(data)
        else:
            if not self._has_any:
                attempt.respond(200, "text/event-stream", streamed=True)
            if attempt.wants_body:
                attempt.feed(b"data: %b\n\n" % data)
        self._has_any = True
        self._dispatch()

    def follow(self, call: Any) -> None:
        """Be told when a call ends that is not waited for.

        Nothing that is told refers to the call: it is cancelled when its reader drops it.
        """
        try:
            over = partial(self._over, weakref.ref(call))
            if hasattr(call, "add_callback"):
                if not call.add_callback(over):
                    over()
            elif hasattr(call, "_interceptors_task"):  # which makes the call, some time later
                call._interceptors_task.add_done_callback(self._intercepted)
            elif hasattr(call, "_call"):
                self.follow(call._call)
            elif hasattr(call, "_cython_call"):
                call._cython_call.add_done_callback(over)
            else:  # an interceptor has waited for the answer, or gives one of its own
                self._attempt.abandoned()
        except Exception:
            self._runtime.internal_error("grpc")
            self._attempt.abandoned()

    def _intercepted(self, task: Any) -> None:
        """The interceptors have made a call, or none."""
        if not task.cancelled() and task.exception() is None:
            self.follow(task.result())
        else:
            self.failed(_RpcFailedError() if task.cancelled() else task.exception())

    def _over(self, reference: Any) -> None:
        """The call has ended, whichever way."""
        try:
            call = reference()
            code = getattr(_code_of(call), "name", None)
            if call is None:
                self._attempt.abandoned()
            elif code == "OK":
                # Of a single message the code may come before the message.
                if self._is_stream:
                    self.ended()
            elif code == "CANCELLED":
                (self._attempt.closed if self._has_any else self._attempt.abandoned)()
                self._dispatch()
            else:
                self.failed(call if isinstance(call, BaseException) else _RpcFailedError(), code)
        except Exception:
            self._runtime.internal_error("grpc")
            self._attempt.abandoned()

    def ended(self) -> None:
        """All messages have come."""
        self._attempt.exhausted()
        self._dispatch()

    def failed(self, error: BaseException, code: str | None = None) -> None:
        """The call ended with an exception, or with a code that is one."""
        try:
            code = code or getattr(_code_of(error), "name", None)
        except Exception:
            self._runtime.internal_error("grpc")
        if code is not None and not self._has_any:
            self._attempt.respond(_STATUSES.get(code, 500), "", streamed=False)
        self._attempt.failed(error, was_sent=True)
        self._dispatch()

    def _dispatch(self) -> None:
        if self._attempt.has_pending_events:
            self._attempt.dispatch()


class _RpcFailedError(Exception):
    """Stands for the error that the caller of an async call gets."""


def _is_waited(module: ModuleType, method: str, owner: str) -> bool:
    """Whether the method returns with the answer."""
    return module.__name__ == _BLOCKING and method != "future" and "Stream" not in owner


def _code_of(call: Any) -> Any:
    """The code with which a call has ended; that of an async one is in a coroutine, which has nothing to wait for."""
    found: Any = getattr(call, "code", lambda: None)()
    if not hasattr(found, "send"):
        return found
    try:
        found.send(None)
    except StopIteration as done:
        return done.value
    found.close()
    return None


@lru_cache(maxsize=1024)
def _row_of(rows: tuple[RpcRow, ...], method: str) -> tuple[RpcRow, re.Match[str]] | None:
    """The first row of the method, and what its pattern found."""
    matches = ((row, re.fullmatch(row.method, method)) for row in rows)
    return next(((row, match) for row, match in matches if match is not None), None)


def _json(row: RpcRow, shape: Callable[[dict[str, Any]], dict[str, Any]], message: Any) -> bytes:
    """A message as JSON; those of google's libraries have another class around."""
    from google.protobuf.json_format import MessageToDict

    found = MessageToDict(getattr(message, "_pb", message), preserving_proto_field_name=row.keeps_names)
    return json.dumps(shape(found), ensure_ascii=False).encode("utf-8", "surrogatepass")
