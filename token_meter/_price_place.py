"""Where `token-meter prices update` keeps the list of a project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

PRICE_LIST = "token-meter-prices.json"
"""The file, unless the command is told another."""


def place_of_list(pyproject: Path | None) -> Path:
    """Beside the pyproject.toml, or in the working directory of a program without one."""
    return (Path.cwd() if pyproject is None else pyproject.resolve().parent) / PRICE_LIST


def list_in_place(find_pyproject: Callable[[], Path | None]) -> Path | None:
    """The list, if there is one: it counts where no setting names a price file."""
    try:
        path = place_of_list(find_pyproject())
        return path if path.is_file() else None
    except OSError:  # a working directory that is gone
        return None
