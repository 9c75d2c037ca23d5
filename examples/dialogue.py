"""The lesson's token counter: a dialogue in three turns, then three questions at once in their own block.

The history is sent again with each turn, so each turn costs more than the one before.
"""

from __future__ import annotations

import asyncio

from _screen import say
from _service import Service, run
from _shop import QUESTION, TEMPLATE, TURNS, complete

from token_meter import Meter, meter


def dialogue(service: Service) -> tuple[Meter, list[int]]:
    """Talk to the florist; return the meter, and the tokens of each turn."""
    memory: list[str] = []
    each: list[int] = []
    with service.client() as client, meter("dialogue", prices=service.prices) as cb:
        for turn, said in enumerate(TURNS, start=1):
            prompt = TEMPLATE.format(history="\n".join(memory), input=said)
            answer = complete(client, service.text_model, prompt)
            memory += [f"Human: {said}", f"AI: {answer}"]
            each.append(cb.total_tokens - sum(each))  # a meter can be read while its block is open
            say(f"{turn}. Human:", said, indent=3)
            say("   AI:", answer, indent=3)
            print(f"   this turn {each[-1]} tokens, so far {cb.total_tokens}")
    print("\n总计使用的tokens:", cb.total_tokens)
    return cb, each


async def additional_interactions(service: Service) -> tuple[Meter, list[int]]:
    """Ask three questions at once; return the block's meter, and the tokens of each task."""
    async with service.async_client() as client:

        async def ask() -> int:
            with meter(prices=service.prices) as mine:
                await client.chat.completions.create(
                    model="gpt-4o-mini", messages=[{"role": "user", "content": QUESTION}]
                )
            return mine.total_tokens

        with meter("at once", prices=service.prices) as cb:
            each = await asyncio.gather(*[ask() for _ in range(3)])
    print("另外的交互中使用的tokens:", " + ".join(map(str, each)), "=", cb.total_tokens)
    return cb, each


def main(service: Service) -> tuple[tuple[Meter, list[int]], tuple[Meter, list[int]]]:
    talked = dialogue(service)
    asked = asyncio.run(additional_interactions(service))
    service.print_bill(talked[0], asked[0])
    return talked, asked


if __name__ == "__main__":
    run(main)
