"""A server on loopback that gives the answers that a test has put in, in order, in a provider's own framing."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

HOLD: dict[str, Any] = {}
"""Stands in a stream where it pauses until the test is over."""
CUT: dict[str, Any] = {"cut": True}
"""Stands in a stream where the connection breaks."""

Frames = Callable[[Iterable[dict[str, Any]]], Iterator[bytes | dict[str, Any]]]
"""Makes the bytes of a stream's events; `HOLD` and `CUT` pass through as they are."""


class Reply(NamedTuple):
    """One answer: a body, or the events of a stream."""

    status: int = 200
    body: Any = None
    events: tuple[dict[str, Any], ...] | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Asked(NamedTuple):
    """One request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


def named_events(events: Iterable[dict[str, Any]]) -> Iterator[bytes | dict[str, Any]]:
    """Server-sent events that say their type."""
    for event in events:
        is_event = event is not HOLD and event is not CUT
        yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() if is_event else event


class FakeServer:
    """The server, and what it was asked."""

    content_type = "text/event-stream; charset=utf-8"

    def __init__(self, frames: Frames = named_events) -> None:
        self.frames = frames
        self.replies: deque[Reply] = deque()
        self.asked: list[Asked] = []
        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def will(self, *replies: Reply) -> None:
        """Put in the next answers."""
        self.replies.extend(replies)

    def type_of(self, asked: Asked) -> str:
        """The content type of a stream."""
        return self.content_type

    def frames_of(self, asked: Asked) -> Frames:
        """The framing of a stream."""
        return self.frames

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(fake: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, json.loads(raw) if raw else {})
            fake.asked.append(asked)
            reply = fake.replies.popleft() if fake.replies else Reply(500, {"type": "error"})
            self.send_response(reply.status)
            for name, value in reply.headers:
                self.send_header(name, value)
            if reply.events is None:
                body = json.dumps(reply.body).encode()
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            else:
                self._stream(asked, reply.events)

        do_POST = do_GET = _serve

        def _stream(self, asked: Asked, events: Iterable[dict[str, Any]]) -> None:
            self.send_header("content-type", fake.type_of(asked))
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for piece in fake.frames_of(asked)(events):
                if piece is HOLD:
                    fake.over.wait(20)
                elif piece is CUT:
                    self.close_connection = True
                    return
                else:
                    assert isinstance(piece, bytes)
                    self._chunk(piece)
            self._chunk(b"")

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:  # the client has gone
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
