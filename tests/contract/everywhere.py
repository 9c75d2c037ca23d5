"""One call from each place that a program calls from, through its own clients."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import openai

from tests.contract import shapes

CALLS = 4


def ask_everywhere(base_url: str, api_key: str) -> None:
    """Sync, in a thread, in a pool, async."""
    options: dict[str, Any] = {"base_url": base_url, "api_key": api_key, "max_retries": 0}

    async def ask_async() -> None:
        async with openai.AsyncOpenAI(**options) as client:
            await client.chat.completions.create(**shapes.CHAT)

    with openai.OpenAI(**options) as client:
        ask = partial(client.chat.completions.create, **shapes.CHAT)
        ask()
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(ask).result()
    asyncio.run(ask_async())
