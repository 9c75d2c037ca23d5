"""Answers of providers, made up by hand: what a vendor says in its own way, and the numbers that are right.

Each row is of a kind of fault that was found in the answers of real providers and gateways (F139 to F145).
"""

from __future__ import annotations

from typing import Any, NamedTuple

ROOT = {
    "openai": "https://api.openai.com/v1", "openrouter": "https://openrouter.ai/api/v1", "groq": "https://api.groq.com/openai/v1",
    "perplexity": "https://api.perplexity.ai", "gateway": "https://gw.example.com/v1", "mistral": "https://api.mistral.ai/v1",
    "deepseek": "https://api.deepseek.com", "moonshot": "https://api.moonshot.ai/v1", "xai": "https://api.x.ai/v1",
    "anthropic": "https://api.anthropic.com/v1", "gemini": "https://generativelanguage.googleapis.com/v1beta/openai",
    "vertex": "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1/endpoints/openapi",
    "azure": "https://acme.openai.azure.com/openai/v1", "local": "http://10.0.0.5:30000/v1",
}  # fmt: skip
PATH = {"chat": "/chat/completions", "responses": "/responses", "embeddings": "/embeddings", "messages": "/messages"}
UNSURE = {"is_complete": False}
SURE = {"is_complete": True, "estimated_calls": 0, "unmeasured_calls": 0}


class Answer(NamedTuple):
    """One answer.

    Attributes:
        name: what is special about it.
        right: attributes of the meter; a list of them where each is right.
        at: the key of `ROOT`.
        usage: what the answer states.
        api: the key of `PATH`, or a path of its own.
        model: asked for, and named by the answer unless `served` does.
        ask: what else the request says.
        more: what else the answer says.
        events: the data of the events, where the answer can only be streamed.
        raw: the pieces of the body, where the answer has frames of its own.
        text: what was answered.
        web_search: the user's own rate for a thousand searches.
    """

    name: str
    right: dict[str, Any] | list[dict[str, Any]]
    at: str = "openai"
    usage: dict[str, Any] | None = None
    api: str = "chat"
    model: str = "gpt-4o-mini"
    served: str = ""
    ask: dict[str, Any] = {}  # noqa: RUF012
    more: dict[str, Any] = {}  # noqa: RUF012
    events: tuple[Any, ...] = ()
    raw: tuple[bytes, ...] = ()
    text: str = "The sea is wide."
    web_search: str | None = None


def of(prompt: int, completion: int, total: int | None = None, **more: Any) -> dict[str, Any]:
    """OpenAI's usage of a chat."""
    total = prompt + completion if total is None else total
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **more}


