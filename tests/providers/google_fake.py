"""A server on loopback that speaks Google's native formats: bodies, server-sent events, and the array that grows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from tests.providers.fake_server import CUT, HOLD, Asked, FakeServer, Frames, Reply

__all__ = ["CUT", "HOLD", "FakeGoogle"]

MODEL = "gemini-2.5-flash"
SERVED = "gemini-2.5-flash-preview-09-2025"
SAID = "The rose Pink Peace is the pinkest of all that were ever grown."


class FakeGoogle(FakeServer):
    """A stream is server-sent events where the path asks for them, and one array where it does not."""

    def type_of(self, asked: Asked) -> str:
        is_events = "alt=sse" in asked.path or "/interactions" in asked.path
        return "text/event-stream" if is_events else "application/json; charset=UTF-8"

    def frames_of(self, asked: Asked) -> Frames:
        if "/interactions" in asked.path:
            return _typed_events
        return _plain_events if "alt=sse" in asked.path else _growing_array


def _is_event(event: dict[str, Any]) -> bool:
    return event is not HOLD and event is not CUT


def _plain_events(events: Iterable[dict[str, Any]]) -> Iterator[bytes | dict[str, Any]]:
    for event in events:
        yield f"data: {json.dumps(event)}\r\n\r\n".encode() if _is_event(event) else event


def _typed_events(events: Iterable[dict[str, Any]]) -> Iterator[bytes | dict[str, Any]]:
    for event in events:
        is_event = _is_event(event)
        yield f"event: {event['event_type']}\ndata: {json.dumps(event)}\n\n".encode() if is_event else event


def _growing_array(events: Iterable[dict[str, Any]]) -> Iterator[bytes | dict[str, Any]]:
    start = b"["
    for event in events:
        if _is_event(event):
            yield start + json.dumps(event, indent=1).encode()
            start = b",\r\n"
        else:
            yield event
    yield b"]"


# generateContent


def usage(prompt: int = 107, candidates: int = 43, **more: Any) -> dict[str, Any]:
    """A usage as a whole answer states it; a count of 0 is left out."""
    total = prompt + candidates + more.get("thoughtsTokenCount", 0) + more.get("toolUsePromptTokenCount", 0)
    counts = {"promptTokenCount": prompt, "candidatesTokenCount": candidates, "totalTokenCount": total, **more}
    return {name: count for name, count in counts.items() if count != 0}


def candidate(*parts: dict[str, Any], finish: str | None = "STOP", index: int = 0) -> dict[str, Any]:
    """One candidate of an answer or an event."""
    found: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": index}
    return found if finish is None else {**found, "finishReason": finish}


def answer(*parts: dict[str, Any], said: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A whole answer."""
    return {
        "candidates": [candidate(*(parts or ({"text": SAID},)))],
        "usageMetadata": usage() if said is None else said,
        "modelVersion": SERVED,
        "responseId": "resp-1",
        **more,
    }


def events(whole: dict[str, Any], *, early: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The stream that shows *whole*; each event repeats the usage so far, the first ones without candidates."""
    (shown,) = whole["candidates"]
    said = whole["usageMetadata"]
    first = {"promptTokenCount": said.get("promptTokenCount"), "totalTokenCount": said.get("promptTokenCount")}
    pieces = [piece for part in shown["content"]["parts"] for piece in _halves(part)]
    found = [
        {**whole, "candidates": [candidate(piece, finish=None)], "usageMetadata": first if early is None else early}
        for piece in pieces
    ]
    last = {**whole, "candidates": [candidate({"text": ""}, finish=shown["finishReason"])], "usageMetadata": said}
    return [*found, last]


def _halves(part: dict[str, Any]) -> list[dict[str, Any]]:
    text = part.get("text")
    if text is None:
        return [part]
    middle = len(text) // 2
    return [{**part, "text": text[:middle]}, {**part, "text": text[middle:]}]


def streamed(whole: dict[str, Any], **options: Any) -> Reply:
    return Reply(events=tuple(events(whole, **options)))


def failure(status: int, kind: str = "RESOURCE_EXHAUSTED") -> Reply:
    """An error before an answer."""
    return Reply(status, {"error": {"code": status, "message": "no", "status": kind}})


# Interactions


def interaction_usage(**more: Any) -> dict[str, Any]:
    """A usage as an interaction states it."""
    return {
        "total_input_tokens": 107, "total_output_tokens": 43, "total_thought_tokens": 9, "total_tool_use_tokens": 5,
        "total_cached_tokens": 50, "total_tokens": 164, **more,
    }  # fmt: skip


def interaction(**more: Any) -> dict[str, Any]:
    """A whole interaction."""
    return {
        "id": "v1_1", "object": "interaction", "model": MODEL, "status": "completed",
        "created": "2026-11-27T00:00:00Z", "updated": "2026-11-27T00:00:00Z",
        "steps": [{"type": "model_output", "content": [{"type": "text", "text": SAID}]}],
        "usage": interaction_usage(), **more,
    }  # fmt: skip


def interaction_events() -> list[dict[str, Any]]:
    """A stream, with the usage so far in its metadata, and a step's own usage."""
    whole = {name: value for name, value in interaction().items() if name != "steps"}
    middle = len(SAID) // 2
    early = interaction_usage(total_output_tokens=0, total_thought_tokens=0, total_tokens=112)
    begun = {**whole, "status": "in_progress"}
    del begun["usage"]
    return [
        {"event_type": "interaction.created", "interaction": begun, "metadata": {"total_usage": early}},
        {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}},
        {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": SAID[:middle]}},
        {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": SAID[middle:]}},
        {"event_type": "step.stop", "index": 0, "step_usage": {"total_input_tokens": 1, "total_output_tokens": 5}},
        {"event_type": "interaction.completed", "interaction": whole},
    ]
