"""Runs the simulator in a thread of the test's process, or in the foreground as a command."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any

import uvicorn

from token_meter.exceptions import ConfigError
from token_meter.simulator.app import App
from token_meter.simulator.bill import Bill, label_of
from token_meter.simulator.options import SEGMENT, describe_options, read_options

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

TEST_KEY = "sim-test"
_START_S = 10.0
_STOP_S = 10.0
_KEEP_ALIVE_S = 75
"""Seconds for which an idle connection is kept. httpx keeps one for 5 s, as uvicorn does by default, so that a request
after 5 s could be sent to a closed socket (`ReadError`)."""


class _Server(uvicorn.Server):
    """A server with an event for its readiness."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class Simulator:
    """A loopback server that serves the OpenAI protocol and keeps its own bill.

        with Simulator() as sim:
            sim.client().chat.completions.create(model="gpt-4o-mini", messages=[...])
            print(sim.bill().total_tokens)

    It runs in a daemon thread of this process. The end of the block stops it, even while clients hold streams open.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        _refuse_public(host)
        self.app = App()
        self._host = host
        self._port = port
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Simulator:
        """Start to serve, and return when the socket listens."""
        if self._thread is not None:
            msg = "this Simulator runs already; make a second one, or stop() it first"
            raise RuntimeError(msg)
        self._socket = _listen(self._host, self._port)
        self._port = self._socket.getsockname()[1]
        self._server = _Server(_config(self.app))
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="token_meter simulator", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(_START_S):
            self.stop()
            msg = f"the simulator did not start within {_START_S} s"
            raise RuntimeError(msg)
        return self

    def stop(self) -> None:
        """Stop at once, and wait for the thread; open streams are cut off. A second call does nothing."""
        server, thread, listening = self._server, self._thread, self._socket
        self._server = self._thread = self._socket = None
        if server is not None:
            server.should_exit = server.force_exit = True
        if thread is not None:
            thread.join(_STOP_S)
        if listening is not None:
            listening.close()

    def __enter__(self) -> Simulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def base_url(self) -> str:
        """The base URL for an OpenAI client."""
        return f"{self.url}/v1"

    def base_url_with(self, **options: object) -> str:
        """A base URL that sets options for every request: `sim.base_url_with(usage="none", chunk=1)`.

        Raises:
            ConfigError: there is no such option, or its value is not valid.
        """
        pairs = [(name, str(int(v) if isinstance(v, bool) else v)) for name, v in options.items()]
        read_options(pairs)
        return f"{self.url}/{SEGMENT}/{','.join(f'{name}={value}' for name, value in pairs)}/v1"

    def bill(self, key: str | None = TEST_KEY, *, settle_s: float = 1.0) -> Bill:
        """The bill of *key*, or of all keys with `None`.

        A client may have read the last byte before the server has finished its answer, so this waits for at most
        *settle_s* seconds until no answer is being sent.
        """
        return self.app.books.settled_bill(None if key is None else label_of(key), settle_s)

    def reset(self) -> None:
        """Delete the bills, the prompt cache, stored responses and counted failures."""
        self.app.reset()

    def client(self, **options: Any) -> OpenAI:
        """An OpenAI client of this server; *options* go to its constructor."""
        from openai import OpenAI

        return OpenAI(**{"api_key": TEST_KEY, "base_url": self.base_url, **options})

    def async_client(self, **options: Any) -> AsyncOpenAI:
        """An AsyncOpenAI client of this server; *options* go to its constructor."""
        from openai import AsyncOpenAI

        return AsyncOpenAI(**{"api_key": TEST_KEY, "base_url": self.base_url, **options})


def serve(host: str = "127.0.0.1", port: int = 8000, *, allow_public: bool = False) -> None:
    """Serve in the foreground until interrupted.

    Raises:
        ConfigError: *host* can be reached from elsewhere and *allow_public* was not given.
    """
    if not allow_public:
        _refuse_public(host)
    with contextlib.closing(_listen(host, port)) as listening:
        where = f"http://{host}:{listening.getsockname()[1]}"
        print(  # noqa: T201  this is the command's output
            f"token_meter simulator: base_url={where}/v1, bill at {where}/__bill\n"
            f"options, as header `x-sim-<name>: <value>` or as {where}/{SEGMENT}/<name>=<value>,.../v1:\n"
            f"{describe_options()}",
            flush=True,
        )
        with contextlib.suppress(KeyboardInterrupt):
            _Server(_config(App())).run([listening])


def _config(app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        # The same implementation everywhere; uvicorn would prefer httptools if it is installed.
        http="h11",
        loop="asyncio",
        ws="websockets-sansio" if find_spec("websockets") else "none",
        lifespan="off",
        log_config=None,
        # Do not log sockets that options have closed.
        log_level="critical",
        access_log=False,
        server_header=False,
        # By this header, a meter knows that the call is free, even if a price book maps the host to a provider.
        headers=[("server", "token-meter-simulator")],
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
        backlog=1024,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol's number, asyncio does not disable Nagle's algorithm: every answer waits 40 ms for an ACK.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(1024)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def _refuse_public(host: str) -> None:
    try:
        is_local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = host == "localhost"
    if not is_local:
        msg = f"the simulator serves loopback hosts such as 127.0.0.1 only, not {host!r}: it checks no keys"
        raise ConfigError(msg)
