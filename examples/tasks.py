"""Tasks that are created inside a block belong to it; each may have its own meter, and none waits for another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from _service import Service, run
from openai import AsyncOpenAI

from token_meter import Call, Meter, meter


async def ask(client: AsyncOpenAI, question: str) -> str:
    answer = await client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": question}], max_tokens=60
    )
    return answer.choices[0].message.content or ""


async def compute(service: Service, client: AsyncOpenAI, callback: Callable[[str], None]) -> int:
    with meter(prices=service.prices) as mine:
        print("Starting compute...")
        result = await ask(client, "3 + 4 = ")
        await service.pause(0.5)
        callback(result)
        print("Finished compute...")
    return mine.total_tokens


def print_result(value: str) -> None:
    print(f"The result is: {value.strip()}")


async def another_task(service: Service, client: AsyncOpenAI) -> int:
    with meter(prices=service.prices) as mine:
        print("Starting another task...")
        await ask(client, "Which rose is the pinkest?")
        await service.pause(1)
        print("Finished another task...")
    return mine.total_tokens


async def talk(service: Service) -> tuple[Meter, list[int]]:
    told: list[int] = []

    async def log(call: Call) -> None:  # the call's own task waits for an async handler, the other one runs on
        await service.pause(0.1)
        told.append(call.tokens.total_tokens or 0)

    async with service.async_client() as client:
        with meter(handlers=[log], prices=service.prices) as cb:
            print("Main starts...")
            task1 = asyncio.create_task(compute(service, client, print_result))
            task2 = asyncio.create_task(another_task(service, client))
            each = [await task1, await task2]
            print("Main ends...")
    print("\ntokens of each task:", " + ".join(map(str, each)), "=", cb.total_tokens)
    print("the async handler heard of", sum(told))
    return cb, each


def main(service: Service) -> tuple[Meter, list[int]]:
    cb, each = asyncio.run(talk(service))
    service.print_bill(cb)
    return cb, each


if __name__ == "__main__":
    run(main)
