"""One command and its answer over an open connection of redis-py, which has connected and signed in.

redis-py's own way of sending and parsing takes longer for a step than the server does. The attributes of connections
that are used here are the same from redis-py 5.0.8 to 8.1 (2026-11).
"""

from __future__ import annotations

from typing import Any

_PIECE = 65536


class ServerError(Exception):
    """The server answered with an error."""


class _Reply:
    """The answer so far: one bulk string, or an error."""

    def __init__(self) -> None:
        self._data = b""

    def add(self, piece: bytes) -> bytes | None:
        """The text, when it is whole.

        Raises:
            ConnectionError: the server has closed the connection.
            ServerError: it says that the command failed.
        """
        if not piece:
            msg = "the server closed the connection"
            raise ConnectionResetError(msg)
        data = self._data = self._data + piece if self._data else piece
        head, end, text = data.partition(b"\r\n")
        if not end:
            return None
        if head[:1] != b"$":
            raise ServerError(head[1:].decode(errors="replace"))
        size = int(head[1:])
        return text[:size] if len(text) >= size + 2 else None


def tell(connection: Any, command: bytes) -> bytes:
    """Send a packed command, and return its answer."""
    socket, reply = connection._sock, _Reply()
    socket.sendall(command)
    while True:
        text = reply.add(socket.recv(_PIECE))
        if text is not None:
            return text


async def atell(connection: Any, command: bytes) -> bytes:
    """The same, awaited."""
    reader, reply = connection._reader, _Reply()
    connection._writer.write(command)
    while True:
        text = reply.add(await reader.read(_PIECE))
        if text is not None:
            return text


def plain(connection: Any) -> Any:
    """A connection that does not begin by telling the server, in two round trips, which library it is of."""
    for name in vars(connection).keys() & {"driver_info", "lib_name", "lib_version"}:
        setattr(connection, name, None)
    return connection


def bulk(text: bytes) -> bytes:
    """One string of a command, as it is sent."""
    return b"$%d\r\n%b\r\n" % (len(text), text)
