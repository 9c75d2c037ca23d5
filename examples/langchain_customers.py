"""Three customers at their WebSockets: each request streams its tokens through a handler that is passed to the call.

LangChain's handler sends, and the counter of each customer reads the tokens of that customer alone.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from _langchain import hush
from _service import Service, run
from customers import QUESTIONS, customer, print_served
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_openai import ChatOpenAI
from websockets.asyncio.server import ServerConnection, serve

from token_meter import Meter, get_openai_callback, meter

hush()


class ToSocket(AsyncCallbackHandler):
    """Sends each token to its customer as it passes; one customer's is slow to begin."""

    def __init__(self, socket: ServerConnection, wait_s: float) -> None:
        self.socket = socket
        self.wait_s = wait_s

    async def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], **kwargs: Any) -> None:
        await asyncio.sleep(self.wait_s)

    async def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        await self.socket.send(json.dumps({"token": token}))


async def open_shop(service: Service) -> tuple[Meter, list[tuple[str, str, int]]]:
    where: dict[str, Any] = service.where()
    llm = ChatOpenAI(model="gpt-4o-mini", streaming=True, **where)
    done: list[tuple[str, str, int]] = []

    async def answer(socket: ServerConnection) -> None:
        async for question in socket:
            handler = ToSocket(socket, wait_s=0.5 * service.pace if "生日" in str(question) else 0)
            with get_openai_callback() as cb:
                await llm.ainvoke(str(question), config={"callbacks": [handler]})
            await socket.send(json.dumps({"total_tokens": cb.total_tokens}))

    with get_openai_callback() as cb:
        async with serve(answer, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            await asyncio.gather(*[customer(name, url, done) for name in QUESTIONS])
    print_served(done, cb)
    return cb, done


def main(service: Service) -> tuple[Meter, Meter, list[tuple[str, str, int]]]:
    with meter(prices=service.prices) as whole:
        cb, done = asyncio.run(open_shop(service))
    service.print_bill(whole)
    return whole, cb, done


if __name__ == "__main__":
    run(main)
