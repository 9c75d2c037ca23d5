"""The type of a report format, and the search for formats of other packages: by entry point, or by a dotted path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import NamedTuple

from token_meter.exceptions import ConfigError
from token_meter.report._markdown import COMMENT_LIMIT
from token_meter.report._summary import Summary
from token_meter.report._view import View
from token_meter.report.diff import Diff

GROUP = "token_meter.report_formats"
"""The entry-point group. An entry's name is that of the format, its object a `Format` or `(summary, view) -> str`."""


class Format(NamedTuple):
    """One format.

    Attributes:
        render: writes a summary.
        diff: writes a comparison; `None` if the format cannot show one.
        everything: it shows all rows by default.
        size_limit: the largest size that the host accepts, in bytes.
        help: one line for a list of formats.
    """

    render: Callable[[Summary, View], str]
    help: str
    diff: Callable[[Diff, View], str] | None = None
    everything: bool = True
    size_limit: int = COMMENT_LIMIT


class Formats(Mapping[str, Format]):
    """Formats by name, loaded on first use."""

    def __init__(self, built_in: Mapping[str, Format]) -> None:
        self._built_in = built_in
        self._loaded: dict[str, Format] = {}

    @cached_property
    def _installed(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=GROUP) if point.name not in self._built_in}

    def __getitem__(self, name: str) -> Format:
        """The format called *name*.

        Raises:
            KeyError: there is none.
            ConfigError: it cannot be loaded.
        """
        found = self._built_in.get(name) or self._loaded.get(name)
        if found is None:
            point = self._installed.get(name)
            found = self._loaded[name] = self._by_path(name) if point is None else _format(name, point.load)
        return found

    def __iter__(self) -> Iterator[str]:
        yield from self._built_in
        yield from sorted(self._installed)

    def __len__(self) -> int:
        return len(self._built_in) + len(self._installed)

    @staticmethod
    def _by_path(path: str) -> Format:
        module, _, attribute = path.rpartition(".")
        if not module or not all(part.isidentifier() for part in path.split(".")):
            raise KeyError(path)
        return _format(path, lambda: getattr(import_module(module), attribute))


def _format(name: str, load: Callable[[], object]) -> Format:
    try:
        found = load()
    except Exception as error:
        msg = f"report {name!r} cannot be loaded: {type(error).__name__}: {error}"
        raise ConfigError(msg) from error
    if isinstance(found, Format):
        return found
    if not callable(found):
        msg = f"report {name!r} is {type(found).__name__}; expected a token_meter.report.Format or a function"
        raise ConfigError(msg)
    return Format(found, (found.__doc__ or name).partition("\n")[0])
