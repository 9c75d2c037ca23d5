"""The events that one handler takes and how it is called, determined once when it is attached.

A handler is any object with some of the `on_llm_*` methods, sync or `async def`, or a function, which is `on_llm_end`.
"""

from __future__ import annotations

import logging
import sys
import weakref
from collections.abc import Callable, Iterable
from types import BuiltinMethodType, MethodType
from typing import Any, NamedTuple, TypeAlias

from token_meter.exceptions import ConfigError

logger = logging.getLogger("token_meter")

CHAT_START, START, TOKEN, END, ERROR = EVENTS = (
    "on_chat_model_start", "on_llm_start", "on_llm_new_token", "on_llm_end", "on_llm_error"
)  # fmt: skip

FAILURES_LIMIT = 10
"""Failures in a row after which a handler is switched off."""
SLOW_S = 0.1
"""Seconds that a handler may block an event loop before a log line says so."""

# Methods that these modules define do nothing (LangChain's `on_chat_model_start` only says that it is not there).
_IDLE_MODULES = frozenset({"token_meter.handlers._base", "langchain_core.callbacks.base"})
_ALL_KEYWORDS = 0x08  # CO_VARKEYWORDS: the function takes **kwargs

Key: TypeAlias = tuple[int, int]


class Health:
    """The failures of a handler so far, counted over all places where it is attached."""

    __slots__ = ("failures", "is_known_bad", "is_known_slow")

    def __init__(self) -> None:
        self.failures = 0
        self.is_known_bad = False
        self.is_known_slow = False


_health: dict[Key, tuple[Callable[[], Any], Health]] = {}


class _Method(NamedTuple):
    """A handler's method and the keywords that it accepts; `None` if it takes `**kwargs`."""

    call: Callable[..., Any]
    keywords: frozenset[str] | None


