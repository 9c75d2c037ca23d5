"""An agent with a budget: it works in steps with a tool, until the next call could exceed the limit.

That call is refused before it is sent. With `cb.suspended()` the agent may still sum up what it has.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from _service import Service, run
from openai import OpenAI

from token_meter import BudgetExceededError, Meter, meter

LIMIT = "0.0006"
MODEL = "gpt-4o-mini"
STOCK: Any = {
    "type": "function",
    "function": {
        "name": "check_stock",
        "description": "How many stems of a flower are in the shop.",
        "parameters": {
            "type": "object",
            "properties": {"flower": {"type": "string", "enum": ["rose", "lily", "tulip"]}},
            "required": ["flower"],
        },
    },
}


def step(client: OpenAI, messages: list[Any], number: int) -> None:
    """One step: the model asks for the stock, is told it, and goes on."""
    messages.append({"role": "user", "content": f"Step {number}: check the stock and plan the next bouquet."})
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=[STOCK], max_tokens=100)
    asked = answer.choices[0].message
    messages.append(asked.to_dict())
    messages += [{"role": "tool", "tool_call_id": call.id, "content": "12 stems"} for call in asked.tool_calls or ()]
    said = client.chat.completions.create(model=MODEL, messages=messages, tools=[STOCK], max_tokens=100)
    messages.append({"role": "assistant", "content": said.choices[0].message.content})


def main(service: Service) -> tuple[Meter, BudgetExceededError | None]:
    refusal: BudgetExceededError | None = None
    messages: list[Any] = [{"role": "system", "content": "You plan the bouquets of a flower shop."}]
    with (
        service.client() as client,
        meter("agent", max_cost=LIMIT, warn_at=None, prices=service.prices) as cb,
    ):
        try:
            for number in count(1):
                with meter("step", prices=service.prices) as this:
                    step(client, messages, number)
                print(f"step {number}: ${this.cost}, and ${cb.remaining.cost} are left of ${LIMIT}")
        except BudgetExceededError as error:
            refusal = error
            print(f"step {number}: refused, may need ${error.wanted} after ${error.spent}")
        with cb.suspended():  # one last answer may pass
            messages = [messages[0], messages[-1], {"role": "user", "content": "Sum up your plan in one sentence."}]
            client.chat.completions.create(model=MODEL, messages=messages, max_tokens=60)
    print(f"\n{cb.tree()}")
    service.print_bill(cb)
    return cb, refusal


if __name__ == "__main__":
    run(main)
