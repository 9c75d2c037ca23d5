"""Bodies as the providers send them, and what they mean, both written by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from token_meter._fees import Fees
from token_meter.types import Usage


def dump(value: Any) -> bytes:
    """Compact UTF-8 JSON, as servers send it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


CHAT = {
    "id": "chatcmpl-BQx7",
    "object": "chat.completion",
    "created": 1747000000,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Roses, then.", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 2000,
        "completion_tokens": 500,
        "total_tokens": 2500,
        "prompt_tokens_details": {
            "cached_tokens": 1024,
            "cache_write_tokens": 100,
            "audio_tokens": 7,
            "image_tokens": 9,
        },
        "completion_tokens_details": {
            "reasoning_tokens": 300,
            "audio_tokens": 11,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    },
    "service_tier": "priority",
    "system_fingerprint": "fp_34a54ae93c",
}
CHAT_USAGE = Usage(
    prompt_tokens=2000,
    completion_tokens=500,
    total_tokens=2500,
    cached_tokens=1024,
    cache_write_tokens=100,
    reasoning_tokens=300,
    input_audio_tokens=7,
    input_image_tokens=9,
    output_audio_tokens=11,
)
RESPONSE: dict[str, Any] = {
    "id": "resp_67cb",
    "object": "response",
    "created_at": 1747000000,
    "status": "completed",
    "background": False,
    "error": None,
    "incomplete_details": None,
    "instructions": "Say usage.",
    "model": "gpt-6.1-terra",
    "output": [
        {"id": "rs_1", "type": "reasoning", "summary": []},
        {
            "id": "msg_1",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Tulips.", "annotations": []}],
        },
    ],
    "parallel_tool_calls": True,
    "service_tier": "default",
    "tools": [
        {
            "type": "function",
            "name": "bill",
            "parameters": {
                "type": "object",
                "properties": {
                    "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
                    "model": {"type": "string"},
                    "status": {"type": "string"},
                },
            },
        }
    ],
    "tool_usage": {
        "image_gen": {"input_tokens": 10, "output_tokens": 90, "total_tokens": 100},
        "web_search": {"num_requests": 3},
    },
    "usage": {
        "input_tokens": 20000,
        "input_tokens_details": {
            "cached_tokens": 4000,
            "cache_write_tokens": 10000,
            "cache_write_tokens_details": {"ttl_30m_tokens": 2000, "ttl_12h_tokens": 8000},
        },
        "output_tokens": 1000,
        "output_tokens_details": {"reasoning_tokens": 600},
        "total_tokens": 21000,
    },
    "user": None,
    "metadata": {},
}
RESPONSE_USAGE = Usage(
    prompt_tokens=20000,
    completion_tokens=1000,
    total_tokens=21000,
    cached_tokens=4000,
    cache_write_tokens=10000,
    cache_write_long_tokens=8000,
    reasoning_tokens=600,
    web_searches=3,
    tool_usage_tokens=100,
)
EMBEDDING = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.0023, -0.0093]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}
DRAWN = {"input@gpt-5": 40, "output@gpt-5": 60}
SVG = {"input_tokens": 40, "model": "gpt-5", "output_tokens": 60, "reasoning_tokens": 5, "total_tokens": 100}


def _chat(usage: Any, **more: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "message": {"content": "x"}}], "usage": usage, **more}


