"""One generation of a text model, its text and its usage, for all APIs."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from token_meter.simulator.answers import answer, digest
from token_meter.simulator.instances import ToolCall, choose_tool, instance
from token_meter.simulator.options import Options
from token_meter.simulator.rates import cost_of, rate_of, router_fee
from token_meter.simulator.sse import dump
from token_meter.simulator.tokens import call_tokens, count, cut, is_reasoning, prompt_tokens, text_of
from token_meter.types import Usage

_CACHE_FROM = 1024
_CACHE_STEP = 128
_BLOCK_CHARS = 256
_CENTI_TICK = Decimal("1e-10")


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to the model, independent of the API."""

    messages: list[dict[str, Any]]
    model: str
    n: int = 1
    limit: int | None = None
    tools: Any = None
    tool_choice: Any = None
    schema: Any = None
    effort: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer; it is a text, or a tool call."""

    text: str
    call: ToolCall | None
    finish: str


@dataclass(frozen=True, slots=True)
class Generation:
    """What the model made of an `Ask`, and what is billed for it."""

    number: int
    choices: tuple[Choice, ...]
    usage: Usage
    reasoning: int
    model: str
    style: str = "openai"

    def usage_after(self, generated: dict[int, str]) -> Usage:
        """The billed usage if the client left after *generated* (text by choice), including all reasoning."""
        visible = sum(count(text, self.model) for text in generated.values())
        return styled(self.usage, visible + self.reasoning, self.model, self.style)


class PromptCache:
    """The recent starts of prompts of each key; bounded."""

    def __init__(self, size: int = 4096) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._size = size

    def read(self, key: str, model: str, prompt: str, tokens: int) -> int:
        """Return the tokens of *prompt* that were in the cache, and add it to the cache."""
        if tokens < _CACHE_FROM:
            return 0
        found, known, mark = 0, True, digest(key, model)
        with self._lock:
            for start in range(0, len(prompt) - _BLOCK_CHARS + 1, _BLOCK_CHARS):
                mark = digest(str(mark), prompt[start : start + _BLOCK_CHARS])
                known = known and mark in self._seen
                found = start + _BLOCK_CHARS if known else found
                self._seen[mark] = None
                self._seen.move_to_end(mark)
            while len(self._seen) > self._size:
                self._seen.popitem(last=False)
        cached = tokens * found // len(prompt) // _CACHE_STEP * _CACHE_STEP if prompt else 0
        return cached if cached >= _CACHE_FROM else 0

    def clear(self) -> None:
        """Forget all prompts."""
        with self._lock:
            self._seen.clear()


def styled(usage: Usage, generated: int, model: str, style: str) -> Usage:
    """*usage* with *generated* tokens of output, as the vendor of that style reports and charges it."""
    prompt, reasoning = usage.prompt_tokens or 0, min(usage.reasoning_tokens or 0, generated)
    found = usage._replace(completion_tokens=generated, total_tokens=prompt + generated)
    if usage.reasoning_tokens is not None:
        found = found._replace(reasoning_tokens=reasoning)
    if style not in ("openrouter", "byok", "xai"):
        return found
    cost = cost_of(found._replace(provider_cost=None), model, None)
    if cost is None:
        cost = Decimal(prompt + 2 * generated) / 1_000_000
    cost = cost.quantize(_CENTI_TICK)
    if style == "byok":  # the router takes its share of what the key's owner pays elsewhere
        cost += router_fee(cost)
    found = found._replace(provider_cost=cost)
    # xAI reports what is visible, and adds the hidden part in the total only.
    return found._replace(completion_tokens=generated - reasoning) if style == "xai" else found


def generate(ask: Ask, options: Options, key: str, cache: PromptCache) -> Generation:
    """Answer *ask*; the same ask and seed give the same answer and, cache aside, the same counts."""
    history = "\n".join(f"{m.get('role', '')}: {text_of(m.get('content', m.get('output')))}" for m in ask.messages)
    number = digest(history, json.dumps([ask.tools, ask.schema], sort_keys=True), options.seed)
    prompt = prompt_tokens(ask.messages, ask.tools, ask.schema, ask.model)
    thinks = is_reasoning(ask.model) and ask.effort not in ("none", "minimal")
    wanted = options.reasoning if options.reasoning is not None else 64 * (1 + number % 6) if thinks else 0
    reasoning = wanted if ask.limit is None else min(wanted, ask.limit)
    room = None if ask.limit is None else ask.limit - reasoning
    choices = tuple(_choice(ask, options, history, number, index, room) for index in range(ask.n))
    visible = sum(count(c.text, ask.model) for c in choices)
    visible += sum(call_tokens(c.call.name, c.call.arguments, ask.model) for c in choices if c.call)
    rate = rate_of(ask.model)
    can_cache = options.cache and (rate is None or rate.cached is not None)
    cached = cache.read(key, ask.model, history, prompt) if can_cache else 0
    plain = Usage(prompt_tokens=prompt, cached_tokens=cached, reasoning_tokens=reasoning)
    usage = styled(plain, visible + reasoning, ask.model, options.usage)
    return Generation(number, choices, usage, reasoning, ask.model, options.usage)


def _choice(ask: Ask, options: Options, history: str, number: int, index: int, room: int | None) -> Choice:
    last = ask.messages[-1] if ask.messages else {}
    said = text_of(last.get("content"))
    if last.get("role") == "user" and (call := choose_tool(ask.tools, ask.tool_choice, said, number + index)):
        if room is None or call_tokens(call.name, call.arguments, ask.model) <= room:
            return Choice("", call, "tool_calls")
        return Choice("", None, "length")
    if ask.schema is not None:
        text = dump(instance(ask.schema))
    else:
        # The first choice has the plain seed, so that n=1 and n=3 begin with the same answer.
        seed = options.seed + (f"#{index}" if index else "")
        text = answer(history, said, seed=seed, words=options.words)
    text, is_cut = cut(text, room, ask.model)
    return Choice(text, None, "length" if is_cut else "stop")
