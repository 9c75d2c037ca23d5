"""A meter for each request of a WSGI app (Flask, Django, Bottle): one line of middleware."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from token_meter._per_request import PerRequest, Tags
from token_meter.context.stack import push, remove

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from token_meter._meter import Meter

__all__ = ["MeterMiddleware"]


class MeterMiddleware:
    """Opens a meter for each request: `app.wsgi_app = MeterMiddleware(app.wsgi_app, max_cost="0.05")`.

    The meter is open until the server has closed the answer, so that what a streamed answer calls is counted.
    `token_meter.current()` is the request's meter.

    Args:
        app: the app behind this middleware.
        tags: labels of the calls, or a function of the WSGI environ that returns them:
            `lambda environ: {"customer": environ["HTTP_X_CUSTOMER"]}`. What such a function raises is logged, and the
            request is counted without tags.
        budgets: shared budgets, or a function of the WSGI environ that returns them; what it raises is raised.
        done: called with the environ and the meter when the request has ended; what it raises is logged.
        settings: whatever else `meter()` takes, such as `name`, `max_cost`, `max_calls`, `ledger`, `handlers`.

    Raises:
        ConfigError: the settings are not those of a meter.
        BudgetExceededError: raised inside of the app by the call that a limit refuses, for its own error handlers.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        tags: Tags | Callable[[WSGIEnvironment], Tags] | None = None,
        budgets: Iterable[Any] | Callable[[WSGIEnvironment], Iterable[Any]] = (),
        done: Callable[[WSGIEnvironment, Meter], object] | None = None,
        **settings: Any,
    ) -> None:
        self.app = app
        self._requests = PerRequest(tags, budgets, done, settings)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request in a meter of its own."""
        cb = self._requests.meter_of(environ).start()
        try:
            answer = self.app(environ, start_response)
        except BaseException:
            cb.stop()
            self._requests.ended(environ, cb)
            raise
        if isinstance(answer, (list, tuple, environ.get("wsgi.file_wrapper", ()))):
            # It is whole, or a file; servers send these in ways of their own, which a wrapper would take from them.
            cb.stop()
            self._requests.ended(environ, cb)
            return answer
        return _Answer(answer, cb, lambda: self._requests.ended(environ, cb))


class _Answer:
    """The app's answer, whose `close`, which every server calls (PEP 3333), closes the meter.

    Between the steps of the protocol the meter is open, and not in the context: a test client, Flask's for one, may
    leave an answer unread or unclosed, and the next request in its thread is no call of this one.
    """

    def __init__(self, answer: Iterable[bytes], cb: Meter, ended: Callable[[], object]) -> None:
        self._answer, self._cb, self._ended = answer, cb, ended
        remove(cb)

    def __iter__(self) -> Iterator[bytes]:
        push(self._cb)
        try:
            yield from self._answer
        finally:
            remove(self._cb)

    def close(self) -> None:
        """Close the answer, then the meter."""
        remove(self._cb)  # of an answer that was left early
        push(self._cb)
        try:
            if (close := getattr(self._answer, "close", None)) is not None:
                close()
        finally:
            if self._cb.is_open:
                self._cb.stop()
                self._ended()
            else:
                remove(self._cb)