def counts(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    """The right sums."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


def piece(text: str = "", **more: Any) -> dict[str, Any]:
    """The event of a stream."""
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": None}]
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}


def search(action: str = "search") -> dict[str, Any]:
    """What a search leaves in an answer."""
    return {"id": "ws", "type": "web_search_call", "status": "completed", "action": {"type": action, "query": "q"}}


EXACT = b'{"id":"c","object":"chat.completion","created":1,"model":"deepseek-chat","choices":[],"usage":{"prompt_tokens":30,"completion_tokens":12,"total_tokens":42}}'
EVENT = b'{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":6,"total_tokens":26}}'
IN, OUT = "prompt_tokens_details", "completion_tokens_details"
OVER, OUTER = {"cost_details": {"upstream_inference_cost": 0.04}}, {"cost_details": {"upstream_inference_cost": 0.0123}}
DETAILS = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
RESPONSE = {"input_tokens": 500, "output_tokens": 100, "total_tokens": 600, **DETAILS}
FLEX, PRIORITY = {"service_tier": "flex"}, {"service_tier": "priority"}

KINDS: dict[str, tuple[Answer, ...]] = {
    "own bill": (
        Answer("a charge and the same upstream", {"cost": "0.0123", **SURE}, "openrouter", of(90, 30, cost=0.0123, is_byok=False, **OUTER)),
        Answer("a charge on top of the caller's own key", {"cost": "0.042", **SURE}, "openrouter", of(90, 30, cost=0.002, is_byok=True, **OVER)),
        Answer("a charge with a total", {"cost": "0.0051", **SURE}, "perplexity", of(90, 30, cost={"input_tokens_cost": 0.0001, "request_cost": 0.005, "total_cost": 0.0051}), model="sonar"),
        Answer("euros", {"unpriced_calls": 1, "cost": "0"}, "gateway", of(90, 30, cost=0.7, currency="EUR")),
        Answer("a charge of a host that nobody knows", {"unpriced_calls": 1, "cost": "0"}, "gateway", of(90, 30, cost=1e9)),
        Answer("no amount, of a model without a price", {"unpriced_calls": 1, "cost": "0"}, "openrouter", of(90, 30, cost=None), model="acme/none-such"),
        Answer("rubles beside a price list", {"cost": "0.0000315", **SURE}, "openai", of(90, 30, cost=0.7, currency="RUB")),
    ),
    "zero lie": (
        Answer("all zeros", {**UNSURE, "estimated_calls": 1}, "openai", of(0, 0)),
        Answer("an answer of no tokens", {**UNSURE, "prompt_tokens": 12}, "openai", of(12, 0)),
        Answer("a prompt of none", {**UNSURE, "completion_tokens": 9}, "gateway", of(0, 9)),
        Answer("a response to no input", {**UNSURE, "completion_tokens": 9}, api="responses", usage={"input_tokens": 0, "output_tokens": 9, "total_tokens": 9}),
        Answer("embeddings by total", UNSURE, api="embeddings", usage={"total_tokens": 0}, model="text-embedding-3-small"),
        Answer("embeddings by prompt", UNSURE, api="embeddings", usage={"prompt_tokens": 0}, model="text-embedding-3-small"),
        Answer("a message", UNSURE, "anthropic", {"input_tokens": 0, "output_tokens": 0}, "messages", "claude-sonnet-5"),
    ),
    "other names": (
        Answer("a cache's hits", counts(900, 40, cached_tokens=512), "deepseek", of(900, 40, prompt_cache_hit_tokens=512, prompt_cache_miss_tokens=388), model="deepseek-chat"),
        Answer("cached at the top", counts(900, 40, cached_tokens=512), "moonshot", of(900, 40, cached_tokens=512), model="kimi-k2"),
        Answer("written in the details", counts(900, 40, cache_write_tokens=300), "gateway", of(900, 40, **{IN: {"cache_creation_tokens": 300, "cached_tokens": 0}})),
        Answer("thoughts at the top", counts(90, 40, reasoning_tokens=25), "gateway", of(90, 40, thoughts_token_count=25)),
        Answer("camels", counts(90, 40, total_tokens=130), "gateway", {"inputTokens": 90, "outputTokens": 40}),
        Answer("a total alone", counts(8, 0, total_tokens=8), "gateway", {"totalTokens": 8}, "embeddings", "m"),
        Answer("details in the singular", counts(900, 40, cached_tokens=512), "mistral", of(900, 40, prompt_token_details={"cached_tokens": 512})),
    ),
    "rest of a total": (
        Answer("that nobody explains", counts(100, 50, total_tokens=650, **UNSURE), "gemini", of(100, 50, 650), model="gemini-2.5-flash"),
        Answer("that is reasoning", {"cost": "0.00023", **SURE}, "gemini", of(100, 50, 180, **{OUT: {"reasoning_tokens": 30}}), model="gemini-2.5-flash"),
        Answer("larger than the reasoning", UNSURE, "gemini", of(100, 50, 190, **{OUT: {"reasoning_tokens": 30}}), model="gemini-2.5-flash"),
        Answer("of sound", UNSURE, "mistral", of(7, 50, 432, prompt_audio_seconds=30), model="voxtral-small-latest"),
        Answer("none, with reasoning inside", {"cost": "0.0000315", **SURE}, "openai", of(90, 30, **{OUT: {"reasoning_tokens": 20}})),
        Answer("of a gateway that guesses", counts(100, 50, **UNSURE), "gateway", of(100, 50, 160)),
    ),
    "other place": (
        Answer("a vendor's own, and OpenAI's", counts(23, 19, estimated_calls=0), "groq", model="llama-3.3-70b-versatile", events=(piece("a"), piece(x_groq={"usage": of(23, 19)}), piece(usage=of(23, 19)))),
        Answer("a vendor's own, before the last", counts(23, 19, estimated_calls=0), "gateway", events=(piece("a"), piece(x_groq={"id": "r", "usage": of(23, 19)}), piece())),
        Answer("in each event, growing", counts(23, 19, estimated_calls=0), "gateway", events=(piece("a", usage=of(23, 1)), piece("b", usage=of(23, 12)), piece(usage=of(23, 19)))),
        Answer("before events that say null", counts(23, 19, estimated_calls=0), "gateway", events=(piece("a"), piece(usage=of(23, 19)), piece(usage=None))),
        Answer("in the choice", counts(23, 19, estimated_calls=0), "moonshot", model="kimi-k2", events=(piece("a"), {**piece(), "choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": of(23, 19)}]})),
        Answer("with the last words", counts(23, 19, estimated_calls=0), "gateway", events=(piece("a"), piece("b", usage=of(23, 19)))),
    ),
    "unseen job": (
        Answer("a batch", UNSURE, api="/batches", ask={"input_file_id": "f"}, more={"id": "b", "object": "batch", "status": "validating"}),
        Answer("fine-tuning", UNSURE, api="/fine_tuning/jobs", ask={"training_file": "f"}, more={"id": "j", "object": "fine_tuning.job", "status": "queued"}),
        Answer("an eval", UNSURE, api="/evals/e/runs", ask={"name": "n"}, more={"id": "r", "object": "eval.run", "status": "queued"}),
        Answer("messages", UNSURE, "anthropic", api="/messages/batches", ask={"requests": []}, more={"id": "b", "type": "message_batch", "processing_status": "in_progress"}),
        Answer("another vendor's batch", UNSURE, "mistral", api="/batch/jobs", ask={"input_files": ["f"]}, more={"id": "b", "object": "batch", "status": "QUEUED"}),
        Answer("a video", UNSURE, api="/videos", ask={"prompt": "sea"}, more={"id": "v", "object": "video", "status": "queued"}),
    ),
    "silent fee": (
        Answer("two searches", {"cost": "0.020325"}, api="responses", usage=RESPONSE, model="gpt-5-mini", more={"output": [search(), search()]}, web_search="10"),
        Answer("a search, and a page that was opened", {"cost": "0.010325"}, api="responses", usage=RESPONSE, model="gpt-5-mini", more={"output": [search(), search("open_page")]}, web_search="10"),
        Answer("a router, and a cached prompt", {"cost": "0.0002075"}, "azure", of(1000, 100, **{IN: {"cached_tokens": 500}}), model="model-router", served="gpt-5-nano-2025-08-07"),
        Answer("a router", {"cost": "0.00023"}, "azure", of(1000, 100), model="model-router", served="gpt-5-nano-2025-08-07"),
        Answer("a router of responses", {"cost": "0.00023"}, "azure", {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100, **DETAILS}, "responses", "model-router", "gpt-5-nano-2025-08-07"),
        Answer("no search", {"cost": "0.000325", **SURE}, api="responses", usage=RESPONSE, model="gpt-5-mini", web_search="10"),
    ),
    "framing": (
        Answer("a mark of byte order", counts(30, 12, **SURE), "deepseek", model="deepseek-chat", raw=(b"\xef\xbb\xbf" + EXACT,)),
        Answer("blank lines, and the object in pieces", counts(30, 12, **SURE), "deepseek", model="deepseek-chat", raw=(b"\r\n" * 300, EXACT[:40], EXACT[40:])),
        Answer("no space behind the colon", counts(20, 6, estimated_calls=0), "gateway", raw=(b"data:" + EVENT + b"\n\ndata:[DONE]\n\n",)),
        Answer("returns alone", counts(20, 6, estimated_calls=0), "gateway", raw=(b"data: " + EVENT + b"\r\rdata: [DONE]\r\r",)),
        Answer("lines of objects", counts(20, 6, estimated_calls=0), "gateway", raw=(EVENT + b"\n", b'{"done":true}\n')),
        Answer("comments in between, and no last line end", counts(20, 6, estimated_calls=0), "gateway", raw=(b": alive\n\n" * 9, b"data: " + EVENT)),
    ),
    "spelling": (
        Answer("of the vendor at its cloud", {"cost": "0.00225"}, "vertex", of(1000, 100), model="google/gemini-2.5-pro"),
        Answer("of a resource", {"cost": "0.00055"}, "gemini", of(1000, 100), model="models/gemini-2.5-flash"),
        Answer("of a publisher", {"cost": "0.00055"}, "vertex", of(1000, 100), model="publishers/google/models/gemini-2.5-flash"),
        Answer("with a date", {"cost": "0.00021"}, "openai", of(1000, 100), served="gpt-4o-mini-2024-07-18"),
        Answer("of a deployment", {"cost": "0.00021"}, "azure", of(1000, 100), model="our-small-one", served="gpt-4o-mini-2024-07-18"),
        Answer("of one's own tuning", {"cost": "0.00042"}, "openai", of(1000, 100), model="ft:gpt-4o-mini-2024-07-18:acme::abc"),
    ),
    "tier omitted": (
        Answer("flex", {"cost": "0.000225", **UNSURE}, usage=of(1000, 100), model="gpt-5-mini", ask=FLEX),
        Answer("flex, of a response", {"cost": "0.000045", **UNSURE}, api="responses", usage={"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100, **DETAILS}, model="gpt-5-nano", ask=FLEX),
        Answer("priority", {"cost": "0.00045", **UNSURE}, usage=of(1000, 100), model="gpt-5-mini", ask=PRIORITY),
        Answer("a tier that nobody knows", UNSURE, usage=of(1000, 100), model="gpt-5-mini", ask={"service_tier": "express"}),
        Answer("none but the standard one", {"cost": "0.00045", "is_complete": True}, usage=of(1000, 100), model="gpt-5-mini", ask={"service_tier": "default"}),
        Answer("asked for flex, and served as standard", {"cost": "0.00045", "is_complete": True}, usage=of(1000, 100), model="gpt-5-mini", ask=FLEX, more={"service_tier": "default"}),
    ),
}  # fmt: skip
