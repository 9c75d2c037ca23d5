"""Ollama's chat and generate: one JSON object, or a stream of JSON lines whose last one counts."""

from __future__ import annotations

import json
from collections.abc import Iterator

from token_meter.estimate.rules import CountingRules
from token_meter.providers.api import Api
from token_meter.providers.plain_usage import plain_usage
from token_meter.types import Usage
from token_meter.wire.format import ContentPart, Format, UsageLocation, located
from token_meter.wire.framing import json_lines
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader
from token_meter.wire.safe_access import index_of, objects, text_of

COUNTS = ("prompt_eval_count", "eval_count")


def locate_usage(event: Object) -> UsageLocation:
    """The counts stand in the last object itself."""
    is_report = event.get("eval_count") is not None or event.get("prompt_eval_count") is not None
    return located((event if is_report else None, event))


def _usage(raw: Object, numbers: NumberReader) -> Usage:
    """Some versions leave the prompt's count out where it was cached: unknown, not 0."""
    prompt, completion = numbers.count(raw.get("prompt_eval_count")), numbers.count(raw.get("eval_count"))
    return plain_usage(prompt, completion, None if prompt is None or completion is None else prompt + completion)


def _parts(event: Object) -> Iterator[ContentPart]:
    """The parts of a line, or of a whole answer, which has the same shape."""
    message = event.get("message")
    shown, text = (message, "content") if isinstance(message, dict) else (event, "response")
    if thought := text_of(shown.get("thinking")):
        yield ContentPart("reasoning", thought)
    if found := text_of(shown.get(text)):
        yield ContentPart("text", found)
    for position, call in enumerate(objects(shown.get("tool_calls"))):
        function = call.get("function")
        if isinstance(function, dict):
            slot = index_of(function, position)
            yield ContentPart("tool_name", text_of(function.get("name")), 0, slot)
            yield ContentPart("tool_arguments", json.dumps(function.get("arguments"), ensure_ascii=False), 0, slot)


def _finish(event: Object) -> str | None:
    return (text_of(event.get("done_reason")) or "stop") if event.get("done") is True else None


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.ollama import counting

    return counting.CHAT


FORMAT = Format(
    usage=_usage,
    locate_usage=locate_usage,
    stream_parts=_parts,
    body_parts=_parts,
    finish=_finish,
    finish_is_end=True,
    keys=(*COUNTS, "model", "done"),
    optional_keys=("done_reason", "error"),
    usage_key=b'"eval_count"',
    framing=json_lines,
)

CHAT = Api("ollama_chat", FORMAT, paths=("api/chat",), is_chat=True, needs_sign=True, rules=_rules)
GENERATE = Api("ollama_generate", FORMAT, paths=("api/generate",), needs_sign=True, rules=_rules)
