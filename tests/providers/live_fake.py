"""A server on loopback that speaks Google's Live API: setup, then the messages that a test has put in for each question."""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

HANG_UP = {"hang": "up"}
"""Stands among the messages where the connection ends."""
SILENCE = base64.b64encode(bytes(960)).decode()


class FakeLive:
    """The server, and what it was asked: each message that asks for a turn takes the next of `turns`."""

    def __init__(self) -> None:
        self.turns: deque[list[dict[str, Any]]] = deque()
        self.asked: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self._server = serve(self._talk, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        port = self._server.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.socket_url = f"ws://127.0.0.1:{port}"

    def will(self, *turns: list[dict[str, Any]]) -> None:
        """Answer with *turns*, one a question."""
        self.turns.extend(turns)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()

    def _talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        try:
            connection.recv()
            connection.send(json.dumps({"setupComplete": {"sessionId": "s"}}))
            for message in connection:
                said = json.loads(message)
                if _asks(said):
                    self.asked.append(said)
                    for reply in self.turns.popleft() if self.turns else []:
                        if reply is HANG_UP:
                            connection.close(1011)
                            return
                        connection.send(json.dumps(reply).encode())
        except ConnectionClosed:
            pass


def _asks(said: dict[str, Any]) -> bool:
    content = said.get("client_content") or {}
    heard = said.get("realtime_input") or {}
    is_over = content.get("turnComplete", content.get("turn_complete"))
    return bool(is_over or "text" in heard or "audioStreamEnd" in heard or "tool_response" in said)


def text(said: str = "The rose Pink Peace.") -> dict[str, Any]:
    return {"serverContent": {"modelTurn": {"parts": [{"text": said}]}}}


def sound() -> dict[str, Any]:
    part = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": SILENCE}}
    return {"serverContent": {"modelTurn": {"parts": [part]}}}


def usage(prompt: int = 107, made: int = 43, **more: Any) -> dict[str, Any]:
    """As the Gemini API says it; thoughts are not in the total."""
    return {"promptTokenCount": prompt, "responseTokenCount": made, "totalTokenCount": prompt + made, **more}


def spoken(kind: str, tokens: int) -> list[dict[str, Any]]:
    return [{"modality": kind, "tokenCount": tokens}]


def over(said: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    """The end of a turn."""
    return {"serverContent": {"turnComplete": True, **more}, **({} if said is None else {"usageMetadata": said})}


def client_of(fake: FakeLive, **options: Any) -> Any:
    """A client whose connections lead to *fake*; the SDK itself asks for encrypted ones only."""
    from google import genai

    client: Any = genai.Client(**(options or {"api_key": "SECRET"}), http_options={"base_url": fake.url})
    client._api_client._websocket_base_url = lambda *_: fake.socket_url
    client._api_client._websocket_ssl_ctx = {}
    return client
