"""Google's `generateContent`: converts requests to asks, and generations to bodies and events. Text only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from token_meter.simulator.chat import whole
from token_meter.simulator.generation import Ask, Generation, PromptCache, generate
from token_meter.simulator.naming import new_id
from token_meter.simulator.options import Options
from token_meter.simulator.reply import RefusedError, Reply
from token_meter.simulator.sse import Event
from token_meter.simulator.tokens import pieces, text_of


def content_reply(
    model: str, body: dict[str, Any], options: Options, key: str, cache: PromptCache, *, streamed: bool
) -> Reply:
    """Answer a request for content (https://ai.google.dev/api/generate-content, 2026-11-27)."""
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents or not all(isinstance(one, dict) for one in contents):
        msg = "contents: expected a non-empty array of objects"
        raise RefusedError(msg, kind="INVALID_ARGUMENT")
    if body.get("tools"):
        msg = "the simulator answers generateContent in text only: no tools"
        raise RefusedError(msg, kind="INVALID_ARGUMENT")
    # A turn without a role is the user's.
    messages = [{"role": one.get("role") or "user", "content": text_of(one.get("parts"))} for one in contents]
    system = body.get("systemInstruction")
    if isinstance(system, dict):
        messages.insert(0, {"role": "system", "content": text_of(system.get("parts"))})
    config = body.get("generationConfig") or {}
    if not isinstance(config, dict):
        msg = "generationConfig: expected an object"
        raise RefusedError(msg, kind="INVALID_ARGUMENT")
    limit = whole(config.get("maxOutputTokens"), "maxOutputTokens")
    made = generate(Ask(messages, options.model or model, limit=limit), options, key, cache)
    form = _Form(made, new_id("resp-", options))
    return Reply(
        "generate_content",
        form.id,
        made.model,
        made.usage,
        json=form.json,
        events=lambda: list(form.events()),
        usage_after=made.usage_after,
        streamed=streamed,
    )


class _Form:
    """A generation in the shapes of `generateContent`."""

    def __init__(self, made: Generation, id_: str) -> None:
        self.id = id_
        self._made = made
        (self._choice,) = made.choices

    def json(self) -> dict[str, Any]:
        usage = self._made.usage
        return self._answer(self._choice.text, self._stop(), usage.completion_tokens)

    def events(self) -> Iterator[Event]:
        """Each event has a piece of the text; each repeats the usage, only the last one whole."""
        for text in pieces(self._choice.text):
            yield Event(self._answer(text, None, None), text=text)
        yield Event(self._answer("", self._stop(), self._made.usage.completion_tokens), has_usage=True)

    def _stop(self) -> str:
        return "MAX_TOKENS" if self._choice.finish == "length" else "STOP"

    def _answer(self, text: str, stop: str | None, generated: int | None) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
        if stop is not None:
            candidate["finishReason"] = stop
        prompt = self._made.usage.prompt_tokens or 0
        usage = {"promptTokenCount": prompt, "totalTokenCount": prompt + (generated or 0)}
        if generated:  # as the API does: a count of 0 is left out
            usage["candidatesTokenCount"] = generated
        return {
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": self._made.model,
            "responseId": self.id,
        }
