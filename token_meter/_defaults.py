"""The default price book and the default budget store of this process.

They are set by `configure`, else by the host of the program (pytest's plugin), `TOKEN_METER_PRICES` and
`TOKEN_METER_STORE`, or the pyproject.toml at or above the working directory, in this order. Files are looked up once,
when a book is first needed, so that all parts of a program and its report use the same one. Prices are loaded if a file
is named, or when a call is priced.
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


class _NotGiven:
    """`None` takes a default back; what is not given stays."""


_NOT_GIVEN = _NotGiven()
_store: object = None


def configure(
    *,
    prices: PriceBook | str | os.PathLike[str] | _NotGiven | None = _NOT_GIVEN,
    store: object = _NOT_GIVEN,
) -> None:
    """Set the defaults of this process. What is not given stays, `None` takes it back; without any argument, all of it.

    Later meters and budgets use them, unless they are given their own. What has been taken back is what environment and
    pyproject.toml say, which are read again.

    Args:
        prices: the price book: a `PriceBook`, or the path of a TOML or JSON file.
        store: where shared budgets are kept: an address such as `redis://host:6379/0`, or a `BudgetStore`.

    Raises:
        ConfigError: the price book is neither, or the file cannot be read or is not valid.
    """
    global _configured, _found, _store
    if isinstance(prices, _NotGiven) and store is _NOT_GIVEN:
        prices = store = None
    if not isinstance(prices, _NotGiven):
        _configured, _found = None if prices is None else book_of(prices), None
    if not isinstance(store, _NotGiven):
        _store = store


def default_store() -> object:
    """The address of the default budget store, or the store itself; a file in the data directory if none is named."""
    if _store is not None:
        return _store
    from token_meter.config import program_setting

    named = program_setting("store")
    if named is not None:
        prefix, _, path = named.value.partition("sqlite:///")
        return named.value if prefix or not path else f"sqlite:///{os.path.join(named.directory, path)}"
    named = program_setting("data_dir")
    data_dir = ".token_meter" if named is None else os.path.join(named.directory, named.value)
    return f"sqlite:///{os.path.join(os.path.abspath(data_dir), 'budgets.db')}"


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
    return public is not None and getattr(public, "_get_snapshot", None) is not None and not public.unread


def slow_part(book: PriceBook | None, call: Call) -> Callable[[], object] | None:
    """What has to be loaded before *call* has a price by *book* or the default one; `None`: nothing."""
    if is_list_loaded():
        return None
    if book is None:
        prices = sys.modules.get("token_meter.prices")
        is_found = _found is not None or configured_book() is not None
        if getattr(prices, "DEFAULT_BOOK", None) is None or not is_found:  # another thread may be importing it
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
