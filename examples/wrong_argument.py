"""Errors in the block: they reach the program unchanged, and the meter stays correct."""

from __future__ import annotations

import asyncio
from typing import Any

from _service import Service, run
from _shop import QUESTION

from token_meter import Meter, meter


async def ask(service: Service) -> Meter:
    async with service.async_client() as client:
        with meter(prices=service.prices) as cb:

            async def create(arguments: dict[str, Any]) -> Any:
                return await client.chat.completions.create(**arguments)

            async def gather(what: str, **arguments: Any) -> None:
                answers = await asyncio.gather(*[create(arguments) for _ in range(3)], return_exceptions=True)
                kinds = ", ".join(sorted({type(answer).__name__ for answer in answers}))
                counted = f"{cb.successful_requests} ok, {cb.failed_requests} failed, {cb.total_tokens} tokens"
                print(f"{what + ':':<22} {kinds:<16} so far {counted}")

            # The SDK itself refuses this one: nothing is sent.
            await gather("without messages", model="gpt-4o-mini")
            # The lesson's slip, a text where a message belongs: the server refuses it.
            await gather("a text as message", model="gpt-4o-mini", messages=[QUESTION])
            await gather("a message", model="gpt-4o-mini", messages=[{"role": "user", "content": QUESTION}])
    return cb


def main(service: Service) -> Meter:
    cb = asyncio.run(ask(service))
    service.print_bill(cb)
    return cb


if __name__ == "__main__":
    run(main)
