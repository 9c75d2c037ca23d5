"""The lesson's sync and async handlers on a streaming ChatOpenAI, under a counter; it is LangChain that tells them.

Off api.openai.com LangChain does not ask for a stream's usage, and its own counter would read 0.
"""

from __future__ import annotations

import asyncio
from typing import Any

from _langchain import hush
from _service import Service, run
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.outputs import LLMResult
from langchain_openai import ChatOpenAI

from token_meter import Meter, get_openai_callback, meter

hush()

QUESTION = "哪种花卉最适合生日？只简单说3种，不超过50字"


class MyFlowerShopSyncHandler(BaseCallbackHandler):
    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        print(f"获取花卉数据: token: {token}")


class MyFlowerShopAsyncHandler(AsyncCallbackHandler):
    def __init__(self, service: Service) -> None:
        self.service = service

    async def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], **kwargs: Any) -> None:
        print("正在获取花卉数据...")
        await self.service.pause(0.5)
        print("花卉数据获取完毕。提供建议...")

    async def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        print("整理花卉建议...")
        await self.service.pause(0.5)
        print("祝你今天愉快！")


async def talk(service: Service) -> tuple[Meter, str]:
    where: dict[str, Any] = service.where()
    flower_shop_chat = ChatOpenAI(
        model="gpt-4o-mini",
        max_tokens=100,
        streaming=True,
        callbacks=[MyFlowerShopSyncHandler(), MyFlowerShopAsyncHandler(service)],
        **where,
    )
    with get_openai_callback() as cb:
        found = await flower_shop_chat.agenerate([[HumanMessage(content=QUESTION)]])
    print("\n使用的tokens:", cb.total_tokens)
    return cb, found.generations[0][0].text


def main(service: Service) -> tuple[Meter, Meter, str]:
    with meter(prices=service.prices) as whole:
        cb, answer = asyncio.run(talk(service))
    service.print_bill(whole)
    return whole, cb, answer


if __name__ == "__main__":
    run(main)
