"""Checks the arguments of a meter.

Raises everywhere:
    ConfigError: the argument is not valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from token_meter.exceptions import ConfigError


def tags_of(tags: object) -> tuple[str, ...]:
    """Labels as a tuple of words; a mapping gives `key=value`."""
    if tags is None:
        return ()
    if isinstance(tags, str):
        msg = f"tags must be several labels, such as [{tags!r}], not one string"
        raise ConfigError(msg)
    if isinstance(tags, Mapping):
        return tuple(f"{key}={value}" for key, value in tags.items())
    if not isinstance(tags, Iterable):
        msg = f"tags must be several labels, such as ['nightly'], or a mapping, not {tags!r}"
        raise ConfigError(msg)
    return tuple(dict.fromkeys(str(tag) for tag in tags))


def check_name(name: object) -> None:
    """Refuse a name that is no text, such as the function of a decorator without parentheses."""
    if not isinstance(name, str):
        msg = f"a meter's name must be a text, not {name!r}; a limit has a keyword: max_cost=0.05"
        raise ConfigError("a function is metered by @meter(), with parentheses" if callable(name) else msg)


def check_function(function: object) -> None:
    """Refuse to decorate what cannot be called, and a class: its name would be that of a function afterwards."""
    if not callable(function) or isinstance(function, type):
        msg = f"a meter decorates a function or a method, not {function!r}; to open it, write `with meter() as cb:`"
        raise ConfigError(msg)


def check_choice(name: str, value: object, allowed: tuple[object, ...]) -> None:
    """Refuse a value that is none of the option's words."""
    if value not in allowed:
        msg = f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}"
        raise ConfigError(msg)
