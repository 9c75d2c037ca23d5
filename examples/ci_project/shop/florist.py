"""A florist who answers by an LLM: the code under test. It knows no meter."""

from __future__ import annotations

import os
from typing import Any

from openai import OpenAI

RULES = "You are a florist. Answer in one sentence, and only about flowers."


def _client() -> OpenAI:
    return OpenAI(base_url=os.environ["FLORIST_URL"], api_key=os.environ.get("FLORIST_KEY", "sim-test"), max_retries=0)


def answer(question: str, *, model: str = "gpt-4o-mini") -> str:
    """Answer one question."""
    messages: list[Any] = [{"role": "system", "content": RULES}, {"role": "user", "content": question}]
    with _client() as client:
        return client.chat.completions.create(model=model, messages=messages).choices[0].message.content or ""


def plan(occasion: str) -> list[str]:
    """Plan a bouquet in three steps, with the larger model."""
    steps = ("Which flowers suit", "Which colours suit", "Write a card for")
    return [answer(f"{step} {occasion}?", model="gpt-4o") for step in steps]


def index(catalogue: list[str]) -> list[list[float]]:
    """Embed the catalogue."""
    with _client() as client:
        return [row.embedding for row in client.embeddings.create(model="text-embedding-3-small", input=catalogue).data]
