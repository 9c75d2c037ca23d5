"""A server on loopback that speaks Anthropic's Messages API: it gives the answers that a test has put in, in order."""

from __future__ import annotations

import json
from typing import Any

from tests.providers.fake_server import CUT, HOLD, Asked, FakeServer, Reply

__all__ = ["CUT", "HOLD", "Asked", "FakeAnthropic", "Reply"]

MODEL = "claude-sonnet-4-6"
SERVED = "claude-sonnet-4-6"


class FakeAnthropic(FakeServer):
    """The server, and what it was asked."""


def usage(prompt: int = 107, completion: int = 43, **more: Any) -> dict[str, Any]:
    """A usage as a whole answer states it."""
    return {
        "input_tokens": prompt,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": completion,
        "service_tier": "standard",
        **more,
    }


def message(*blocks: dict[str, Any], stop: str | None = "end_turn", **more: Any) -> dict[str, Any]:
    """A whole message."""
    return {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": SERVED,
        "content": list(blocks or (text("The rose Pink Peace."),)),
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage(),
        **more,
    }


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def thinking(thought: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": thought, "signature": "c2ln"}


def tool_use(name: str, given: dict[str, Any], kind: str = "tool_use") -> dict[str, Any]:
    return {"type": kind, "id": "toolu_01", "name": name, "input": given}


def events(
    whole: dict[str, Any], *, start: dict[str, Any] | None = None, delta: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The stream that shows *whole*: the usage of its first event and of its last but one may be given."""
    said = whole["usage"]
    first = {**said, "output_tokens": 1, **(start or {})}
    repeated = {
        key: said[key]
        for key in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    }
    found = [
        {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None, "usage": first}},
        {"type": "ping"},
    ]
    for index, block in enumerate(whole["content"]):
        found.append({"type": "content_block_start", "index": index, "content_block": _empty(block)})
        found += [{"type": "content_block_delta", "index": index, "delta": piece} for piece in _pieces(block)]
        found.append({"type": "content_block_stop", "index": index})
    return [
        *found,
        {
            "type": "message_delta",
            "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
            "usage": repeated if delta is None else delta,
        },
        {"type": "message_stop"},
    ]


def _empty(block: dict[str, Any]) -> dict[str, Any]:
    begun = {"text": "", "thinking": "", "signature": "", "input": {}}
    return {key: begun.get(key, value) for key, value in block.items()}


def _pieces(block: dict[str, Any]) -> list[dict[str, Any]]:
    if block["type"] == "text":
        return [{"type": "text_delta", "text": piece} for piece in _halves(block["text"])]
    if block["type"] == "thinking":
        pieces = [{"type": "thinking_delta", "thinking": piece} for piece in _halves(block["thinking"])]
        return [*pieces, {"type": "signature_delta", "signature": block["signature"]}]
    if block["type"].endswith("tool_use"):
        return [{"type": "input_json_delta", "partial_json": piece} for piece in _halves(json.dumps(block["input"]))]
    return []


def _halves(whole: str) -> tuple[str, str]:
    middle = len(whole) // 2
    return whole[:middle], whole[middle:]


def streamed(whole: dict[str, Any], **usages: Any) -> Reply:
    return Reply(events=tuple(events(whole, **usages)))


def failure(status: int, kind: str, **headers: str) -> Reply:
    """An error before an answer; the SDK is told to try again at once."""
    body = {"type": "error", "error": {"type": kind, "message": "no"}}
    return Reply(status, body, headers=(("retry-after-ms", "1"), *headers.items()))