CASES: dict[str, tuple[str, Any, Usage | None]] = {
    "chat": ("chat", CHAT, CHAT_USAGE),
    "chat with null": ("chat", _chat(None), None),
    "chat without": ("chat", {"id": "c", "model": "m", "choices": []}, None),
    "legacy completion": (
        "completions",
        {
            "id": "cmpl-1",
            "object": "text_completion",
            "model": "gpt-3.5-turbo-instruct",
            "choices": [{"text": "one", "index": 0, "finish_reason": "length"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},
        },
        Usage(100, 50, 150),
    ),
    "response": ("responses", RESPONSE, RESPONSE_USAGE),
    "response with a drawing": (
        "responses",
        {
            **RESPONSE,
            "tool_usage": None,
            "output": [{"type": "image_generation_call", "svg_usage": SVG}, {"type": "image_generation_call"}],
        },
        RESPONSE_USAGE._replace(web_searches=None, tool_usage_tokens=100, fees=Fees({"image_generation": 1, **DRAWN})),
    ),
    "compaction": (
        "compaction",
        {
            "id": "resp_c",
            "object": "response.compaction",
            "created_at": 1,
            "output": [],
            "usage": {
                "input_tokens": 139,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": 438,
                "output_tokens_details": {"reasoning_tokens": 64},
                "total_tokens": 577,
            },
        },
        Usage(139, 438, 577, cached_tokens=0, reasoning_tokens=64),
    ),
    # An embedding has no output: its 0 is known, not guessed.
    "embedding": ("embeddings", EMBEDDING, Usage(8, 0, 8)),
    "image with details": (
        "images",
        {
            "created": 1,
            "data": [{"b64_json": "aGk="}],
            "usage": {
                "input_tokens": 1050,
                "input_tokens_details": {"image_tokens": 1000, "text_tokens": 50},
                "output_tokens": 4200,
                "output_tokens_details": {"image_tokens": 4160, "text_tokens": 40},
                "total_tokens": 5250,
            },
            "svg_usage": SVG,
        },
        Usage(
            1050,
            4200,
            5250,
            input_image_tokens=1000,
            output_image_tokens=4160,
            output_text_tokens=40,
            tool_usage_tokens=100,
            fees=Fees(DRAWN),
        ),
    ),
    "image without output details": (
        "images",
        {
            "created": 1,
            "data": [],
            "usage": {
                "input_tokens": 1050,
                "input_tokens_details": {"image_tokens": 1000, "text_tokens": 50},
                "output_tokens": 1056,
                "total_tokens": 2106,
            },
        },
        Usage(1050, 1056, 2106, input_image_tokens=1000, output_image_tokens=1056),
    ),
    "transcription in tokens": (
        "transcriptions",
        {
            "text": "hello",
            "usage": {
                "type": "tokens",
                "input_tokens": 14,
                "input_token_details": {"text_tokens": 10, "audio_tokens": 4},
                "output_tokens": 101,
                "total_tokens": 115,
            },
        },
        Usage(14, 101, 115, input_audio_tokens=4),
    ),
    "transcription in seconds": (
        "transcriptions",
        {"text": "hello", "duration": 59.5, "usage": {"type": "duration", "seconds": 60}},
        Usage(audio_seconds=60.0),
    ),
    "decision": (
        "decisions",
        {
            "answers": [{"type": "predicate", "probability": 0.5}],
            "model": "gpt-6-decide",
            "usage": {
                "input_tokens": 50,
                "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 20},
                "output_tokens": 5,
                "output_tokens_details": {"reasoning_tokens": 1},
                "total_tokens": 55,
            },
        },
        Usage(50, 5, 55, cached_tokens=10, cache_write_tokens=20, reasoning_tokens=1),
    ),
    "moderation": ("moderations", {"id": "modr-1", "model": "omni-moderation-2024-09-26", "results": []}, None),
    "run over": (
        "runs",
        {
            "id": "run_1",
            "object": "thread.run",
            "status": "completed",
            "model": "gpt-4o",
            "usage": {"prompt_tokens": 123, "completion_tokens": 456, "total_tokens": 579},
        },
        Usage(123, 456, 579),
    ),
    # The run repeats what its steps say.
    "step of a run": (
        "runs",
        {"id": "step_1", "object": "thread.run.step", "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        None,
    ),
    "DeepSeek": (
        "chat",
        _chat(
            {
                "prompt_tokens": 2000,
                "completion_tokens": 500,
                "total_tokens": 2500,
                "prompt_cache_hit_tokens": 1500,
                "prompt_cache_miss_tokens": 500,
            }
        ),
        Usage(2000, 500, 2500, cached_tokens=1500),
    ),
    "Moonshot, in the first choice": (
        "chat",
        {
            "model": "kimi",
            "choices": [{"index": 0, "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}],
        },
        Usage(5, 2, 7),
    ),
    "Moonshot's way, in a legacy completion": (
        "completions",
        {
            "model": "kimi",
            "choices": [{"index": 0, "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}],
        },
        Usage(5, 2, 7),
    ),
    "OpenRouter": (
        "chat",
        _chat({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "cost": 0.000123456789012345678}),
        Usage(5, 2, 7, provider_cost=Decimal("0.00012345678901234567")),  # as Python's repr wrote it
    ),
    "Perplexity says its charge in parts": (
        "chat",
        _chat({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "cost": {"total_cost": 0.006}}),
        Usage(5, 2, 7, provider_cost=Decimal("0.006")),
    ),
    # Reasoning is additive here: 100 + 20 + 300. All three stay as reported.
    "xAI": (
        "chat",
        _chat(
            {
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "total_tokens": 420,
                "completion_tokens_details": {"reasoning_tokens": 300},
                "cost_in_usd_ticks": 158500000,
            }
        ),
        Usage(100, 20, 420, reasoning_tokens=300, provider_cost=Decimal("0.0158500000")),
    ),
    # 100 + 2000 + 3000: our prompt includes what was cached and written.
    "Anthropic": (
        "messages",
        {
            "id": "msg_1",
            "type": "message",
            "model": "claude-sonnet-4-5",
            "usage": {
                "input_tokens": 100,
                "cache_creation_input_tokens": 2000,
                "cache_read_input_tokens": 3000,
                "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 1500},
                "output_tokens": 200,
                "service_tier": "standard",
            },
        },
        Usage(5100, 200, 5300, cached_tokens=3000, cache_write_tokens=2000, cache_write_long_tokens=1500),
    ),
    "total above the sum": (
        "chat",
        _chat({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 90}),
        Usage(5, 2, 90),
    ),
    "no total": ("chat", _chat({"prompt_tokens": 5, "completion_tokens": 2}), Usage(5, 2, 7)),
    "only a prompt": ("chat", _chat({"prompt_tokens": 5}), Usage(5)),
    "empty": ("chat", _chat({}), None),
    "no object": ("chat", _chat([1]), None),
}
