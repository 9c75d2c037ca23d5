"""Another vendor behind the same API: every base URL is counted, and an unknown price is not zero.

`--live` talks to DashScope with DASHSCOPE_API_KEY.
"""

from __future__ import annotations

import asyncio
import os

from _service import Service, run
from _shop import QUESTION, TURNS
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam

from token_meter import Meter, meter

MODEL = "qwen-turbo"
SYSTEM: ChatCompletionMessageParam = {"role": "system", "content": "你是个花店小助手。"}


def where(service: Service) -> dict[str, str]:
    if service.is_live:
        return {
            "base_url": "https://dashscope.aliyuncs.com/compatible-mode/v1",
            "api_key": os.environ["DASHSCOPE_API_KEY"],
        }
    return service.where("/compatible-mode/v1")


def dialogue(client: OpenAI) -> list[int]:
    """The three turns as a chat; print and return the tokens of each interaction."""
    messages = [SYSTEM]
    each: list[int] = []
    for i, said in enumerate(TURNS):
        messages.append({"role": "user", "content": said})
        with meter(on_unpriced="ignore") as cb:
            answer = client.chat.completions.create(model=MODEL, messages=messages)
        messages.append({"role": "assistant", "content": answer.choices[0].message.content})
        each.append(cb.total_tokens)
        print(f"交互{i + 1}使用的tokens: {cb.total_tokens}")
    return each


async def additional_interactions(client: AsyncOpenAI) -> list[int]:
    """The same question three times at once; print and return the tokens of each task."""

    async def ask() -> int:
        with meter(on_unpriced="ignore") as cb:
            await client.chat.completions.create(model=MODEL, messages=[SYSTEM, {"role": "user", "content": QUESTION}])
        return cb.total_tokens

    async with client:
        each = await asyncio.gather(*[ask() for _ in range(3)])
    print("另外的交互中使用的tokens:", " + ".join(map(str, each)))
    return each


def stream(client: OpenAI, label: str, *, include_usage: bool = False, stream_usage: bool = False) -> Meter:
    """One streamed answer: its usage is requested by the program, by the meter, or not at all."""
    with meter(stream_usage=stream_usage, on_unpriced="ignore") as cb:
        question: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]
        if include_usage:
            chunks = client.chat.completions.create(
                model=MODEL, messages=question, stream=True, stream_options={"include_usage": True}
            )
        else:
            chunks = client.chat.completions.create(model=MODEL, messages=question, stream=True)
        for _ in chunks:
            pass
    print(f"{label}: {cb.total_tokens} tokens, {'estimated' if cb.estimated_calls else 'exact'}")
    return cb


def main(service: Service) -> tuple[Meter, list[int], list[int], list[Meter]]:
    with service.client(**where(service)) as client, meter("qwen", on_unpriced="ignore") as cb:
        turns = dialogue(client)
        tasks = asyncio.run(additional_interactions(service.async_client(**where(service))))
        streams = [
            stream(client, "stream without usage"),
            stream(client, "stream with usage", include_usage=True),
            stream(client, "stream, stream_usage", stream_usage=True),
        ]
    print(f"\n{cb}")
    service.print_bill(cb)
    return cb, turns, tasks, streams


if __name__ == "__main__":
    run(main, key="DASHSCOPE_API_KEY")
