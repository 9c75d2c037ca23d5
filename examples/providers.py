"""OpenAI, Anthropic and Gemini in one block: one sum, one cost, and the share of each model.

Each is asked by its own SDK; which one it is, a meter reads from the request (`pip install anthropic google-genai`).
"""

from __future__ import annotations

from typing import Any

from _screen import table
from _service import Service, run
from anthropic import Anthropic
from google import genai

from token_meter import Meter, meter

QUESTION = "Which rose is the pinkest?"


def ask_openai(service: Service) -> None:
    with service.client() as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": QUESTION}])


def ask_anthropic(service: Service) -> None:
    question: Any = {"role": "user", "content": QUESTION}
    where: Any = service.where("")
    with Anthropic(**where) as client:
        client.messages.create(model="claude-haiku-4-5", max_tokens=200, messages=[question])


def ask_gemini(service: Service) -> None:
    where = service.where("")
    options: Any = {"api_key": where["api_key"], "http_options": {"base_url": where["base_url"]}} if where else {}
    with genai.Client(**options) as client:
        client.models.generate_content(model="gemini-2.5-flash", contents=QUESTION)


def main(service: Service) -> Meter:
    with meter("three providers", prices=service.prices) as cb:
        for ask in (ask_openai, ask_anthropic, ask_gemini):
            ask(service)
            print(f"{ask.__name__:<14} so far {cb.total_tokens:>3} tokens, ${cb.cost}")
    print()
    rows = [(model, f"{part.total_tokens}", f"${part.cost}") for model, part in cb.by_model.items()]
    table(("model", "tokens", "cost"), rows)
    service.print_bill(cb)
    return cb


if __name__ == "__main__":
    run(main)
