"""The base of the ready-made handlers: a record and a line for each call, with its texts only on request."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from token_meter._money import format_usd
from token_meter.types import Answer, Call

_ASKED_LIMIT = 10_000


class Recorder:
    """A handler with one record for each finished call; subclasses write it.

    Attributes:
        include_output: the record contains prompt and answer, which are parsed for it.
    """

    def __init__(self, *, include_text: bool = False) -> None:
        self.include_output = include_text
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, Any] = OrderedDict()
        if include_text:
            # Set on the object and not on the class: without these methods no request is parsed.
            self.on_chat_model_start = self._remember
            self.on_llm_start = self._remember

    def on_llm_end(self, response: Call, **kwargs: Any) -> None:
        """Record a call that ended."""
        self._write(response, self._record(response, kwargs))

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        """Record a call that failed."""
        response: Call = kwargs["response"]
        self._write(response, self._record(response, kwargs))

    def _write(self, call: Call, record: dict[str, Any]) -> None:
        raise NotImplementedError

    def _remember(self, serialized: Mapping[str, Any], asked: Any, **kwargs: Any) -> None:
        """Keep the prompt until its call has ended."""
        with self._lock:
            self._asked[kwargs["run_id"]] = asked
            if len(self._asked) > _ASKED_LIMIT:
                self._asked.popitem(last=False)

    def _record(self, call: Call, kwargs: dict[str, Any]) -> dict[str, Any]:
        record = call.to_dict()
        meter = kwargs.get("meter")
        record["meter"] = getattr(meter, "name", None)
        if self.include_output:
            with self._lock:
                record["asked"] = self._asked.pop(call.id, None)
            answer: Answer | None = kwargs.get("answer")
            record["answer"] = None if answer is None else list(answer.texts)
            record["tool_calls"] = [] if answer is None else [list(tool_call) for tool_call in answer.tool_calls]
        return record


def is_failure(call: Call) -> bool:
    """Whether the call is one that `on_llm_error` gets."""
    return call.outcome in ("error", "cancelled") or not (call.is_success or call.status is None)


def line(call: Call) -> str:
    """One line about a call: model, tokens, cost, time and irregularities, without control characters."""
    parts = [inert(call.model or call.api)]
    if call.usage is None:
        parts.append("tokens unknown")
    else:
        prompt, completion = call.usage.prompt_tokens, call.usage.completion_tokens
        parts.append(f"{_count(prompt)} prompt + {_count(completion)} completion tokens")
    is_part = call.price is not None and not call.price.is_whole
    parts.append("cost unknown" if call.cost is None else f"{'>= ' if is_part else ''}{format_usd(call.cost)}")
    parts.append(f"{call.duration_s:.2f} s")
    if call.certainty not in ("exact", "unmeasured"):
        parts.append(call.certainty.replace("_", " "))
    if call.outcome != "complete":
        parts.append(call.outcome)
    if call.error is not None:
        parts.append(inert(call.error))
    if call.attempt:
        parts.append(f"retry {call.attempt}")
    return ", ".join(parts)


def _count(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


def inert(text: str) -> str:
    """Escape control, format and bidi characters, because text from outside must not control a terminal."""
    if text.isascii() and text.isprintable():
        return text
    import unicodedata

    unsafe = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return "".join(f"\\u{ord(c):04x}" if unicodedata.category(c) in unsafe else c for c in text)
