"""The default price book of this process.

It is set by `configure`, else by the host of the program (pytest's plugin), `TOKEN_METER_PRICES`, or the pyproject.toml
at or above the working directory, in this order. Files are looked up once, when a book is first needed, so that all
parts of a program and its report use the same one. Prices are loaded if a file is named, or when a call is priced.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from token_meter._aside import begin, is_on_loop
from token_meter.exceptions import ConfigError

if TYPE_CHECKING:
    from token_meter.prices import PriceBook
    from token_meter.types import Call

_configured: PriceBook | None = None
_of_host: PriceBook | None = None
_found: tuple[PriceBook | None] | None = None


def configure(*, prices: PriceBook | str | os.PathLike[str] | None = None) -> None:
    """Set the default price book of this process: a `PriceBook`, or the path of a TOML or JSON file.

    Later meters use it, unless they are given `prices=`. With `None`, environment and pyproject.toml apply again, and
    are read again.

    Raises:
        ConfigError: it is neither, or the file cannot be read or is not valid.
    """
    global _configured, _found
    _configured, _found = None if prices is None else book_of(prices), None


def set_by_host(book: PriceBook | None) -> PriceBook | None:
    """Set the default of the program's host; return the previous one, so that it can be restored."""
    global _of_host
    before, _of_host = _of_host, book
    return before


def book_of(given: object) -> PriceBook:
    """The price book, read from its file where a path was given.

    Raises:
        ConfigError: it is neither, or the file cannot be read or is not valid.
    """
    from token_meter.prices import PriceBook

    if isinstance(given, PriceBook):
        return given
    if isinstance(given, (str, os.PathLike)):
        return PriceBook.from_file(given)
    msg = f"prices must be a PriceBook, or the path of a price file, not {given!r}"
    raise ConfigError(msg)


def configured_book() -> PriceBook | None:
    """The book that was set by `configure` or by the host of the program."""
    return _configured or _of_host


def given_book() -> PriceBook | None:
    """The default book, if anything names one; `None`: list prices."""
    global _found
    given = _configured or _of_host
    if given is not None:
        return given
    if _found is None:
        _found = (_look(),)
    return _found[0]


def default_book() -> PriceBook:
    """The default book; list prices if none is named."""
    given = given_book()
    if given is not None:
        return given
    from token_meter.prices import DEFAULT_BOOK

    return DEFAULT_BOOK


def is_list_loaded() -> bool:
    """Whether the public prices are there, so that any price is found at once."""
    public = sys.modules.get("token_meter.prices._public")
    return public is not None and getattr(public, "_get_snapshot", None) is not None


def slow_part(book: PriceBook | None, call: Call) -> Callable[[], object] | None:
    """What has to be loaded before *call* has a price by *book* or the default one; `None`: nothing."""
    if is_list_loaded():
        return None
    if book is None:
        prices = sys.modules.get("token_meter.prices")
        if getattr(prices, "DEFAULT_BOOK", None) is None:  # another thread may be importing it
            return lambda: (default_book().slow_part(call) or int)()
        book = default_book()
    return book.slow_part(call)


def is_put_off(book: PriceBook | None, groups: deque[list[Call]]) -> bool:
    """Whether an event loop would wait for the price list; a thread then begins to load it, for later calls."""
    waiting = groups.copy() if is_on_loop() else None
    loads = slow_part(book, waiting[0][0]) if waiting else None
    if loads is not None:
        begin(loads)
    return loads is not None


def _look() -> PriceBook | None:
    """Read the file that environment or pyproject.toml names.

    One that cannot be read leaves all calls without a price, and the reason says so: list prices would be wrong, and an
    exception would stop a program for the sake of its meter.
    """
    from token_meter.config import price_file

    named = price_file()
    if named is None:
        return None
    path, origin = named
    from token_meter.prices import PriceBook, UnreadableBook

    try:
        return PriceBook.from_file(path)
    except ConfigError as error:
        return UnreadableBook(f"{error} (named by {origin})")
