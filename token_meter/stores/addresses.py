"""The stores by their addresses, one each in a process."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from token_meter.exceptions import ConfigError
from token_meter.stores.protocol import BudgetStore

SERVERS = ("redis", "rediss", "valkey", "valkeys", "unix")
_open: dict[str, BudgetStore] = {}


def store_at(address: str) -> BudgetStore:
    """The store at an address: `redis://...` (see `RedisBudgetStore`), or `sqlite:///file.db`, `sqlite:////absolute`.

    Raises:
        ConfigError: it is not an address of a store, or the package `redis` is missing.
    """
    found = _open.get(address)
    if found is None:
        found = _open[address] = _opened(address)
    return found


def _opened(address: str) -> BudgetStore:
    scheme = urlsplit(address).scheme
    if scheme in SERVERS:
        from token_meter.stores.redis import RedisBudgetStore

        return RedisBudgetStore(address)
    if scheme == "sqlite" and address.startswith("sqlite:///") and len(address) > len("sqlite:///"):
        from token_meter.stores.sqlite import SQLiteBudgetStore

        return SQLiteBudgetStore(Path(os.path.abspath(unquote(address.removeprefix("sqlite:///")))))
    shown = address if "@" not in address else f"{scheme}://..."  # a password may be in it
    msg = f"a budget store is redis://host:6379/0, valkey://host, or sqlite:///budgets.db, not {shown!r}"
    raise ConfigError(msg)
