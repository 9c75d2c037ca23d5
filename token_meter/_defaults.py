"""The default price book, budget store and ledger of this process.

They are set by `configure`, else by the host of the program (pytest's plugin), `TOKEN_METER_PRICES`,
`TOKEN_METER_STORE` and `TOKEN_METER_LEDGER`, or the pyproject.toml at or above the working directory, in this order.
Files are looked up once, when one is first needed, so that all parts of a program and its report use the same one.
Prices are loaded if a file is named, or when a call is priced.
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
_ledger: object = None
_found_ledger: tuple[str | None] | None = None


def configure(
    *,
    prices: PriceBook | str | os.PathLike[str] | _NotGiven | None = _NOT_GIVEN,
    store: object = _NOT_GIVEN,
    ledger: object = _NOT_GIVEN,
) -> None:
    """Set the defaults of this process. What is not given stays, `None` takes it back; without any argument, all of it.

    Later meters and budgets use them, unless they are given their own. What has been taken back is what environment and
    pyproject.toml say, which are read again.

    Args:
        prices: the price book: a `PriceBook`, or the path of a TOML or JSON file.
        store: where shared budgets are kept: an address such as `redis://host:6379/0`, or a `BudgetStore`.
        ledger: where meters write their calls: a directory, which `token-meter report` reads, or what else
            `meter(ledger=...)` takes.

    Raises:
        ConfigError: the price book is neither, or the file cannot be read or is not valid; the ledger is none.
    """
    global _configured, _found, _store, _ledger, _found_ledger
    if isinstance(prices, _NotGiven) and store is _NOT_GIVEN and ledger is _NOT_GIVEN:
        prices = store = ledger = None
    if isinstance(ledger, (str, os.PathLike)):
        ledger = os.path.abspath(ledger)  # the working directory may change
    elif ledger not in (None, _NOT_GIVEN) and not any(hasattr(ledger, name) for name in ("call", "on_end")):
        msg = f"ledger must be a directory, a Ledger or a sink of calls, not {ledger!r}"
        raise ConfigError(msg)
    if not isinstance(prices, _NotGiven):
        _configured, _found = None if prices is None else book_of(prices), None
    if not isinstance(store, _NotGiven):
        _store = store
    if not isinstance(ledger, _NotGiven):
        _ledger, _found_ledger = ledger, None


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


def default_ledger() -> object:
    """Where meters write that are told nothing; `None`: nowhere. Files are looked up once."""
    global _found_ledger
    if _ledger is not None:
        return _ledger
    if _found_ledger is None:
        _found_ledger = (_look_for_ledger(),)
    return _found_ledger[0]


def _look_for_ledger() -> str | None:
    """Nothing is imported where nothing names one: every first meter of a program asks."""
    if not os.environ.get("TOKEN_METER_LEDGER"):
        folder, inner = os.path.abspath(os.curdir), ""
        while folder != inner and not os.path.isfile(os.path.join(folder, "pyproject.toml")):
            folder, inner = os.path.dirname(folder), folder
        try:
            with open(os.path.join(folder, "pyproject.toml"), "rb") as file:
                text = file.read()
        except OSError:
            return None
        if b"token_meter" not in text or b"ledger" not in text:
            return None
    from token_meter.config import program_setting

    named = program_setting("ledger")
    return None if named is None else os.path.abspath(os.path.join(named.directory, named.value))


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
