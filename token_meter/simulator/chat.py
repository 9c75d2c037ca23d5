"""Chat Completions and legacy completions: converts requests to asks, and generations to bodies and events."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from token_meter.simulator.generation import Ask, Choice, Generation, PromptCache, generate, styled
from token_meter.simulator.naming import new_id, served_model, served_tier
from token_meter.simulator.options import Options
from token_meter.simulator.reply import RefusedError, Reply
from token_meter.simulator.sse import DONE, Event
from token_meter.simulator.tokens import count, pieces
from token_meter.simulator.usages import chat_usage
from token_meter.types import Usage

_ALWAYS = ("every", "choices0", "deepseek", "openrouter", "xai", "after_done")


MOST_CHOICES = 128
"""Choices of one request (OpenAI's API reference for `n`, 2026-11)."""
_MOST_COMPLETIONS = 2048
"""Completions of one request, over all its prompts."""


def whole(value: Any, name: str, least: int = 1, most: int | None = None) -> int | None:
    """Check a count in a request. What is made for each is bounded, so that no request holds up all others."""
    if value is None:
        return None
    if most is not None and isinstance(value, int) and value > most:
        msg = f"Invalid value for '{name}': expected a whole number of at most {most}."
        raise RefusedError(msg)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        msg = f"Invalid value for '{name}': expected a whole number of at least {least}."
        raise RefusedError(msg)
    return value


def model_of(body: dict[str, Any], deployment: str | None, options: Options) -> str:
    """The model that serves the request."""
    asked = body.get("model") or deployment
    if not isinstance(asked, str):
        msg = "you must provide a model parameter"
        raise RefusedError(msg)
    return served_model(asked, deployment, options)


def chat_reply(
    body: dict[str, Any], options: Options, key: str, cache: PromptCache, deployment: str | None = None
) -> Reply:
    """Answer a request for a chat completion."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        msg = "Invalid value for 'messages': expected a non-empty array of objects."
        raise RefusedError(msg)
    model = model_of(body, deployment, options)
    limit = whole(body.get("max_completion_tokens", body.get("max_tokens")), "max_tokens")
    ask = Ask(
        messages,
        model,
        n=whole(body.get("n"), "n", most=MOST_CHOICES) or 1,
        limit=limit,
        tools=body.get("tools"),
        tool_choice=body.get("tool_choice"),
        schema=schema_of(body.get("response_format")),
        effort=body.get("reasoning_effort"),
    )
    made = generate(ask, options, key, cache)
    asked_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    form = _Form(made, new_id("chatcmpl-", options), served_tier(body.get("service_tier"), options), options)
    return form.reply("chat", streamed=bool(body.get("stream")), asked_usage=asked_usage)


def schema_of(response_format: Any) -> Any:
    """The JSON schema that the answer must fit, if one was given."""
    if not isinstance(response_format, dict):
        return None
    if response_format.get("type") == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    return response_format.get("schema") or (response_format.get("json_schema") or {}).get("schema")


def completions_reply(
    body: dict[str, Any], options: Options, key: str, cache: PromptCache, deployment: str | None = None
) -> Reply:
    """Answer a request for legacy completions; several prompts give several groups of choices."""
    model = model_of(body, deployment, options)
    limit = whole(body.get("max_tokens"), "max_tokens", 0)
    n = whole(body.get("n"), "n", most=MOST_CHOICES) or 1
    parts = []
    prompts = prompts_of(body.get("prompt", ""))
    if n * len(prompts) > _MOST_COMPLETIONS:
        msg = f"Invalid value for 'n': expected at most {_MOST_COMPLETIONS} completions over all prompts."
        raise RefusedError(msg)
    for text, tokens in prompts:
        ask = Ask([{"role": "user", "content": text}], model, n=n, limit=limit)
        made = generate(ask, options, key, cache)
        # A text model sees the bare prompt, without the frame of chat messages.
        prompt = count(text, model) if tokens is None else tokens
        usage = made.usage._replace(prompt_tokens=prompt, cached_tokens=min(made.usage.cached_tokens or 0, prompt))
        visible = sum(count(c.text, model) for c in made.choices)
        parts.append(replace(made, usage=styled(usage, visible + made.reasoning, model, options.usage)))
    made = replace(
        parts[0],
        choices=tuple(choice for part in parts for choice in part.choices),
        usage=sum((part.usage for part in parts), Usage()),
        reasoning=sum(part.reasoning for part in parts),
    )
    asked_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    form = _TextForm(made, new_id("cmpl-", options), None, options)
    return form.reply("completions", streamed=bool(body.get("stream")), asked_usage=asked_usage)


def prompts_of(prompt: Any) -> list[tuple[str, int | None]]:
    """Each prompt as text and, if it was given as token numbers, their count."""
    if isinstance(prompt, str):
        return [(prompt, None)]
    if isinstance(prompt, list) and prompt:
        if all(isinstance(part, int) for part in prompt):
            return [(" ".join(map(str, prompt)), len(prompt))]
        return [found for part in prompt for found in prompts_of(part)]
    msg = "Invalid value for 'prompt' or 'input': expected text, tokens or a non-empty array of them."
    raise RefusedError(msg)


class _Form:
    """A generation in the shapes of Chat Completions."""

    kind = "chat.completion"
    chunk_kind = "chat.completion.chunk"

    def __init__(self, made: Generation, id_: str, tier: str | None, options: Options) -> None:
        self.made = made
        self.id = id_
        self.tier = tier
        self.style = options.usage
        self.created = int(time.time())

    def reply(self, api: str, *, streamed: bool, asked_usage: bool) -> Reply:
        return Reply(
            api,
            self.id,
            self.made.model,
            self.made.usage,
            json=self.json,
            events=lambda: list(self.events(asked_usage)),
            usage_after=self.made.usage_after,
            streamed=streamed,
            tier=self.tier,
        )

    def _frame(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        found = {"id": self.id, "object": kind, "created": self.created, "model": self.made.model, "choices": choices}
        if self.tier is not None:
            found["service_tier"] = self.tier
            found["system_fingerprint"] = "fp_simulated"
        return found

    def json(self) -> dict[str, Any]:
        found = self._frame(self.kind, [self.choice(i, c) for i, c in enumerate(self.made.choices)])
        if self.style == "null":
            found["usage"] = None
        elif self.style != "none":
            found["usage"] = chat_usage(self.made.usage, self.style)
        return found

    def events(self, asked_usage: bool) -> Iterator[Event]:
        told = self.style in _ALWAYS or (self.style == "openai" and asked_usage)
        said: dict[int, str] = {}
        streams = [list(self.deltas(i, c)) for i, c in enumerate(self.made.choices)]
        rounds = [event for group in zip_longest(*streams) for event in group if event is not None]
        for position, (index, choice, text) in enumerate(rounds):
            said[index] = said.get(index, "") + text
            chunk = self._frame(self.chunk_kind, [choice])
            has_usage = False
            if self.style == "every":
                chunk["usage"] = chat_usage(self.made.usage_after(said), self.style)
                has_usage = True
            elif self.style == "null" or (self.style == "openai" and told):
                chunk["usage"] = None
            elif position + 1 == len(rounds) and self.style == "choices0":
                choice["usage"] = chat_usage(self.made.usage, self.style)
                has_usage = True
            elif position + 1 == len(rounds) and self.style == "deepseek":
                chunk["usage"] = chat_usage(self.made.usage, self.style)
                has_usage = True
            yield Event(chunk, text=text, choice=index, has_usage=has_usage)
        last = self._frame(self.chunk_kind, []) | {"usage": chat_usage(self.made.usage, self.style)}
        if told and self.style not in ("choices0", "deepseek", "after_done"):
            yield Event(last, has_usage=True)
        yield Event(DONE)
        if self.style == "after_done":
            yield Event(last, has_usage=True)

    def choice(self, index: int, choice: Choice) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": None}
        if choice.call is not None:
            message["content"] = None
            message["tool_calls"] = [_tool_call(choice)]
        return {"index": index, "message": message, "logprobs": None, "finish_reason": choice.finish}

    def deltas(self, index: int, choice: Choice) -> Iterator[tuple[int, dict[str, Any], str]]:
        def delta(part: dict[str, Any], text: str = "", finish: str | None = None) -> tuple[int, dict[str, Any], str]:
            return index, {"index": index, "delta": part, "logprobs": None, "finish_reason": finish}, text

        if choice.call is None:
            yield delta({"role": "assistant", "content": "", "refusal": None})
            for text in pieces(choice.text):
                yield delta({"content": text}, text)
        else:
            first = _tool_call(choice) | {"index": 0}
            first["function"] = {"name": choice.call.name, "arguments": ""}
            yield delta({"role": "assistant", "content": None, "tool_calls": [first]}, choice.call.name)
            for text in pieces(choice.call.arguments):
                yield delta({"tool_calls": [{"index": 0, "function": {"arguments": text}}]}, text)
        yield delta({}, finish=choice.finish)


class _TextForm(_Form):
    """A generation in the shapes of legacy completions."""

    kind = chunk_kind = "text_completion"

    def choice(self, index: int, choice: Choice) -> dict[str, Any]:
        return _text_choice(index, choice.text, choice.finish)

    def deltas(self, index: int, choice: Choice) -> Iterator[tuple[int, dict[str, Any], str]]:
        for text in pieces(choice.text):
            yield index, _text_choice(index, text, None), text
        yield index, _text_choice(index, "", choice.finish), ""


def _text_choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}


def _tool_call(choice: Choice) -> dict[str, Any]:
    assert choice.call is not None
    call = choice.call
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
