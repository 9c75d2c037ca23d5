"""A meter for each request of a web app: what the middlewares of both protocols share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from token_meter._meter import Meter, meter
from token_meter._meter.validation import check_function, tags_of
from token_meter.totals.totals import amount

Tags: TypeAlias = Iterable[str] | Mapping[str, object]
Request: TypeAlias = Any
"""What the protocol calls a request: ASGI's scope, WSGI's environ."""

logger = logging.getLogger("token_meter")


class PerRequest:
    """Makes the meters of an app's requests.

    Args:
        tags: labels of each request's calls, or a function of the request that returns them.
        budgets: shared budgets of each request's calls, or a function of the request that returns them.
        done: told of each request, with its meter, when it has ended.
        settings: whatever else `meter()` takes.

    Raises:
        ConfigError: `meter()` takes no such settings.
    """

    def __init__(
        self,
        tags: Tags | Callable[[Request], Tags] | None,
        budgets: Iterable[Any] | Callable[[Request], Iterable[Any]],
        done: Callable[[Request, Meter], object] | None,
        settings: Mapping[str, Any],
    ) -> None:
        self._tags = tags if callable(tags) else tags_of(tags)
        self._settings = for_many(settings)
        self._budgets = budgets if callable(budgets) else for_many({"budgets": budgets})["budgets"]
        self._done = done
        if done is not None:
            check_function(done)
        # A mistake is reported when the app is made, not at its first request.
        meter(budgets=() if callable(self._budgets) else self._budgets, **self._settings)

    def meter_of(self, request: Request) -> Meter:
        """A new meter for *request*. What a function for budgets raises is the app's: without them, none would hold."""
        budgets = self._budgets(request) if callable(self._budgets) else self._budgets
        return meter(tags=self._tags_of(request), budgets=budgets, **self._settings)

    def _tags_of(self, request: Request) -> Tags | None:
        if not callable(self._tags):
            return self._tags
        try:
            return tags_of(self._tags(request))
        except Exception as error:  # noqa: BLE001 - an app's own function
            # Not its text, which may hold what a user has sent.
            logger.warning("token_meter: tags of a request: %s; it is counted without tags", type(error).__qualname__)
            return None

    def ended(self, request: Request, cb: Meter) -> None:
        """Tell the app's function. Its failure is logged, because the request has been answered."""
        if self._done is not None:
            try:
                self._done(request, cb)
            except Exception as error:  # noqa: BLE001 - an app's own function
                logger.warning("token_meter: done() of a request raised %s", type(error).__qualname__)


def for_many(settings: Mapping[str, Any]) -> dict[str, Any]:
    """*settings* for the meters of many requests: what can be gone through only once would hold for the first alone."""
    return {name: tuple(value) if isinstance(value, Iterator) else value for name, value in settings.items()}


def server_timing(cb: Meter) -> str | None:
    """The value of a `Server-Timing` header (W3C, https://www.w3.org/TR/server-timing/) that shows what a request used.

    `None` while a stream is open, because its tokens are not known.
    """
    if cb.open_streams:
        return None
    return f'llm;desc="{cb.total_tokens} tokens, {amount(cb)}"'
