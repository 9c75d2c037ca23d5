"""Calls what stands in a class as Python would.

Most of what we replace is a plain function, which takes its instance first. Others may have put something else there
before us: a wrapper of wrapt, as tracers do, a `partialmethod`, a `staticmethod`, a mock. Each of those learns its
instance when it is looked up, or never.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any


def as_function(owner: Any, name: str, member: Any) -> Callable[..., Any]:
    """What stands as *name* in *owner*, to be called with the instance first; a plain function as it is."""
    # Not isinstance: a wrapper of wrapt says that it is what it wraps.
    if type(member) is FunctionType or not isinstance(owner, type):
        return member  # type: ignore[no-any-return]  # what stands in a module is bound to nothing
    bind = getattr(type(member), "__get__", None)

    def call(instance: Any, /, *args: Any, **kwargs: Any) -> Any:
        bound = member if bind is None else bind(member, instance, type(instance))
        return bound(*args, **kwargs)

    # Not `functools.wraps`: it fails at objects that answer to any name, and copies all that is in a mock.
    call.__name__, call.__qualname__ = name, f"{owner.__qualname__}.{name}"
    call.__wrapped__ = member  # type: ignore[attr-defined]  # for `inspect`, as everybody who wraps sets it
    return call


def owner_of(owner: Any, name: str) -> Any:
    """The class among *owner* and its bases that defines *name*; what is no class is its own owner."""
    for cls in getattr(owner, "__mro__", (owner,)):
        if name in cls.__dict__:
            return cls
    msg = f"no {name}"
    raise AttributeError(msg)


def home_of(function: Any) -> str:
    """The package whose code *function* is; empty for what has no code to look at."""
    # Not `__module__`, which those who wrap copy.
    name: str = getattr(function, "__globals__", {}).get("__name__", "")
    return name.partition(".")[0]
