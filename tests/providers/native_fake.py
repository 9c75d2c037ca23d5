"""A server on loopback that speaks what Cohere, Mistral, Ollama and Voyage speak, and bodies of theirs by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from tests.providers.fake_server import CUT, HOLD, Asked, FakeServer, Frames, Reply

SAID = "The rose Pink Peace is the pinkest of all that were ever grown."
HALVES = SAID[:30], SAID[30:]


class FakeNative(FakeServer):
    """A stream is JSON lines where the path is Ollama's or Cohere's first, and server-sent events elsewhere."""

    def type_of(self, asked: Asked) -> str:
        path = asked.path.partition("?")[0]
        if path.startswith("/api/"):
            return "application/x-ndjson"
        return "application/stream+json" if path == "/v1/chat" else "text/event-stream"

    def frames_of(self, asked: Asked) -> Frames:
        return lines if "json" in self.type_of(asked) else events


def lines(found: Iterable[dict[str, Any]]) -> Iterator[bytes | dict[str, Any]]:
    """One object a line."""
    for event in found:
        yield json.dumps(event).encode() + b"\n" if event is not HOLD and event is not CUT else event


def events(found: Iterable[dict[str, Any]]) -> Iterator[bytes | dict[str, Any]]:
    """Server-sent events, with their type where they have one."""
    for event in found:
        if event is HOLD or event is CUT:
            yield event
        else:
            name = f"event: {event['type']}\n" if "type" in event else ""
            yield f"{name}data: {json.dumps(event)}\n\n".encode()


# OpenAI's shape: Mistral, Groq, Together, ...

USAGE = {"prompt_tokens": 107, "completion_tokens": 43, "total_tokens": 150}
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"rose": "pink"}'}}


def chat(usage: dict[str, Any] | None = None, **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": SAID, **message}
    choice = {"index": 0, "message": said, "finish_reason": "stop"}
    return {
        "id": "c", "object": "chat.completion", "created": 1, "model": "m-1", "choices": [choice],
        "usage": USAGE if usage is None else usage,
    }  # fmt: skip


def chat_events(usage: dict[str, Any] | None = USAGE) -> tuple[dict[str, Any], ...]:
    def piece(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "choices": [choice], **more}

    last = {} if usage is None else {"usage": usage}
    return (
        piece({"role": "assistant", "content": HALVES[0]}),
        piece({"content": HALVES[1]}),
        piece({"content": ""}, "stop", **last),
    )


def embeddings(usage: dict[str, Any]) -> dict[str, Any]:
    row = {"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}
    return {"id": "e", "object": "list", "model": "m-1", "data": [row], "usage": usage}


# Mistral's conversations

CONVERSED = {"prompt_tokens": 177, "completion_tokens": 134, "total_tokens": 4240, "connector_tokens": 3929}
ENTRY = {"object": "entry", "type": "message.output", "id": "o", "role": "assistant", "model": "m-1", "content": SAID}
CONVERSATION = {
    "object": "conversation.response", "conversation_id": "conv", "outputs": [ENTRY], "usage": CONVERSED,
}  # fmt: skip
_AT = {"created_at": "2026-11-27T00:00:00Z"}
CONVERSATION_EVENTS = (
    {"type": "conversation.response.started", "conversation_id": "conv", **_AT},
    {"type": "message.output.delta", "output_index": 0, "id": "o", "role": "assistant", "model": "m-1", "content": HALVES[0], **_AT},
    {"type": "message.output.delta", "output_index": 0, "id": "o", "role": "assistant", "model": "m-1", "content": HALVES[1], **_AT},
    {"type": "conversation.response.done", "usage": CONVERSED, **_AT},
)  # fmt: skip


# Cohere

BILLED = {
    "billed_units": {"input_tokens": 107.0, "output_tokens": 43},
    "tokens": {"input_tokens": 607, "output_tokens": 45},
}
COHERE_2 = {
    "id": "1", "finish_reason": "COMPLETE", "message": {"role": "assistant", "content": [{"type": "text", "text": SAID}]},
    "usage": {**BILLED, "cached_tokens": 512},
}  # fmt: skip
COHERE_2_EVENTS = (
    {"type": "message-start", "id": "1", "delta": {"message": {"role": "assistant", "content": []}}},
    {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
    *({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": half}}}} for half in HALVES),
    {"type": "content-end", "index": 0},
    {"type": "message-end", "id": "1", "delta": {"finish_reason": "COMPLETE", "usage": BILLED}},
)
COHERE_1 = {"response_id": "1", "generation_id": "g", "text": SAID, "finish_reason": "COMPLETE", "meta": BILLED}
COHERE_1_EVENTS = (
    {"is_finished": False, "event_type": "stream-start", "generation_id": "g"},
    *({"is_finished": False, "event_type": "text-generation", "text": half} for half in HALVES),
    {"is_finished": True, "event_type": "stream-end", "finish_reason": "COMPLETE", "response": COHERE_1},
)
COHERE_EMBED = {
    "id": "1", "texts": ["rose"], "embeddings": {"float": [[0.1]]}, "response_type": "embeddings_by_type",
    "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 107, "image_tokens": 0}},
}  # fmt: skip
COHERE_RERANK = {
    "id": "1",
    "results": [{"index": 0, "relevance_score": 0.9}],
    "meta": {"billed_units": {"search_units": 1}},
}


# Ollama

_HEAD = {"model": "llama3.2:1b", "created_at": "2026-11-27T00:00:00.1Z"}
_END = {
    "done": True, "done_reason": "stop", "total_duration": 5, "load_duration": 1, "prompt_eval_count": 107,
    "prompt_eval_duration": 1, "eval_count": 43, "eval_duration": 1,
}  # fmt: skip


def ollama_chat(**more: Any) -> dict[str, Any]:
    return {**_HEAD, "message": {"role": "assistant", "content": SAID}, **_END, **more}


def ollama_generate(**more: Any) -> dict[str, Any]:
    return {**_HEAD, "response": SAID, "context": [1, 2, 3], **_END, **more}


def ollama_chat_lines(**end: Any) -> tuple[dict[str, Any], ...]:
    said = ({**_HEAD, "message": {"role": "assistant", "content": half}, "done": False} for half in HALVES)
    return (*said, {**ollama_chat(**end), "message": {"role": "assistant", "content": ""}})


def ollama_generate_lines() -> tuple[dict[str, Any], ...]:
    return (*({**_HEAD, "response": half, "done": False} for half in HALVES), ollama_generate(response=""))


OLLAMA_EMBED = {"model": "all-minilm", "embeddings": [[0.1]], "total_duration": 5, "prompt_eval_count": 107}


# Voyage

VOYAGE_EMBED = {**embeddings({"total_tokens": 107}), "model": "voyage-3.5"}
VOYAGE_RERANK = {
    "object": "list", "data": [{"index": 0, "relevance_score": 0.9}], "model": "rerank-2.5", "usage": {"total_tokens": 107},
}  # fmt: skip


def replies(body: Any) -> Reply:
    """A whole answer, or a stream of events."""
    return Reply(events=body) if isinstance(body, tuple) else Reply(body=body)
