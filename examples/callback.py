"""A callback is a function that is called when something is done: the lesson's two, and one that a meter calls."""

from __future__ import annotations

from collections.abc import Callable

from _service import Service, run

from token_meter import Call, Meter, meter


def compute(x: int, y: int, callback: Callable[[int], None]) -> None:
    result = x + y
    callback(result)


def print_result(value: int) -> None:
    print(f"The result is: {value}")


def square_result(value: int) -> None:
    print(f"The squared result is: {value**2}")


def print_tokens(call: Call) -> None:
    print(f"The call used: {call.tokens.prompt_tokens} + {call.tokens.completion_tokens} tokens")


def main(service: Service) -> Meter:
    compute(3, 4, print_result)
    compute(3, 4, square_result)

    # The meter calls its handlers back in the same way: any function that takes a finished call will do.
    with service.client() as client, meter(handlers=[print_tokens], prices=service.prices) as cb:
        answer = client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "3 + 4 = "}], max_tokens=20
        )
        print("The answer is:", (answer.choices[0].message.content or "").strip())  # after print_tokens
    service.print_bill(cb)
    return cb


if __name__ == "__main__":
    run(main)
