"""Bedrock's `InvokeModel`, whole and streamed: bodies in the format of each model's vendor."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

from token_meter.estimate.rules import CountingRules
from token_meter.providers.anthropic import content as messages
from token_meter.providers.anthropic.usage import as_it_grows as messages_as_they_grow
from token_meter.providers.anthropic.usage import usage_of as anthropic_usage
from token_meter.providers.api import Api
from token_meter.providers.asked import asked_lives
from token_meter.providers.bedrock import content as nova
from token_meter.providers.bedrock.guardrails import GUARD_MARKS, guarded
from token_meter.providers.bedrock.usage import metered_by, read_headers
from token_meter.providers.bedrock.usage import usage_of as bedrock_usage
from token_meter.providers.usage import usage_of as openai_usage
from token_meter.types import Usage
from token_meter.wire.format import ContentPart, Format, UsageLocation
from token_meter.wire.framing import aws_events, aws_marks
from token_meter.wire.json_scan import Object, parse_object
from token_meter.wire.numbers import NumberReader
from token_meter.wire.safe_access import objects, text_of

_METRICS = "amazon-bedrock-invocationMetrics"
_END = "invocation_end"
_PROMPTS = ("prompt_token_count", "inputTextTokenCount")  # Llama, Titan
_ANSWERS = ("generation_token_count", "totalOutputTextTokenCount")
_VECTORS = ("embedding", "embeddings", "embeddingsByType")
_TEXTS = ("generation", "outputText", "completion", "text")
"""Keys of the text in a body or an event: Llama, Titan, Claude 2, Cohere."""
_LISTS = ("choices", "outputs", "generations", "results", "completions")
"""Lists of texts: OpenAI and AI21, Mistral, Cohere, Titan, AI21's first."""
_REASONS = ("stop_reason", "finish_reason", "completionReason", "stopReason")


def events(raw: bytes) -> Iterator[tuple[Object, int]]:
    """The vendor's events in an AWS event stream: each chunk holds one, in base64. The last has Bedrock's metrics."""
    for event, end in aws_events(raw):
        if event.get("type") != "chunk":
            yield event, end
            continue
        try:
            inner = parse_object(b64decode(event.get("bytes") or ""))
        except (binascii.Error, TypeError, ValueError):
            inner = None
        if inner is not None:
            yield ({**inner, "type": _END} if _METRICS in inner else inner), end


def _locate_usage(event: Object) -> UsageLocation:
    """Whatever an answer or an event says of its usage. Its model is Bedrock's, which the path names."""
    found = _usage_in(event)
    for names in (_PROMPTS, _ANSWERS):
        found.update({name: event[name] for name in names if event.get(name) is not None})
    results = [result.get("tokenCount") for result in objects(event.get("results"))]
    if results and None not in results:
        found["results"] = results
    if any(name in event for name in _VECTORS):
        found["has_vectors"] = True
    if isinstance(metrics := event.get(_METRICS), dict):
        found[_METRICS] = metrics
    return UsageLocation(found or None, {"id": event.get("id")})


def _usage_in(event: Object) -> Object:
    """A usage object: at the top, or inside of Claude's first event or of Nova's last."""
    for holder in (event, event.get("message"), event.get("metadata")):
        usage: Any = holder.get("usage") if isinstance(holder, dict) else None
        if isinstance(usage, dict):
            return dict(messages_as_they_grow(event, usage))
    return {}


def _usage(raw: Object, numbers: NumberReader) -> Usage:
    usage = _of_body(raw, numbers)
    if raw.get("has_vectors"):
        usage = usage._replace(completion_tokens=0, total_tokens=usage.prompt_tokens)
    if None in usage[:2] and isinstance(metrics := raw.get(_METRICS), dict):
        # Where both say something, the body's count may be larger: of Claude 3, when it called a tool.
        usage = metered_by(metrics, numbers)
    return usage


def _of_body(raw: Object, numbers: NumberReader) -> Usage:
    if "inputTokens" in raw:
        return bedrock_usage(raw, numbers)
    if "input_tokens" in raw:
        return anthropic_usage(raw, numbers)
    if "prompt_tokens" in raw:
        return openai_usage(raw, numbers)
    prompt, made = (
        next((numbers.count(raw[name]) for name in names if name in raw), None) for names in (_PROMPTS, _ANSWERS)
    )
    if made is None and isinstance(results := raw.get("results"), list):
        counts = [numbers.count(result) for result in results]
        made = None if None in counts else sum(count or 0 for count in counts)
    return Usage(prompt, made, None if prompt is None or made is None else prompt + made)


def _parts(event: Object, *, is_whole: bool) -> Iterator[ContentPart]:
    """The visible parts of an event or a body, in the first vendor's format that has some."""
    if is_whole:
        found = [*messages.finished(event), *nova.finished(event)]
    else:
        found = [*messages.growing(event), *(part for inner in _of_nova(event) for part in nova.growing(inner))]
    if not found:
        found = [*_plain(event, 0)]
        for name in _LISTS:
            for choice, item in enumerate(objects(event.get(name))):
                found += _plain(item, choice)
    yield from found


def _of_nova(event: Object) -> Iterator[Object]:
    """What Nova's events hold under their names."""
    return objects([event.get(name) for name in ("contentBlockStart", "contentBlockDelta")])


def _plain(holder: Object, choice: int) -> Iterator[ContentPart]:
    for said in objects([holder, holder.get("message"), holder.get("delta"), holder.get("data")]):
        for name in (*_TEXTS, "content"):
            if text := text_of(said.get(name)):
                yield ContentPart("text", text, choice)
                return


def _stream_parts(event: Object) -> Iterator[ContentPart]:
    return _parts(event, is_whole=False)


def _body_parts(body: Object) -> Iterator[ContentPart]:
    return _parts(body, is_whole=True)


def _finish(event: Object) -> str | None:
    lists = ([event, event.get("delta")], event.get("choices"), event.get("results"))
    for holder in (holder for several in lists for holder in objects(several)):
        for name in _REASONS:
            if reason := text_of(holder.get(name)):
                return reason.lower()
    return None


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.bedrock import counting

    return counting.INVOKE


INVOKE_MODEL = Api(
    "invoke_model",
    Format(
        usage=_usage,
        locate_usage=_locate_usage,
        stream_parts=_stream_parts,
        body_parts=_body_parts,
        finish=_finish,
        terminal=frozenset({_END, "message_stop", "error"}),
        keys=("usage", *_PROMPTS, *_ANSWERS),
        optional_keys=("results", "error", "id"),
        framing=events,
        frame_marks=aws_marks(),  # the last event itself is in base64
        has_running_output=True,
        read_headers=read_headers,
        fees=guarded,
        fee_marks=GUARD_MARKS,
    ),
    asked_fees=(asked_lives,),
    paths=("model/{model}/invoke", "model/{model}/invoke-with-response-stream"),
    is_chat=True,
    needs_sign=True,
    rules=_rules,
)
