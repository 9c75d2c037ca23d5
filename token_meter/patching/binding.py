"""Calls a member of a class as Python's attribute lookup would.

Most members that we patch are plain functions, which take the instance as first argument. Another package may have
replaced one before us: by a wrapper of wrapt (tracers do so), a `partialmethod`, a `staticmethod` or a mock. Those get
the instance when they are looked up (`__get__`), or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any


def as_function(owner: Any, name: str, member: Any) -> Callable[..., Any]:
    """Return *member*, found as *name* in *owner*, as a function that takes the instance first."""
    # Not isinstance: it is true for a wrapper of wrapt around a function.
    if type(member) is FunctionType or not isinstance(owner, type):
        return member  # type: ignore[no-any-return]  # functions of a module are not bound
    bind = getattr(type(member), "__get__", None)

    def call(instance: Any, /, *args: Any, **kwargs: Any) -> Any:
        bound = member if bind is None else bind(member, instance, type(instance))
        return bound(*args, **kwargs)

    # Not `functools.wraps`: it fails on objects that have every attribute, and copies the attributes of a mock.
    call.__name__, call.__qualname__ = name, f"{owner.__qualname__}.{name}"
    call.__wrapped__ = member  # type: ignore[attr-defined]  # as `functools.wraps` sets it, for `inspect`
    return call


def owner_of(owner: Any, name: str) -> Any:
    """The class among *owner* and its bases that defines *name*; *owner* itself if it is not a class.

    Raises:
        AttributeError: none of them defines it.
    """
    for cls in getattr(owner, "__mro__", (owner,)):
        if name in cls.__dict__:
            return cls
    msg = f"no {name}"
    raise AttributeError(msg)


def home_of(function: Any) -> str:
    """The package that contains the code of *function*; empty for an object without Python code."""
    # Not `__module__`, which wrappers copy from the wrapped function.
    name: str = getattr(function, "__globals__", {}).get("__name__", "")
    return name.partition(".")[0]


def is_own(owner: Any, name: str, member: Any) -> bool:
    """Whether *member*, found as *name* in the class *owner*, is the function of the class itself."""
    qualname = f"{getattr(owner, '__qualname__', '')}.{name}"
    home = str(getattr(owner, "__module__", "")).partition(".")[0]
    return getattr(member, "__qualname__", None) == qualname and home_of(member) == home
