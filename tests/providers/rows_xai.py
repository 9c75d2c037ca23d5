"""The rows of xAI's SDK, which speaks gRPC."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.providers.rows_compatible import closed
from tests.providers.table import Cell, Row, drain


@contextmanager
def place() -> Iterator[Any]:
    from google.protobuf.json_format import ParseDict
    from xai_sdk.proto import chat_pb2

    from tests.providers.grpc_fake import Server

    class Declared(Server):
        """With the messages that the SDK declares."""

        def message(self, method: str, answer: dict[str, Any]) -> Any:
            kind = "Chunk" if method.endswith("Chunk") else "Response"
            found = getattr(chat_pb2, f"GetChatCompletion{kind}")()
            said = [answer.get(name) for name in ("choices", "outputs")]
            called = "outputs" if "outputs" in found.DESCRIPTOR.fields_by_name else "choices"
            told = {name: value for name, value in answer.items() if value not in said}
            return ParseDict({**told, called: said[0] or said[1]}, found, ignore_unknown_fields=True)

    server = Declared()
    try:
        yield server
    finally:
        server.close()


def client(server: Any, prefix: str = "") -> Any:
    import xai_sdk

    make = getattr(xai_sdk, f"{prefix}Client")
    if "use_insecure_channel" in inspect.signature(make).parameters:
        return make(api_key="k", api_host=server.target, use_insecure_channel=True)
    return make(api_key="k", api_host=server.local)  # of 1.0


def _chat(client: Any) -> Any:
    from xai_sdk.chat import user

    chat = client.chat.create(model="grok-4", max_tokens=200)
    chat.append(user("Which rose is the pinkest?"))
    return chat


def sync(server: Any) -> None:
    found = client(server)
    _chat(found).sample()
    getattr(found, "close", lambda: None)()


async def asked(server: Any, times: int = 1) -> None:
    found = client(server, "Async")
    await asyncio.gather(*(_chat(found).sample() for _ in range(times)))
    await closed(found)


async def gathered(server: Any) -> None:
    await asked(server, 3)


async def streamed(server: Any) -> None:
    found = client(server, "Async")
    await drain(_chat(found).stream())
    await closed(found)


ROWS = (
    Row("xai-sdk", "gRPC", "xai_sdk", None, place, {
        "sync": Cell("read", sync, 107, 33, 50),
        "async": Cell("read", asked, 107, 33, 50),
        "gathered": Cell("read", gathered, 321, 99, 150, calls=3),
        "streamed": Cell("read", streamed, 107, 33, 50),
        "cached": Cell("read", asked, 107, 33, 50),
    }),
)  # fmt: skip
