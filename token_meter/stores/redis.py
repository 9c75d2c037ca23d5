"""Budgets in Redis 6.2 or later, or Valkey, for many machines. Needs the package `redis` (extra `token-meter[redis]`).

Each step is one run of `budget.lua`. The client's own retries are off: a step that is repeated has the same id, and a
caller waits for one answer, not for ten. Connections are redis-py's; what goes over them is ours (`talk.py`).
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha1
from importlib import import_module
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from token_meter._fork import in_child
from token_meter.exceptions import ConfigError
from token_meter.stores.protocol import (
    Answer,
    BudgetRow,
    LeaseRequest,
    LeaseRow,
    Settlement,
    StoreError,
    Units,
    Window,
    checked,
)
from token_meter.stores.script import answer_of, head, lease_of, step_arguments, window_of
from token_meter.stores.talk import ServerError, atell, bulk, plain, tell

WAIT_S = 0.25
"""How long a step waits for the server."""

_PLACES = 8
"""Connections of one event loop. A step takes a fraction of a millisecond, and opening a connection several."""
_TURN_S, _LONGEST_TURN_S = 0.01, 0.025
_SCHEMES = {"valkey": "redis", "valkeys": "rediss"}
_generation = 0


@in_child
def _after_fork() -> None:
    """A forked child uses no connection of its parent."""
    global _generation
    _generation += 1


class RedisBudgetStore:
    """A `BudgetStore` on a server.

    Args:
        url: `redis://[[user]:password@]host[:port][/db]`, `rediss://` (TLS), `valkey://`, `valkeys://` or `unix://`.
            `?namespace=NAME` keeps its budgets apart from those of others on the same server.

    Raises:
        ConfigError: the package `redis` is not installed, or the address is not valid.
    """

    def __init__(self, url: str) -> None:
        try:
            self._module = import_module("redis")
        except ImportError as error:
            msg = "a budget store on Redis or Valkey needs the package redis: pip install 'token-meter[redis]'"
            raise ConfigError(msg) from error
        self._errors = self._module.exceptions
        self._url, self.label, namespace = _parsed(url)
        self._prefix = f"{{token_meter:{namespace}}}:"
        self._is_loaded = False  # whether the server has the script
        self._load(files("token_meter.stores").joinpath("budget.lua").read_text(encoding="utf-8"))
        self._idle: deque[Any] = deque()
        self._generation = _generation
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _OfLoop] = weakref.WeakKeyDictionary()
        try:
            self._renew()
        except (ValueError, TypeError) as error:
            msg = f"{self.label} is not an address of a Redis server: {error}"
            raise ConfigError(msg) from error

    def _load(self, script: str) -> None:
        text = script.encode()
        digest = sha1(text, usedforsecurity=False).hexdigest().encode()  # by which the server knows a script
        key = bulk(b"1") + bulk(f"{self._prefix}meta".encode())
        self._by_text = b"*5\r\n" + bulk(b"EVAL") + bulk(text) + key
        self._by_digest = b"*5\r\n" + bulk(b"EVALSHA") + bulk(digest) + key

    # The interface.

    def step(self, settlements: Sequence[Settlement], request: LeaseRequest | None, epoch: str = "") -> Answer:
        """Make the settlements, then reserve for the call in all its budgets, or in none."""
        return answer_of(self._run(step_arguments(settlements, request, epoch)))

    async def astep(self, settlements: Sequence[Settlement], request: LeaseRequest | None, epoch: str = "") -> Answer:
        """The same, awaited."""
        return answer_of(await self._arun(step_arguments(settlements, request, epoch)))

    def read(self, windows: Sequence[Window]) -> Answer:
        """The states of these windows."""
        rows = [item for w in windows for item in (w.budget, w.start_ms, w.end_ms, w.back)]
        return answer_of(self._run([*head(), 0, "read", len(windows), *rows]))

    def put(self, window: Window, spent: Units, definition: str = "") -> None:
        """Set what has been spent in a window, and accept the present epoch."""
        where = (window.budget, window.start_ms, window.end_ms, window.keep_ms)
        amounts = (amount or 0 for amount in spent)
        checked(answer_of(self._run([*head(), 0, "put", *where, *amounts, definition])))

    def budgets(self) -> list[BudgetRow]:
        """All budgets by name."""
        checked(self.read(()))
        connect = self._module.Redis.from_url
        with self._translated(), connect(self._url, **self._options(self._module), socket_timeout=WAIT_S) as client:
            known = client.hgetall(f"{self._prefix}budgets")
            keys = list(client.scan_iter(f"{_escaped(self._prefix)}w:*", count=1000))
        windows: dict[str, list[Window]] = {name.decode(): [] for name in known}
        for key in keys:
            window = window_of(key.decode()[len(self._prefix) + 2 :])
            windows.setdefault(window.budget, []).append(window)
        rows = []
        for name in sorted(windows):
            found = sorted(windows[name], key=lambda window: window.start_ms, reverse=True)
            states = self.read(found).states
            rows.append(BudgetRow(name, known.get(name.encode(), b"").decode(), tuple(zip(found, states, strict=True))))
        return rows

    def leases(self) -> list[LeaseRow]:
        """All calls in flight, and those whose lease has expired."""
        checked(self.read(()))
        rows = [lease_of(line) for line in self._run([*head(), 0, "leases"]).split("\n")[4:]]
        return sorted(rows, key=lambda row: (row.until_ms, row.id))

    def close(self) -> None:
        """Close the connections of code without an event loop; those of a loop close with the loop."""
        idle, self._idle = self._idle, deque()
        for connection in idle if self._generation == _generation else ():
            connection.disconnect()

    # How it asks.

    def _run(self, arguments: Sequence[str | int]) -> str:
        """Run the script, once more if a connection turns out to have been closed while it was idle."""
        if self._generation != _generation:
            self._renew()
        with self._translated():
            while True:
                try:
                    connection, is_new = self._idle.pop(), False
                except IndexError:
                    connection, is_new = plain(self._pool.make_connection()), True
                try:
                    if is_new:
                        connection.connect()
                    try:
                        answer = tell(connection, self._packed(arguments))
                    except ServerError as error:
                        self._forgot_script(error)
                        answer = tell(connection, self._packed(arguments))
                except BaseException as error:
                    connection.disconnect()
                    if is_new or not isinstance(error, ConnectionError):
                        raise
                else:
                    self._idle.append(connection)
                    return answer.decode()

    async def _arun(self, arguments: Sequence[str | int]) -> str:
        loop = asyncio.get_running_loop()
        with self._translated():
            of_loop = self._loops.get(loop) or await self._join(loop)
            began = loop.time()
            async with of_loop.places:
                if of_loop.failed_s >= began:  # the steps before had no answer, nor has this one
                    raise TimeoutError
                try:
                    async with _Patience(loop):
                        return await self._arun_over(of_loop, arguments)
                except TimeoutError:
                    of_loop.failed_s = loop.time()
                    raise

    async def _arun_over(self, of_loop: _OfLoop, arguments: Sequence[str | int]) -> str:
        while True:
            try:
                connection, is_new = of_loop.idle.pop(), False
            except IndexError:
                connection, is_new = plain(of_loop.pool.make_connection()), True
            try:
                if is_new:
                    await connection.connect()
                try:
                    answer = await atell(connection, self._packed(arguments))
                except ServerError as error:
                    self._forgot_script(error)
                    answer = await atell(connection, self._packed(arguments))
            except BaseException as error:
                await connection.disconnect(nowait=True)
                if is_new or not isinstance(error, ConnectionError):
                    raise
            else:
                of_loop.idle.append(connection)
                return answer.decode()

    def _forgot_script(self, error: ServerError) -> None:
        """Send the script once more, if that is what the server misses; else its error is the answer."""
        if not str(error).startswith("NOSCRIPT"):
            raise error
        self._is_loaded = False

    def _packed(self, arguments: Sequence[str | int]) -> bytes:
        line = "".join([f"{argument}\n" for argument in arguments]).encode()
        was_loaded, self._is_loaded = self._is_loaded, True
        return b"%b$%d\r\n%b\r\n" % (self._by_digest if was_loaded else self._by_text, len(line), line)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise errors of the server, of its client and of the network as a `StoreError`."""
        errors = self._errors
        try:
            yield
        except (errors.RedisError, ServerError, OSError) as error:
            is_late = isinstance(error, (TimeoutError, errors.TimeoutError))
            msg = f"no answer within {WAIT_S} s" if is_late else str(error) or type(error).__name__
            raise StoreError(msg) from error

    def _options(self, module: Any) -> dict[str, Any]:
        retry = import_module(f"{module.__name__}.retry").Retry
        no_retry = retry(import_module("redis.backoff").NoBackoff(), 0)
        return {"retry": no_retry, "protocol": 2, "socket_connect_timeout": WAIT_S, "health_check_interval": 0}

    def _renew(self) -> None:
        """Start without a connection. redis-py's pool only makes them: its checks take longer than a step."""
        pool = self._module.ConnectionPool.from_url
        self._pool = pool(self._url, **self._options(self._module), socket_timeout=WAIT_S)
        self._idle = deque()
        self._generation = _generation

    async def _join(self, loop: asyncio.AbstractEventLoop) -> _OfLoop:
        module = import_module("redis.asyncio")
        found = _OfLoop(module.ConnectionPool.from_url(self._url, **self._options(module), socket_timeout=None))
        self._loops[loop] = found
        await anext(found.closing)
        return found


