"""Where an answer leaves a part of its bill open, or contradicts itself, the sum is not called complete."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from tests.bill.posts import ANTHROPIC, GEMINI, OPENAI, Answer, metered, posted
from token_meter import meter

CHAT, RESPONSES, MESSAGES = f"{OPENAI}/chat/completions", f"{OPENAI}/responses", f"{ANTHROPIC}/messages"
COMPAT = f"{GEMINI}/openai/chat/completions"
COHERE, EMBED = "https://api.cohere.com/v2/chat", "https://api.cohere.com/v2/embed"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model"
NOVA, CLAUDE = f"{BEDROCK}/us.amazon.nova-lite-v1%3A0", f"{BEDROCK}/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0"
SAID = "The sea is wide, and its waves are long."


class Row(NamedTuple):
    """An answer; what is missing of its price, or how its counts are known; nothing: it is sure."""

    url: str
    asked: Any
    body: Any
    missing: tuple[str, ...] = ()
    certainty: str = "exact"


def counts(prompt: Any = 1000, completion: Any = 100, total: Any = None, **more: Any) -> dict[str, Any]:
    total = prompt + completion if total is None else total
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **more}


def chat(usage: Any = None, model: str = "gpt-5", url: str = CHAT, **asked: Any) -> Any:
    choices = [{"index": 0, "message": {"role": "assistant", "content": SAID}, "finish_reason": "stop"}]
    body = {"id": "c", "object": "chat.completion", "model": model, "choices": choices, "usage": usage or counts()}
    return url, {"model": model, **asked}, body


def response(usage: Any, **more: Any) -> Any:
    body = {"id": "r", "object": "response", "status": "completed", "model": "gpt-5", "output": [], "usage": usage}
    return RESPONSES, {"model": "gpt-5"}, {**body, **more}


def gemini(usage: Any, model: str = "gemini-2.5-flash", grounded: Any = None, **asked: Any) -> Any:
    candidate = {"content": {"parts": [{"text": SAID}]}, "finishReason": "STOP", "groundingMetadata": grounded}
    body = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model}
    return f"{GEMINI}/models/{model}:generateContent", {"contents": [], **asked}, body


def metadata(prompt: int = 1000, completion: int = 1290, **more: Any) -> dict[str, Any]:
    both = {"promptTokenCount": prompt, "candidatesTokenCount": completion}
    return {**both, "totalTokenCount": prompt + completion, **more}


def modal(**tokens: int) -> list[dict[str, Any]]:
    return [{"modality": kind, "tokenCount": count} for kind, count in tokens.items()]


def message(usage: Any, content: Any = (), **asked: Any) -> Any:
    content = [{"type": "text", "text": SAID}, *content]
    body = {"id": "m", "type": "message", "model": "claude-sonnet-4-5", "content": content, "stop_reason": "end_turn"}
    return MESSAGES, {"model": "claude-sonnet-4-5", "messages": [], **asked}, {**body, "usage": usage}


def tool(name: str) -> dict[str, Any]:
    return {"type": "server_tool_use", "id": "srvtoolu_1", "name": name, "input": {}}


def iterated(*found: Any) -> dict[str, Any]:
    return {**START, "iterations": list(found)}


def written(tokens: int | None = None, **split: int) -> dict[str, Any]:
    total = {} if tokens is None else {"cache_creation_input_tokens": tokens}
    parts = {f"ephemeral_{life}_input_tokens": count for life, count in split.items()}
    return {"input_tokens": 10, "output_tokens": 5, **total, **({"cache_creation": parts} if split else {})}


def streamed(start: Any, last: Any, **asked: Any) -> Any:
    begun = {"id": "m", "type": "message", "model": "claude-sonnet-4-5", "content": [], "stop_reason": None}
    events = [
        {"type": "message_start", "message": {**begun, "usage": start}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": SAID}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, **({} if last is None else {"usage": last})},
        {"type": "message_stop"},
    ]
    return MESSAGES, {"model": "claude-sonnet-4-5", "messages": [], "stream": True, **asked}, events


def cohere(usage: Any, url: str = COHERE) -> Any:
    said = {"role": "assistant", "content": [{"type": "text", "text": SAID}]}
    body = {"id": "x", "finish_reason": "COMPLETE", "message": said, "usage": usage, "meta": usage}
    return url, {"model": "command-r-plus" if url == COHERE else "embed-v4.0"}, body


def piece(made: int | None = None, finish: str | None = None, *, has_choice: bool = True) -> dict[str, Any]:
    choices = [{"index": 0, "delta": {"content": "hello "}, "finish_reason": finish}] if has_choice else []
    usage = {} if made is None else {"usage": counts(10, made)}
    return {"id": "c", "object": "chat.completion.chunk", "model": "gpt-5", "choices": choices, **usage}


def pieces(*found: Any) -> Any:
    return CHAT, {"model": "gpt-5", "stream": True}, list(found)


def converse(asked: Any = None, **more: Any) -> Any:
    body = {
        "output": {"message": {"role": "assistant", "content": [{"text": SAID}]}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100}, **more,
    }  # fmt: skip
    return f"{NOVA}/converse", {"messages": [], **(asked or {})}, body


def heard(seconds: Any) -> Any:
    usage = {"type": "duration", "seconds": seconds}
    return f"{OPENAI}/audio/transcriptions", {"model": "whisper-1"}, {"text": SAID, "usage": usage}


def drawn(usage: Any, **asked: Any) -> Any:
    return f"{OPENAI}/images/edits", {"model": "gpt-image-1", **asked}, {"created": 1, "data": [], "usage": usage}


INS, OUTS = "prompt_tokens_details", "completion_tokens_details"
FLASH_IMAGE, AUDIO = "gemini-2.5-flash-image", "gpt-4o-audio-preview"
HOUR = {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]}
LIFE, CLASH = ("cache writes of unknown lifetime",), ("counts that contradict each other",)
IMAGES, SOUNDS, HEARD = ("image output",), ("audio output",), ("audio input",)
SOUND = {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "a"}}]}]}
SENT_SOUND = {"contents": [{"parts": [{"inlineData": {"mimeType": "audio/wav", "data": "a"}}]}]}
GUARD = {"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}
TOPICS = {"invocationMetrics": {"usage": {"topicPolicyUnits": 2, "wordPolicyUnits": 1}}}
TRACE = {"trace": {"guardrail": {"inputAssessment": {"g": TOPICS}, "outputAssessments": {"g": [TOPICS]}}}}
BILLED = {"billed_units": {"input_tokens": 5, "output_tokens": 1}, "tokens": {"input_tokens": 71, "output_tokens": 3}}
START = {"input_tokens": 10, "output_tokens": 1}
TRIED = {"type": "message", **START}
FELL_BACK = {"type": "fallback_message", "model": "claude-sonnet-4-5", **START}
ENTERPRISE = {"tools": [{"enterpriseWebSearch": {}}]}
DEEPSEEK = "https://api.deepseek.com/chat/completions"
OVER = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
GROWN = {**START, "cache_creation_input_tokens": 100,
         "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 0}}  # fmt: skip
IMAGE_USAGE = {"input_tokens": 310, "output_tokens": 1056, "total_tokens": 1366}

ROWS = {
    # What is generated at another rate than text, or sent.
    "an image, which no detail tells": Row(*gemini(metadata(10), FLASH_IMAGE), IMAGES),
    "an image by OpenAI's api": Row(*chat(None, "gemini-3-pro-image-preview", COMPAT), IMAGES),
    "details of a part": Row(*gemini(metadata(10, candidatesTokensDetails=modal(TEXT=9)), FLASH_IMAGE), IMAGES),
    "an image that is told": Row(*gemini(metadata(10, candidatesTokensDetails=modal(IMAGE=1280)), FLASH_IMAGE)),
    "a text of that model": Row(*gemini(metadata(10, 9, candidatesTokensDetails=modal(TEXT=9)), FLASH_IMAGE)),
    "speech, which no detail tells": Row(*chat(None, AUDIO), SOUNDS),
    "speech that is told": Row(*chat(counts(**{OUTS: {"audio_tokens": 40}, INS: {"audio_tokens": 9, "cached_tokens": 0}}), AUDIO)),
    "a text without details": Row(*gemini(metadata())),
    "audio that was sent": Row(*gemini(metadata(), **SENT_SOUND), HEARD),
    "audio that was sent and told": Row(*gemini(metadata(promptTokensDetails=modal(AUDIO=900, TEXT=100)), **SENT_SOUND)),
    "audio by OpenAI's api": Row(*chat(None, "gemini-2.5-flash", COMPAT, **SOUND), HEARD),
    "a modality of tomorrow": Row(*gemini(metadata(promptTokensDetails=modal(SMELL=900, TEXT=100))), ("tokens of no known kind",)),
    "a document": Row(*gemini(metadata(promptTokensDetails=modal(DOCUMENT=900, TEXT=100)))),
    "images that are edited": Row(*drawn(IMAGE_USAGE, images=[{"image_url": "u"}]), ("image input",)),
    "and told": Row(*drawn({**IMAGE_USAGE, "input_tokens_details": {"text_tokens": 10, "image_tokens": 300}}, images=[{"image_url": "u"}])),
    "a kind of token of tomorrow": Row(*chat(counts(**{INS: {"smell_tokens": 500}})), ("input smell tokens",)),
    "none of that kind": Row(*chat(counts(**{INS: {"smell_tokens": 0}}))),
    "predictions": Row(*chat(counts(**{OUTS: {"accepted_prediction_tokens": 10, "rejected_prediction_tokens": 20}}))),
    "seconds of audio": Row(*chat(counts(prompt_audio_seconds=15), "voxtral-small-2507", "https://api.mistral.ai/v1/chat/completions"), ("seconds of audio",)),
    # Streams without their last word.
    "a message without a last count": Row(*streamed(START, None), certainty="lower_bound"),
    "with an empty one": Row(*streamed(START, {}), certainty="lower_bound"),
    "with one that is null": Row(*streamed(START, {"output_tokens": None}), certainty="lower_bound"),
    "with one of the input": Row(*streamed(START, {"input_tokens": 10}), certainty="lower_bound"),
    "a message of one token": Row(*streamed(START, {"output_tokens": 1})),
    "usage on each piece, and cut": Row(*pieces(piece(1), piece(2)), certainty="lower_bound"),
    "usage on each piece": Row(*pieces(piece(1), piece(2, "stop"))),
    "usage behind the end": Row(*pieces(piece(), piece(None, "stop"), piece(2, has_choice=False))),
    "usage alone": Row(*pieces(piece(), piece(2, has_choice=False))),
    # Writes to a cache.
    "a lifetime of tomorrow": Row(*message(written(300, **{"24h": 300})), LIFE),
    "and a known one": Row(*message(written(300, **{"24h": 200, "5m": 100})), LIFE),
    "a split that is less": Row(*message(written(300, **{"5m": 100, "1h": 0})), LIFE),
    "a split that is more": Row(*message(written(300, **{"5m": 300, "1h": 100})), LIFE),
    "a split of nothing": Row(*message(written(0, **{"5m": 300, "1h": 100})), LIFE),
    "a split alone": Row(*message(written(None, **{"5m": 300, "1h": 100}))),
    "a split": Row(*message(written(300, **{"5m": 100, "1h": 200}), **HOUR)),
    "no split": Row(*message(written(300))),
    "no split of what was asked for an hour": Row(*message(written(300), **HOUR), LIFE),
    "a stream that wrote more": Row(*streamed(GROWN, {"output_tokens": 7, "cache_creation_input_tokens": 400})),
    "for an hour, maybe": Row(*streamed(GROWN, {"output_tokens": 7, "cache_creation_input_tokens": 400}, **HOUR), LIFE),
    "a lifetime of tomorrow at OpenAI": Row(
        *chat(counts(**{INS: {"cache_write_tokens": 9, "cache_write_tokens_details": {"ttl_48h_tokens": 9}}}), "gpt-6.1-sol"), LIFE
    ),
    "known ones": Row(
        *chat(counts(**{INS: {"cache_write_tokens": 9, "cache_write_tokens_details": {"ttl_30m_tokens": 9}}}), "gpt-6.1-sol")
    ),
    "a lifetime of tomorrow at Bedrock": Row(
        f"{CLAUDE}/converse", {"messages": []},
        {"usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 315, "cacheWriteInputTokens": 300,
                   "cacheDetails": [{"ttl": "24h", "inputTokens": 300}]}}, LIFE,
    ),
    # Counts that cannot be.
    "a total below its parts": Row(*chat(counts(total=900)), CLASH),
    "a total below the prompt": Row(*response({"input_tokens": 1000, "output_tokens": 100, "total_tokens": 90}), CLASH),
    "of Gemini": Row(*gemini({**metadata(), "totalTokenCount": 50}), CLASH),
    "of Bedrock": Row(*converse(usage={"inputTokens": 1000, "outputTokens": 100, "totalTokens": 500}), CLASH),
    "more reasoning than output": Row(*chat(counts(**{OUTS: {"reasoning_tokens": 101}})), CLASH),
    "all of it reasoning": Row(*chat(counts(**{OUTS: {"reasoning_tokens": 100}}))),
    "more thoughts than output": Row(*message({**START, "output_tokens_details": {"thinking_tokens": 9}}), CLASH),
    "more text than an image": Row(*drawn({**IMAGE_USAGE, "output_tokens_details": {"text_tokens": 2000}}), CLASH),
    "a count below 0": Row(*chat(counts(**{INS: {"cached_tokens": -5}})), certainty="estimated"),
    "a total below 0": Row(*chat(counts(total=-1)), certainty="estimated"),
    "a count of words": Row(*chat(counts(**{INS: {"cached_tokens": "many"}})), certainty="estimated"),
    "a list for an object": Row(*chat(counts(**{INS: [{"cached_tokens": 5}]})), certainty="estimated"),
    "a prompt below 0": Row(*gemini({**metadata(), "promptTokenCount": -1}), certainty="lower_bound"),
    "a whole number with a point": Row(*chat(counts(1000.0, 100.0, 1100.0))),
    "nulls": Row(*chat(counts(**{INS: None, OUTS: {"reasoning_tokens": None}}))),
    "seven seconds": Row(*heard(7)),
    "two names that disagree": Row(*chat(counts(input_tokens=900)), certainty="estimated"),
    "and agree": Row(*chat(counts(input_tokens=1000, output_tokens=0))),
    "a cache's hits and misses": Row(
        *chat(counts(prompt_cache_hit_tokens=100, prompt_cache_miss_tokens=900), "deepseek-chat", DEEPSEEK)
    ),
    "that are not the prompt": Row(
        *chat(counts(prompt_cache_hit_tokens=100, prompt_cache_miss_tokens=90), "deepseek-chat", DEEPSEEK), certainty="estimated"
    ),
    # Answers that are not over.
    "usage of a response under way": Row(*response(OVER, status="in_progress"), certainty="lower_bound"),
    "an error amid usage on each piece": Row(*pieces(piece(1), {"error": {"code": "x"}}, "[DONE]"), certainty="lower_bound"),
    "a piece of an image": Row(
        f"{OPENAI}/images/generations", {"model": "gpt-image-1", "stream": True},
        [{"type": "image_generation.partial_image", "usage": IMAGE_USAGE}], certainty="lower_bound",
    ),
    # Tools and terms of which the usage says nothing.
    "a search that only its block shows": Row(*message(START, content=[tool("web_search")])),
    "a tool of tomorrow": Row(*message(START, content=[tool("oracle")]), ("oracle",)),
    "pages that are fetched": Row(*message(START, content=[tool("web_fetch")])),
    "its count under a name of tomorrow": Row(*message({**START, "server_tool_use": {"oracles": 1}}), ("oracles",)),
    "tokens of tomorrow": Row(*message({**START, "oracle_tokens": 1}), ("tokens of no known kind",)),
    "an iteration of tomorrow": Row(*message(iterated({"type": "oracle", **START})), ("tokens of no known kind",)),
    "an answer of a fallback": Row(*message(iterated({**TRIED, "model": "claude-opus-5"}, FELL_BACK)), ("tokens of another model",)),
    "and of itself alone": Row(*message(iterated({**TRIED, "model": "claude-sonnet-4-5"}, FELL_BACK))),
    "a credit": Row(*message({**START, "fallback_credit": {"status": {"type": "redeemed"}}}), ("fallback credit",)),
    "no credit": Row(*message({**START, "fallback_credit": {"status": {"type": "not_applied"}}})),
    "a search for enterprises": Row(*gemini(metadata(), grounded={"webSearchQueries": ["a"]}, **ENTERPRISE), ("enterprise_web_search",)),
    "grounding of tomorrow": Row(*gemini(metadata(), grounded={"groundingChunks": [{"oracle": {}}]}), ("grounding by oracle",)),
    "a map": Row(*gemini(metadata(), grounded={"googleMapsWidgetContextToken": "x"}), ("google_maps",)),
    "another search of OpenAI": Row(
        *response(OVER, tool_usage={"web_search": {"num_requests": 0, "num_deep_requests": 2}}), ("web_search of another kind",)
    ),
    "a tool's use as a text": Row(*response(OVER, tool_usage={"oracle": {"runs": "3"}}), ("oracle",)),
    "tools of xAI without their names": Row(
        *chat(counts(num_server_side_tools_used=2), "grok-4", "https://api.x.ai/v1/chat/completions"), ("server-side tools",)
    ),
    "a connector without a count": Row(
        "https://api.mistral.ai/v1/conversations", {"inputs": "x"},
        {"conversation_id": "c", "usage": counts(), "outputs": [
            {"type": "tool.execution", "name": "web_search"},
            {"type": "message.output", "model": "mistral-small-2506", "content": SAID}]}, ("web_search",),
    ),
    "a run that may have run code": Row(
        f"{OPENAI}/threads/t/runs", {"assistant_id": "a"},
        {"id": "r", "object": "thread.run", "status": "completed", "model": "gpt-4o", "usage": counts(),
         "tools": [{"type": "code_interpreter"}]}, ("code_interpreter",),
    ),
    # What Cohere counted is not what it billed.
    "billed units": Row(*cohere(BILLED)),
    "none": Row(*cohere({"tokens": BILLED["tokens"]}), certainty="estimated"),
    "empty ones": Row(*cohere({**BILLED, "billed_units": {}}), certainty="estimated"),
    "of an embedding": Row(*cohere({"tokens": {"input_tokens": 5}}, EMBED), certainty="estimated"),
    "searches": Row(*cohere({"billed_units": {**BILLED["billed_units"], "search_units": 2}}), ("search_units",)),
    "no searches": Row(*cohere({"billed_units": {**BILLED["billed_units"], "search_units": 0}})),
    "images by their tokens": Row(*cohere({"billed_units": {"input_tokens": 5, "image_tokens": 100}}, EMBED)),
    "images by the piece": Row(*cohere({"billed_units": {"input_tokens": 5, "images": 1}}, EMBED), ("images",)),
    # Guardrails.
    "a guardrail that was asked for": Row(*converse(GUARD), ("guardrail",)),
    "one that intervened": Row(*converse(stopReason="guardrail_intervened"), ("guardrail",)),
    "one whose trace was asked for": Row(*converse(GUARD, **TRACE), ("guardrail topicPolicy",)),
    "no guardrail": Row(*converse()),
    "one of an invocation": Row(
        f"{CLAUDE}/invoke", {"messages": []}, {**message(START)[2], "amazon-bedrock-guardrailAction": "NONE"}, ("guardrail",)
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_an_answer_is_called_the_bill_only_where_it_says_all(row: Row) -> None:
    cb = posted(row.url, row.asked, row.body)

    (call,) = cb.calls
    assert call.price is not None
    assert (call.price.missing, call.certainty) == (row.missing, row.certainty), call
    assert cb.is_complete is (not row.missing and row.certainty == "exact")
    assert cb.cost > 0


@pytest.mark.parametrize("seconds", [0, -2, "x", None])
def test_audio_of_no_length_is_unmeasured(seconds: Any) -> None:
    cb = posted(*heard(seconds))

    assert (cb.unmeasured_calls, cb.is_complete) == (1, False)


@pytest.mark.parametrize(("total", "cost"), [(900, "0.001125"), (1050, "0.00175"), (1100, "0.00225")])
def test_of_counts_that_contradict_each_other_the_least_is_charged(total: int, cost: str) -> None:
    assert str(posted(*chat(counts(total=total))).cost) == cost


@pytest.mark.parametrize(
    "name", ["a total below its parts", "more reasoning than output", "an image, which no detail tells"]
)
def test_calls_that_are_priced_together_are_no_surer(name: str) -> None:
    row = ROWS[name]
    cb = metered([("POST", row.url, row.asked, row.body)] * 3)

    assert (cb.partly_priced_calls, cb.is_complete) == (3, False)


@pytest.mark.parametrize(
    ("found", "is_sure"),
    [
        ([piece(1), piece(2)], False),
        ([piece(1), piece(2, "stop")], True),
        ([piece(), piece(2, has_choice=False)], True),
    ],
)
def test_a_stream_that_is_read_piece_by_piece_is_no_surer(found: Any, is_sure: bool) -> None:
    answer = Answer(found)
    with (
        meter(on_unpriced="ignore") as cb,
        httpx.Client(transport=httpx.MockTransport(lambda _: streaming(answer))) as client,
    ):
        with client.stream("POST", CHAT, json={"model": "gpt-5", "stream": True}) as response:
            assert list(response.iter_bytes())

    assert cb.is_complete is is_sure


def streaming(answer: Answer) -> httpx.Response:
    """The same, of which nothing has been read."""
    return httpx.Response(200, headers=answer.headers, stream=Pieces(answer.content))


class Pieces(httpx.SyncByteStream):
    def __init__(self, content: bytes) -> None:
        self.content = content

    def __iter__(self) -> Iterator[bytes]:
        yield from (self.content[at : at + 50] for at in range(0, len(self.content), 50))


def test_what_is_recorded_by_hand_is_no_surer() -> None:
    with meter(on_unpriced="ignore") as cb:
        cb.record(
            "command-r-plus",
            usage={"tokens": {"input_tokens": 5, "output_tokens": 1}},
            api="cohere_chat",
            host="api.cohere.com",
        )
        cb.record("gpt-5", usage=counts(total=900), host="api.openai.com")

    assert (cb.estimated_calls, cb.partly_priced_calls) == (1, 1)


def test_what_a_stream_showed_takes_the_place_of_its_last_count() -> None:
    (call,) = posted(*streamed(START, None)).calls

    assert (call.tokens.completion_tokens or 0) > 5


@pytest.mark.parametrize(
    "url",
    [
        f"{BEDROCK.removesuffix('/model')}/guardrail/g/version/1/apply",
        "https://bedrock-agent-runtime.us-east-1.amazonaws.com/knowledgebases/k/retrieve",
        f"{GEMINI.replace('/v1beta', '/upload/v1beta')}/fileSearchStores/s:uploadToFileSearchStore",
        f"{GEMINI}/models/imagen-4.0-generate-001:predict",
        f"{GEMINI}/models/veo-3.0-generate-001:predictLongRunning",
        f"{ANTHROPIC}/a-post-of-tomorrow",
    ],
)
def test_a_post_that_may_cost_something_is_a_call(url: str) -> None:
    cb = posted(url, {"instances": []}, {"predictions": [{"bytesBase64Encoded": "a"}]})

    assert (cb.unmeasured_calls, cb.is_complete) == (1, False)
