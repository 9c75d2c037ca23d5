"""Three customers at once: each question comes over a WebSocket, its answer goes back token by token, then the bill.

While the handler of one customer waits, the others are served; no meter sees the tokens of another.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from _screen import say
from _service import Service, run
from openai import AsyncOpenAI
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from token_meter import AsyncCallbackHandler, Meter, meter

QUESTIONS = {
    "Ada": "哪种花卉最适合生日？",
    "Bob": "Which rose is the pinkest?",
    "Cem": "How long do cut roses live?",
}


class ToSocket(AsyncCallbackHandler):
    """Sends each token to its customer as it passes."""

    def __init__(self, socket: ServerConnection, wait_s: float) -> None:
        self.socket = socket
        self.wait_s = wait_s

    async def on_llm_start(self, serialized: Any, prompts: list[str], **kwargs: Any) -> None:
        await asyncio.sleep(self.wait_s)

    async def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        await self.socket.send(json.dumps({"token": token}))


class Shop:
    def __init__(self, service: Service, client: AsyncOpenAI) -> None:
        self.service = service
        self.client = client

    async def answer(self, socket: ServerConnection) -> None:
        """Serve one customer until the connection closes."""
        async for question in socket:
            slow = "生日" in str(question)
            handler = ToSocket(socket, wait_s=0.5 * self.service.pace if slow else 0)
            with meter(handlers=[handler], prices=self.service.prices) as cb:
                stream = await self.client.chat.completions.create(
                    model="gpt-4o-mini",
                    messages=[{"role": "user", "content": str(question)}],
                    stream=True,
                    stream_options={"include_usage": True},
                )
                async for _ in stream:
                    pass  # the handler sends
            await socket.send(json.dumps({"total_tokens": cb.total_tokens}))


async def customer(name: str, url: str, done: list[tuple[str, str, int]]) -> None:
    """Ask, and read until the bill comes."""
    text = ""
    async with connect(url) as socket:
        await socket.send(QUESTIONS[name])
        async for message in socket:
            event = json.loads(message)
            text += event.get("token", "")
            if "total_tokens" in event:
                break
    done.append((name, text, event["total_tokens"]))


def print_served(done: list[tuple[str, str, int]], cb: Meter) -> None:
    """Print what each customer read and paid for, and that it adds up to what the shop's meter *cb* says."""
    for name, text, tokens in sorted(done):
        say(f"{name}:", text, indent=5)
        print(f"     {tokens} tokens")
    print("\nlast served:", done[-1][0])
    print("all customers:", " + ".join(str(tokens) for *_, tokens in sorted(done)), "=", cb.total_tokens)


async def open_shop(service: Service) -> tuple[Meter, list[tuple[str, str, int]]]:
    done: list[tuple[str, str, int]] = []
    # Whatever the server does for a customer belongs to the blocks that were open when it was started.
    with meter("shop", prices=service.prices) as cb:
        async with service.async_client() as client, serve(Shop(service, client).answer, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            await asyncio.gather(*[customer(name, url, done) for name in QUESTIONS])
    print_served(done, cb)
    return cb, done


def main(service: Service) -> tuple[Meter, list[tuple[str, str, int]]]:
    cb, done = asyncio.run(open_shop(service))
    service.print_bill(cb)
    return cb, done


if __name__ == "__main__":
    run(main)
