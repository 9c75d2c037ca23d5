"""What the seams around a library's one sending method share, be it called by a program or by another library."""

from __future__ import annotations

import contextvars
import sys
import warnings
from abc import abstractmethod
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from token_meter.exceptions import BlindSpotWarning
from token_meter.transports.mockable import MockableSeam
from token_meter.transports.ports import ObservedAttempt, OutgoingRequest, Runtime, takes_nothing


class CarrierSeam(MockableSeam):
    """A seam around a method `send(session, request, ...)`.

    A request that leaves while another attempt is under way, because it is a redirect or carries another library's
    request, belongs to that attempt.

    Attributes:
        library: the package, as a warning names it.
        never_sent: the names of the exceptions after which a request has surely not reached the server.
    """

    library: str
    never_sent: frozenset[str]

    def __init__(self, stack: contextvars.ContextVar[tuple[Any, ...]], runtime: Runtime, attempt_kind: int) -> None:
        super().__init__(stack, runtime)
        self._attempt_kind = attempt_kind

    def _patch_module(self, module: ModuleType) -> None:
        try:
            self._put(module)
        except Exception as error:
            self._runtime.internal_error("install")
            version = getattr(sys.modules.get(self.library), "__version__", "")
            msg = (
                f"token_meter cannot see calls made through {self.library} {version} "
                f"({type(error).__name__}: {error}), "
                "so that totals may be too low; a newer token_meter may know this version."
            )
            warnings.warn(msg, BlindSpotWarning, stacklevel=2)

    @abstractmethod
    def _put(self, module: ModuleType) -> None:
        """Put the patches into *module*."""

    def _carries(self, current: tuple[Any, ...]) -> bool:
        """Whether what leaves now belongs to an attempt that is under way."""
        return bool(current) and current[-1].kind == self._attempt_kind

    def _was_sent(self, error: BaseException) -> bool:
        """Whether the server may have seen (and billed) the request that ended with *error*."""
        return self.never_sent.isdisjoint(cls.__name__ for cls in type(error).__mro__)


class SyncCarrierSeam(CarrierSeam):
    """The same for a method that blocks and takes a prepared request."""

    request_type: Callable[[Any, Any], OutgoingRequest]

    def _send(self, original: Callable[..., Any]) -> Callable[..., Any]:
        stack, runtime = self._stack, self._runtime

        @wraps(original)
        def send(session: Any, /, *args: Any, **kwargs: Any) -> Any:
            current = stack.get()
            if not (current or runtime.is_listening) or not self._live or self._carries(current):
                return original(session, *args, **kwargs)
            attempt = self._attempt_of(session, args, kwargs)
            if attempt is None:
                return original(session, *args, **kwargs)
            if attempt.has_pending_events:
                attempt.dispatch()
            stack.set((*current, attempt))
            try:
                if (instead := attempt.replacement_request) is None:
                    response = original(session, *args, **kwargs)
                else:
                    response = _sent_instead(original, session, instead, args, kwargs)
            except BaseException as error:
                attempt.failed(error, was_sent=self._was_sent(error))
                if attempt.has_pending_events:
                    attempt.dispatch()
                raise
            finally:
                if stack.get()[-1:] == (attempt,):
                    stack.set(current)
            try:
                self._arrive(attempt, response)
            except Exception:
                runtime.internal_error("arrive")
                attempt.abandoned()
            if attempt.has_pending_events:
                attempt.dispatch()
            return response

        return send

    def _attempt_of(self, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ObservedAttempt | None:
        try:
            request = type(self).request_type(session, args[0] if args else kwargs["request"])
        except Exception:
            return None  # no prepared request: the session finds the same fault, and says it
        return self._runtime.on_request(request)

    @abstractmethod
    def _arrive(self, attempt: ObservedAttempt, response: Any) -> None:
        """Read a body that is there already; put a tap on one that is still to come."""


def _sent_instead(
    original: Callable[..., Any], session: Any, instead: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """The answer to a replaced request; it names the caller's own, and after a redirect the last one."""
    own = args[0] if args else kwargs.pop("request")
    response = original(session, instead, *args[1:], **kwargs)
    if getattr(response, "request", None) is instead:
        response.request = own
    return response


class BodyTap:
    """Listens to a body that somebody else reads. What is read holds it: it goes when that does."""

    __slots__ = ("_attempt", "_takes")

    def __init__(self, attempt: ObservedAttempt) -> None:
        self._attempt = attempt
        self._takes: Callable[[bytes], bool] = takes_nothing

    def __del__(self) -> None:
        self._attempt.abandoned()

    @property
    def chunk_filter(self) -> Any | None:
        """Takes out of what was read what its reader did not ask for (a `ChunkFilter`)."""
        return self._attempt.chunk_filter

    def passed(self, data: bytes) -> None:
        """A piece was read."""
        attempt = self._attempt
        if attempt.wants_body and not self._takes(data):
            attempt.feed(data)
            self._takes = attempt.takes
            self._dispatch()

    def exhausted(self) -> None:
        """The body has been read to its end."""
        self._attempt.exhausted()
        self._dispatch()

    def closed(self) -> None:
        """The reader has closed the body."""
        self._attempt.closed()
        self._dispatch()

    def failed(self, error: BaseException) -> None:
        """Reading ended with an exception."""
        self._attempt.failed(error, was_sent=True)
        self._dispatch()

    def _dispatch(self) -> None:
        if self._attempt.has_pending_events:
            self._attempt.dispatch()
