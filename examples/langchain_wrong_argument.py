"""Errors in the block: `agenerate(["..."])` raises on a chat model, as a reader found, and the total is right.

The second form is what that reader changed it to.
"""

from __future__ import annotations

import asyncio
from typing import Any

from _langchain import hush
from _service import Service, run
from _shop import QUESTION
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI

from token_meter import Meter, get_openai_callback, meter

hush()


async def ask(llm: ChatOpenAI) -> Meter:
    with get_openai_callback() as cb:
        forms: dict[str, Any] = {'agenerate(["..."])': [QUESTION], "[[HumanMessage(...)]]": [[HumanMessage(QUESTION)]]}
        for form, messages in forms.items():
            tasks = [llm.agenerate(messages) for _ in range(3)]
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            kinds = ", ".join(sorted({type(answer).__name__ for answer in answers}))
            print(f"{form + ':':<22} {kinds:<14} so far {cb.successful_requests} ok, {cb.total_tokens} tokens")
    return cb


def main(service: Service) -> tuple[Meter, Meter]:
    where: dict[str, Any] = service.where()
    with meter(prices=service.prices) as whole:
        cb = asyncio.run(ask(ChatOpenAI(model="gpt-4o-mini", **where)))
    service.print_bill(whole)
    return whole, cb


if __name__ == "__main__":
    run(main)