class _OfLoop:
    """The connections of one event loop. They close when it shuts down its asynchronous generators."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.idle: deque[Any] = deque()
        self.places = asyncio.Semaphore(_PLACES)
        self.failed_s = float("-inf")
        self.closing = self._close()

    async def _close(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            while self.idle:
                await self.idle.pop().disconnect()


class _Patience:
    """A timeout that is looked at in turns of the loop.

    A turn in which other tasks held up the loop counts no longer than `_LONGEST_TURN_S`: the server may have answered.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left_s = WAIT_S
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._begin()

    def _begin(self) -> None:
        self._began_s = self._loop.time()
        self._timer = self._loop.call_at(self._began_s + min(_TURN_S, self._left_s), self._end)

    def _end(self) -> None:
        self._left_s -= min(self._loop.time() - self._began_s, _LONGEST_TURN_S)
        if self._left_s > 0:
            self._begin()
        else:
            self._timeout.reschedule(self._loop.time())

    async def __aexit__(self, *raised: Any) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(*raised)  # raises the TimeoutError itself


def _parsed(url: str) -> tuple[str, str, str]:
    """The address for the client, the same without a password, and the namespace."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    namespace = query.pop("namespace", "default")
    if not namespace.isprintable() or set(namespace) & set("{}"):
        msg = f"a namespace of budgets must be a name without braces, not {namespace!r}"
        raise ConfigError(msg)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    real = f"{_SCHEMES.get(parts.scheme, parts.scheme)}://{parts.netloc}{parts.path}"
    return f"{real}?{urlencode(query)}" if query else real, shown, namespace


def _escaped(prefix: str) -> str:
    return "".join(f"\\{c}" if c in "*?[]\\" else c for c in prefix)
