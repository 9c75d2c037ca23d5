"""Plain posts to a provider's host that a table answers: the cheapest way from the bytes of an answer to its price."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import httpx

from token_meter import meter
from token_meter._meter import Meter

OPENAI = "https://api.openai.com/v1"
AZURE = "https://acme.openai.azure.com/openai/v1"
ANTHROPIC = "https://api.anthropic.com/v1"
GEMINI = "https://generativelanguage.googleapis.com/v1beta"


class Answer(httpx.Response):
    """One answer: JSON, server-sent events, or bytes."""

    def __init__(self, content: Any, headers: dict[str, str] | None = None, status: int = 200) -> None:
        kind, body = "application/json", content
        if isinstance(content, list):
            kind, body = "text/event-stream", b"".join(map(_event, content))
        elif isinstance(content, dict):
            body = json.dumps(content).encode()
        elif isinstance(content, bytes):
            kind = "application/octet-stream"
        super().__init__(status, headers={"content-type": kind, **(headers or {})}, content=body)


def _event(event: Any) -> bytes:
    if event == "[DONE]":
        return b"data: [DONE]\n\n"
    name = f"event: {event['type']}\n" if isinstance(event.get("type"), str) else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


def metered(steps: Iterable[tuple[str, str, Any, Any]], **options: Any) -> Meter:
    """A meter around requests: method, URL, body and answer of each."""
    options = {"keep_calls": True, "on_unpriced": "ignore", **options}
    with meter(**options) as cb:
        send(steps)
    return cb


def send(steps: Iterable[tuple[str, str, Any, Any]]) -> None:
    """Send the requests, and read their answers to the end."""
    for method, url, asked, answered in steps:
        answer = answered if isinstance(answered, Answer) else Answer(answered)
        with httpx.Client(transport=httpx.MockTransport(lambda _, answer=answer: answer)) as client:
            client.request(method, url, json=asked if asked is not None else {})


def posted(url: str, asked: Any, answered: Any, **options: Any) -> Meter:
    """A meter around one post."""
    return metered([("POST", url, asked, answered)], **options)
