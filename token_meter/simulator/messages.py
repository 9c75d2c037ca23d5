"""Anthropic's Messages API: converts requests to asks, and generations to bodies and events. Text only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from token_meter.simulator.chat import model_of, whole
from token_meter.simulator.generation import Ask, Generation, PromptCache, generate
from token_meter.simulator.naming import new_id
from token_meter.simulator.options import Options
from token_meter.simulator.reply import RefusedError, Reply
from token_meter.simulator.sse import Event
from token_meter.simulator.tokens import pieces, text_of


def messages_reply(body: dict[str, Any], options: Options, key: str, cache: PromptCache) -> Reply:
    """Answer a request for a message (https://platform.claude.com/docs/en/api/messages, 2026-11-27)."""
    said = body.get("messages")
    if not isinstance(said, list) or not said or not all(isinstance(one, dict) for one in said):
        msg = "messages: expected a non-empty array of objects"
        raise RefusedError(msg)
    limit = whole(body.get("max_tokens"), "max_tokens")
    if limit is None:
        msg = "max_tokens: Field required"
        raise RefusedError(msg)
    if body.get("tools"):
        msg = "the simulator answers Anthropic's messages in text only: no tools"
        raise RefusedError(msg)
    messages = [{"role": one.get("role"), "content": text_of(one.get("content"))} for one in said]
    if system := text_of(body.get("system")):
        messages.insert(0, {"role": "system", "content": system})
    made = generate(Ask(messages, model_of(body, None, options), limit=limit), options, key, cache)
    form = _Form(made, new_id("msg_", options))
    return Reply(
        "messages",
        form.id,
        made.model,
        made.usage,
        json=form.json,
        events=lambda: list(form.events()),
        usage_after=made.usage_after,
        streamed=bool(body.get("stream")),
    )


class _Form:
    """A generation in the shapes of a message."""

    def __init__(self, made: Generation, id_: str) -> None:
        self.id = id_
        self._made = made
        (self._choice,) = made.choices

    def json(self) -> dict[str, Any]:
        content = [{"type": "text", "text": self._choice.text}]
        return self._message(content, self._stop(), self._usage(self._made.usage.completion_tokens))

    def events(self) -> Iterator[Event]:
        start = {"type": "message_start", "message": self._message([], None, self._usage(1))}
        yield Event(start, "message_start", has_usage=True)
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        yield Event(block, "content_block_start")
        for text in pieces(self._choice.text):
            delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
            yield Event(delta, "content_block_delta", text=text)
        yield Event({"type": "content_block_stop", "index": 0}, "content_block_stop")
        end = {
            "type": "message_delta",
            "delta": {"stop_reason": self._stop(), "stop_sequence": None},
            "usage": {"output_tokens": self._made.usage.completion_tokens},
        }
        yield Event(end, "message_delta", has_usage=True)
        yield Event({"type": "message_stop"}, "message_stop")

    def _stop(self) -> str:
        return "max_tokens" if self._choice.finish == "length" else "end_turn"

    def _usage(self, generated: int | None) -> dict[str, Any]:
        return {
            "input_tokens": self._made.usage.prompt_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": generated,
            "service_tier": "standard",
        }

    def _message(self, content: list[dict[str, Any]], stop: str | None, usage: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": self.id, "type": "message", "role": "assistant", "model": self._made.model, "content": content,
            "stop_reason": stop, "stop_sequence": None, "usage": usage,
        }  # fmt: skip