class Subscriber:
    """A handler, prepared for calls.

    Attributes:
        key: the same for one handler attached at several places, so that it is called once.
        ignores_chats: it takes neither event for the start of a chat.
        wants_start, wants_tokens, include_output: whether prompts, pieces of a stream, or answers must be read for it.
    """

    __slots__ = (
        "_methods",
        "handler",
        "health",
        "ignores_chats",
        "include_output",
        "key",
        "wants_start",
        "wants_tokens",
    )

    def __init__(self, handler: Any) -> None:
        self.handler = handler
        self.key = _key(handler)
        self.health = _health_of(handler, self.key)
        self._methods = _methods(handler)
        self.ignores_chats = getattr(handler, "ignore_chat_model", False) is True
        self.wants_start = CHAT_START in self._methods or START in self._methods
        self.wants_tokens = TOKEN in self._methods
        self.include_output = getattr(handler, "include_output", False) is True

    def __repr__(self) -> str:
        return f"<Subscriber {self.name}>"

    @property
    def name(self) -> str:
        """The handler's name for a log; never its repr, which may hold secrets."""
        return getattr(self.handler, "__qualname__", None) or type(self.handler).__qualname__

    @property
    def is_off(self) -> bool:
        """Whether it failed so often that it is switched off."""
        return self.health.failures >= FAILURES_LIMIT

    @property
    def may_raise(self) -> bool:
        """Whether its exceptions are raised to the caller."""
        return getattr(self.handler, "raise_error", False) is True

    def wants(self, event: str) -> bool:
        """Whether it has a method for *event*."""
        return event in self._methods

    def call(self, event: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the method for *event*; the result may be something to await."""
        method, keywords = self._methods[event]
        if keywords is not None:
            kwargs = {name: value for name, value in kwargs.items() if name in keywords}
        return method(*args, **kwargs)

    def reset_failures(self) -> None:
        """Reset the count of failures in a row."""
        self.health.failures = 0

    def failed(self, error: Exception, event: str) -> None:
        """Count a failure; log the handler's first one without its text, which may quote an answer."""
        health = self.health
        health.failures += 1
        if not health.is_known_bad:
            health.is_known_bad = True
            logger.warning(
                "token_meter: %s of the handler %s raised %s; calls go on, this is logged once, and after %d failures "
                "in a row the handler is switched off",
                event, self.name, type(error).__qualname__, FAILURES_LIMIT,
            )  # fmt: skip

    def report_slow(self, seconds: float, event: str) -> None:
        """Log once that the handler blocks an event loop."""
        if not self.health.is_known_slow:
            self.health.is_known_slow = True
            logger.warning(
                "token_meter: %s of the handler %s held the event loop for %.0f ms; make it `async def`, or let it "
                "hand its work to a queue or thread (this is logged once)",
                event, self.name, seconds * 1000,
            )  # fmt: skip


def subscribers(handlers: Iterable[Any]) -> tuple[Subscriber, ...]:
    """Prepare handlers for calls.

    Raises:
        ConfigError: one of them is not a handler.
    """
    if isinstance(handlers, (str, bytes)) or not isinstance(handlers, Iterable):
        name = getattr(handlers, "__name__", f"{type(handlers).__name__}(...)")
        msg = f"handlers must be several handlers, such as [{name}], not one"
        raise ConfigError(msg)
    return unique(map(Subscriber, handlers))


def unique(found: Iterable[Subscriber]) -> tuple[Subscriber, ...]:
    """Each handler once, at its first place."""
    by_key: dict[Key, Subscriber] = {}
    for subscriber in found:
        by_key.setdefault(subscriber.key, subscriber)
    return tuple(by_key.values())


def _methods(handler: Any) -> dict[str, _Method]:
    if isinstance(handler, type):
        msg = f"{handler.__name__} is a class; a handler is an instance of it: {handler.__name__}()"
        raise ConfigError(msg)
    found = {name: method for name in EVENTS if callable(method := getattr(handler, name, None))}
    if not found:
        if not callable(handler):
            msg = (
                f"a handler is an object with some of the methods {', '.join(EVENTS)}, or a function that takes a "
                f"finished call; this {type(handler).__name__} is neither"
            )
            raise ConfigError(msg)
        return {END: _Method(handler, _keywords(handler, END))}
    ignored = set()
    if getattr(handler, "ignore_llm", False) is True:
        ignored = {START, TOKEN, END, ERROR}
    if getattr(handler, "ignore_chat_model", False) is True:
        ignored.add(CHAT_START)
    return {
        name: _Method(method, _keywords(method, name))
        for name, method in found.items()
        if name not in ignored and not _is_idle(handler, name)
    }


def _is_idle(handler: Any, name: str) -> bool:
    """Whether the method is only inherited from a base on which it does nothing."""
    if name in getattr(handler, "__dict__", ()):
        return False
    for cls in type(handler).__mro__:
        if name in cls.__dict__:
            return cls.__module__ in _IDLE_MODULES
    return False


def _keywords(function: Any, event: str) -> frozenset[str] | None:
    """The keywords that *function* accepts, apart from the positional arguments of *event*; `None` for `**kwargs`."""
    given = 2 if event in (CHAT_START, START) else 1
    code = getattr(function, "__code__", None)
    if code is not None:  # the signature of the function that is called, not of one that it wraps
        if code.co_flags & _ALL_KEYWORDS:
            return None
        given = max(given + isinstance(function, MethodType), code.co_posonlyargcount)
        return frozenset(code.co_varnames[given : code.co_argcount + code.co_kwonlyargcount])
    import inspect

    try:
        if sys.version_info >= (3, 14):  # it evaluates annotations, which may use imports made for type checkers only
            from annotationlib import Format

            parameters = inspect.signature(function, annotation_format=Format.FORWARDREF).parameters.values()
        else:
            parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return frozenset()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD or p.kind is p.POSITIONAL_ONLY]
    only = {p.name for p in parameters if p.kind is p.POSITIONAL_ONLY}
    named = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    return frozenset((*positional[given:], *named)) - only


def _key(handler: Any) -> Key:
    # A bound method, `calls.append` too, is a new object each time that it is looked up.
    if isinstance(handler, MethodType):
        return id(handler.__self__), id(handler.__func__)
    if isinstance(handler, BuiltinMethodType) and handler.__self__ is not None:
        return id(handler.__self__), hash(handler.__name__)
    return id(handler), 0


def _health_of(handler: Any, key: Key) -> Health:
    """The health of a handler, shared by all places where it is attached; dropped when the handler is collected."""
    owner = handler.__self__ if isinstance(handler, MethodType) else handler
    known = _health.get(key)
    if known is not None and known[0]() is owner:
        return known[1]
    health = Health()
    try:
        reference = weakref.ref(owner, lambda _: _health.pop(key, None))
    except TypeError:  # an object with slots has no weak references: its failures are counted for each place
        return health
    _health[key] = (reference, health)
    return health
