"""Your own handlers on a stream, a sync one and an async one, as the lesson writes them: only the imports differ."""

from __future__ import annotations

import asyncio
from typing import Any

from _service import Service, run

from token_meter import AsyncCallbackHandler, Call, CallbackHandler, Meter, attach, meter

QUESTION = "哪种花卉最适合生日？只简单说3种，不超过50字"


class MyFlowerShopSyncHandler(CallbackHandler):
    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        print(f"获取花卉数据: token: {token}")


class MyFlowerShopAsyncHandler(AsyncCallbackHandler):
    def __init__(self, service: Service) -> None:
        self.service = service

    async def on_llm_start(self, serialized: Any, prompts: list[str], **kwargs: Any) -> None:
        print("正在获取花卉数据...")
        await self.service.pause(0.5)  # other customers are served meanwhile
        print("花卉数据获取完毕。提供建议...")

    async def on_llm_end(self, response: Call, **kwargs: Any) -> None:
        print("整理花卉建议...")
        await self.service.pause(0.5)
        print("祝你今天愉快！")


async def talk(service: Service) -> tuple[Meter, str]:
    answer = ""
    # Handlers that are given to the client hear all its calls, as with the constructor callbacks of the lesson.
    handlers = [MyFlowerShopSyncHandler(), MyFlowerShopAsyncHandler(service)]
    async with attach(service.async_client(), handlers=handlers) as client:
        with meter(prices=service.prices) as cb:
            stream = await client.chat.completions.create(
                model="gpt-4o-mini",
                messages=[{"role": "user", "content": QUESTION}],
                max_tokens=100,
                stream=True,
                stream_options={"include_usage": True},
            )
            async for chunk in stream:
                answer += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    return cb, answer


def main(service: Service) -> tuple[Meter, str]:
    cb, answer = asyncio.run(talk(service))
    service.print_bill(cb)
    return cb, answer


if __name__ == "__main__":
    run(main)
