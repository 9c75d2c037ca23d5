"""The rows of xAI's SDK, which speaks gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
            return ParseDict(answer, getattr(chat_pb2, f"GetChatCompletion{kind}")())

    server = Declared()
    try:
        yield server
    finally:
        server.close()


def client(server: Any, prefix: str = "") -> Any:
    import xai_sdk

    return getattr(xai_sdk, f"{prefix}Client")(api_key="k", api_host=server.target, use_insecure_channel=True)


def _chat(client: Any) -> Any:
    from xai_sdk.chat import user

    chat = client.chat.create(model="grok-4", max_tokens=200)
    chat.append(user("Which rose is the pinkest?"))
    return chat


def sync(server: Any) -> None:
    found = client(server)
    _chat(found).sample()
    found.close()


async def asked(server: Any, times: int = 1) -> None:
    found = client(server, "Async")
    await asyncio.gather(*(_chat(found).sample() for _ in range(times)))
    await found.close()


async def gathered(server: Any) -> None:
    await asked(server, 3)


async def streamed(server: Any) -> None:
    found = client(server, "Async")
    await drain(_chat(found).stream())
    await found.close()


ROWS = (
    Row("xai-sdk", "gRPC", "xai_sdk", None, place, {
        "sync": Cell("read", sync, 107, 33, 50),
        "async": Cell("read", asked, 107, 33, 50),
        "gathered": Cell("read", gathered, 321, 99, 150, calls=3),
        "streamed": Cell("read", streamed, 107, 33, 50),
        "cached": Cell("read", asked, 107, 33, 50),
    }),
)  # fmt: skip
