"""A forward proxy on loopback that loses some requests before it passes the rest on. It knows no model and no meter."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after-ms: 10\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Proxy:
    """Passes requests on, plain ones and CONNECT tunnels.

    Attributes:
        seen: what was done with each request, in order: `dropped`, `503` or `passed on`.
    """

    def __init__(self, failures: Iterable[str] = ()) -> None:
        """*failures* is what happens to the first requests: `drop` the connection, or answer `503`."""
        self.failures = list(failures)
        self.seen: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Passage)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    proxy: Proxy


class _Passage(socketserver.StreamRequestHandler):
    """One connection of a client; it is closed after one answer."""

    def handle(self) -> None:
        lines = [line.rstrip(b"\r\n") for line in iter(self.rfile.readline, b"\r\n") if line]
        if not lines:
            return
        body = self.rfile.read(_length(lines))
        proxy = self._proxy
        failure = proxy.failures.pop(0) if proxy.failures else None
        proxy.seen.append({"drop": "dropped", None: "passed on"}.get(failure, str(failure)))
        if failure == "503":
            self.wfile.write(REFUSAL)
        elif failure is None:
            self._pass_on(lines, body)

    @property
    def _proxy(self) -> Proxy:
        server: Any = self.server
        proxy: Proxy = server.proxy
        return proxy

    def _pass_on(self, lines: list[bytes], body: bytes) -> None:
        method, target, version = lines[0].decode("latin-1").split(" ")
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            with socket.create_connection((host, int(port))) as there:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                threading.Thread(target=_copy, args=(self.connection, there), daemon=True).start()
                _copy(there, self.connection)
            return
        url = urlsplit(target)
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        head = [line for line in lines[1:] if not line.lower().startswith((b"connection:", b"proxy-"))]
        request = [f"{method} {path} {version}".encode("latin-1"), *head, b"Connection: close", b"", b""]
        with socket.create_connection((url.hostname or "", url.port or 80)) as there:
            there.sendall(b"\r\n".join(request) + body)
            _copy(there, self.connection)


def _length(lines: list[bytes]) -> int:
    return next((int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")), 0)


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on as they come, until one side has gone."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
