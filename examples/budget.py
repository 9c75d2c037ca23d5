"""A limit that holds, and a program that adapts before it is reached: half way, it sends less history.

A call that could exceed the limit is refused before it is sent; a paid answer is always returned.
"""

from __future__ import annotations

from _screen import say
from _service import Service, run
from _shop import TEMPLATE, TURNS, complete
from openai import OpenAI

from token_meter import BudgetExceededError, Call, Meter, meter

LIMIT = 1500


class Florist:
    def __init__(self, service: Service, client: OpenAI) -> None:
        self.model = service.text_model
        self.client = client
        self.memory: list[str] = []
        self.is_thrifty = False

    def watch(self, call: Call, *, meter: Meter) -> None:
        """A handler under a condition: told of every call, it acts once, when half of the budget is gone."""
        if meter.total_tokens > LIMIT // 2 and not self.is_thrifty:
            self.is_thrifty = True
            print(f"   {meter.total_tokens} of {LIMIT} tokens are gone; from now on, one turn of history only")

    def answer(self, said: str) -> str:
        history = self.memory[-2:] if self.is_thrifty else self.memory
        answer = complete(self.client, self.model, TEMPLATE.format(history="\n".join(history), input=said))
        self.memory += [f"Human: {said}", f"AI: {answer}"]
        return answer


def main(service: Service) -> tuple[Meter, BudgetExceededError | None]:
    client = service.client()
    florist = Florist(service, client)
    refusal: BudgetExceededError | None = None
    with client, meter(max_tokens=LIMIT, warn_at=None, handlers=[florist.watch], prices=service.prices) as cb:
        try:
            for turn, said in enumerate(TURNS * 3, start=1):
                florist.answer(said)
                print(f"{turn}. {cb.total_tokens} tokens so far, {cb.remaining.tokens} left")
        except BudgetExceededError as error:
            refusal = error
            print(f"{turn}. not sent: limit {error.limit}, spent {error.spent}, wanted up to {error.wanted}")
        with cb.suspended():  # one last answer may pass
            say("   AI:", florist.answer("哪种花卉最适合生日？"), indent=7)
    service.print_bill(cb)
    return cb, refusal


if __name__ == "__main__":
    run(main)
