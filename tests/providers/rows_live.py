"""The rows of google-genai's Live API, each turn of which is a call on a websocket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from tests.providers.table import Cell, Row

MODEL = "gemini-3.8-live"
ASK: dict[str, Any] = {"turns": {"role": "user", "parts": [{"text": "Which rose is the pinkest?"}]}}


@contextmanager
def place(*, is_vertex: bool = False) -> Iterator[Any]:
    genai = pytest.importorskip("google.genai")
    pytest.importorskip("websockets.asyncio.client")
    from tests.providers.live_fake import FakeLive

    if is_vertex and int(genai.__version__.partition(".")[0]) < 3:
        pytest.skip("this google-genai asks for credentials of its own here")
    fake: Any = FakeLive()
    fake.by = {}
    if is_vertex:
        from google.oauth2.credentials import Credentials

        credentials: Any = Credentials("sim")  # type: ignore[no-untyped-call]
        fake.by = {"vertexai": True, "project": "roses", "location": "europe-west4", "credentials": credentials}
    try:
        yield fake
    finally:
        fake.close()


async def _talk(fake: Any, *turns: list[dict[str, Any]], until: int | None = None) -> None:
    from tests.providers.live_fake import client_of

    fake.will(*turns)
    async with client_of(fake, **fake.by).aio.live.connect(model=MODEL, config={"max_output_tokens": 200}) as session:
        for _ in turns:
            await session.send_client_content(**ASK)
            if until is not None:
                await session._receive()
                return
            async for _ in session.receive():
                pass


async def asked(fake: Any) -> None:
    from tests.providers.live_fake import over, text, usage

    await _talk(fake, [text(), over(usage())])


async def gathered(fake: Any) -> None:
    await asyncio.gather(*(asked(fake) for _ in range(3)))


async def left(fake: Any) -> None:
    from tests.providers.live_fake import text

    await _talk(fake, [text()], until=1)


async def tools(fake: Any) -> None:
    from tests.providers.live_fake import over, text, usage

    call = {"toolCall": {"functionCalls": [{"id": "f1", "name": "look_up", "args": {"rose": "pink"}}]}}
    await _talk(fake, [text("Let me see."), call, over(usage())])


async def cached(fake: Any) -> None:
    from tests.providers.live_fake import over, text, usage

    await _talk(fake, [text(), over(usage(180, 43, cachedContentTokenCount=50))])


CELLS = {
    "async": Cell("read", asked),
    "gathered": Cell("read", gathered, 321, 129, calls=3),
    "streamed": Cell("read", asked),
    "left early": Cell("estimated", left, prompt=None, completion=None),
    "tools": Cell("read", tools),
    "cached": Cell("read", cached, 180, 43, 50),
}
ROWS = (
    Row("google-genai Live", "websockets", "google.genai.live", "google", place, CELLS),
    Row("google-genai Live (Vertex AI)", "websockets", "google.genai.live", "google",
        partial(place, is_vertex=True), CELLS),
)  # fmt: skip
