"""A gRPC server on loopback whose messages are JSON objects: what xAI and Google declare in protocol buffers of their own.

`python -m tests.providers.grpc_fake` runs every program here in a process of its own, because grpc and `fork` do not go
together, and prints what a meter counted of each.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import grpc
from google.protobuf.struct_pb2 import Struct

from token_meter import BudgetExceededError, Meter, meter
from token_meter._failures import internal_errors

XAI = "/xai_api.Chat/GetCompletion"
GEMINI = "/google.ai.generativelanguage.v1beta.GenerativeService"
VERTEX = "/google.cloud.aiplatform.{}.PredictionService"
PLACES = {"v1": "us-central1", "v1beta1": "global", "v1beta": "eu"}
"""Where the models are that are asked by each version of Vertex's service."""
USAGE = {
    "prompt_tokens": 107, "completion_tokens": 33, "reasoning_tokens": 10, "total_tokens": 150,
    "cached_prompt_text_tokens": 50, "cost_in_usd_ticks": "12600000",
}  # fmt: skip
ASK: dict[str, Any] = {
    "model": "grok-4", "max_tokens": 200, "messages": [{"role": "ROLE_USER", "content": [{"text": "Which rose?"}]}],
}  # fmt: skip


def _xai(text: str, part: str, *, is_last: bool = True, called: str = "outputs", **more: Any) -> dict[str, Any]:
    output: dict[str, Any] = {"index": 0, part: {"content": text, "role": "ROLE_ASSISTANT"}}
    if is_last:
        output["finish_reason"] = "REASON_STOP"
    return {"id": "r", "model": "grok-4-0709", called: [output], **more}


def _gemini(**more: Any) -> dict[str, Any]:
    content = {"parts": [{"text": "Pink Peace"}], "role": "model"}
    counts = {
        "promptTokenCount": 107, "candidatesTokenCount": 43, "totalTokenCount": 150, "cachedContentTokenCount": 50,
    }  # fmt: skip
    return {"candidates": [{"content": content, "finishReason": "STOP"}], "usageMetadata": counts, **more}


ANSWERS = {
    XAI: [_xai("Pink Peace", "message", usage=USAGE)],
    f"{XAI}Chunk": [
        _xai(
            "Pink",
            "delta",
            is_last=False,
            called="choices",  # as xai_sdk 1.0 says it
            usage={"prompt_tokens": 107, "completion_tokens": 1, "total_tokens": 108},
        ),
        _xai(" Peace", "delta", usage=USAGE),
    ],
    f"{GEMINI}/GenerateContent": [_gemini(modelVersion="gemini-2.5-flash")],
    f"{GEMINI}/StreamGenerateContent": [_gemini(usageMetadata={"promptTokenCount": 107}), _gemini()],
    f"{GEMINI}/EmbedContent": [{"embedding": {"values": [0.1]}}],
    f"{VERTEX.format('v1')}/StreamGenerateContent": [_gemini(usageMetadata={"promptTokenCount": 107}), _gemini()],
    **{f"{VERTEX.format(version)}/GenerateContent": [_gemini()] for version in PLACES},
    f"{VERTEX.format('v1')}/Predict": [{"predictions": [{"embeddings": {"statistics": {"token_count": 7}}}] * 2}],
    "/xai_api.Image/GenerateImage": [{"images": []}],
    f"{GEMINI}/CountTokens": [{"totalTokens": 3}],
}


class Server(grpc.GenericRpcHandler):
    """Answers each method; fails by the code that a request names, and so many times at first as `overloaded` says."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.overloaded = 0
        self._server = grpc.server(ThreadPoolExecutor(4), handlers=(self,))
        port = self._server.add_insecure_port("127.0.0.1:0")
        local = self._server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
        self._server.start()
        self.target, self.local = f"127.0.0.1:{port}", f"localhost:{local}"

    def service(self, details: Any) -> Any:
        method = details.method

        def one(request: Any, context: Any) -> Any:
            return next(many(request, context))

        def many(request: Any, context: Any) -> Iterator[Any]:
            self.asked.append(method)
            if self.overloaded:
                self.overloaded -= 1
                context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
            if code := dict(context.invocation_metadata()).get("fails"):
                context.abort(grpc.StatusCode[code], "no")
            for answer in ANSWERS[method]:
                yield self.message(method, answer)

        coding = {"request_deserializer": bytes, "response_serializer": lambda message: message.SerializeToString()}
        if len(ANSWERS[method]) > 1:
            return grpc.unary_stream_rpc_method_handler(many, **coding)
        return grpc.unary_unary_rpc_method_handler(one, **coding)

    def message(self, method: str, answer: dict[str, Any]) -> Any:
        """An answer as a message."""
        found = Struct()
        found.update(answer)
        return found

    def close(self) -> None:
        self._server.stop(0)


class Message:
    """A request as Google's libraries have it: its class is around the message."""

    def __init__(self, attribute: str, model: str, **more: Any) -> None:
        self._pb = Struct()
        self._pb.update(more)
        setattr(self, attribute, model)


def _bytes(message: Any) -> bytes:
    found: bytes = getattr(message, "_pb", message).SerializeToString()
    return found


def _callable(channel: Any, method: str) -> Any:
    make = channel.unary_stream if len(ANSWERS[method]) > 1 else channel.unary_unary
    return make(method, request_serializer=_bytes, response_deserializer=Struct.FromString)


def _request(method: str) -> Any:
    say = {"contents": [{"parts": [{"text": "Which rose?"}]}]}
    if method.startswith(GEMINI):
        return Message("model", "models/gemini-2.5-flash", **say)
    if "aiplatform" in method:
        place = f"projects/p/locations/{PLACES[method.split('.')[3]]}/publishers/google/models"
        if method.endswith("/Predict"):
            return Message("endpoint", f"{place}/text-embedding-005", instances=[{"content": "rose"}])
        return Message("model", f"{place}/gemini-3.5-flash", **say)
    found = Struct()
    found.update(ASK)
    return found


class Interceptor(grpc.UnaryUnaryClientInterceptor):
    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(details, request)


class AioInterceptor(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(details, request)


class AioWaiter(grpc.aio.UnaryUnaryClientInterceptor):
    """Gives the answer itself, as that of xai_sdk 1.0."""

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await (await continuation(details, request))


def _told(cb: Meter) -> dict[str, Any]:
    return {
        "calls": [
            (
                call.api,
                call.provider,
                call.request_model,
                call.response_model,
                call.certainty,
                call.outcome,
                call.status,
            )
            for call in cb.calls
        ],
        "counts": (cb.prompt_tokens, cb.completion_tokens, cb.total_tokens, cb.cached_tokens),
        "cost": str(cb.cost),
        "is_complete": cb.is_complete,
        "blind": [spot.what for spot in cb.blind_spots],
        "handled": HANDLED[:],
    }


HANDLED: list[str] = []
HANDLER = SimpleNamespace(on_llm_new_token=lambda token, **_: HANDLED.append(token))


def whole(server: Server, method: str, way: str = "plain", **options: Any) -> None:
    """One blocking call, in each of the ways that grpc has."""
    with grpc.insecure_channel(server.target) as channel:
        if way == "intercepted":
            channel = grpc.intercept_channel(channel, Interceptor())
        call = _callable(channel, method)
        if way == "with_call":
            call.with_call(_request(method), **options)
        elif way == "future":
            call.future(_request(method), **options).result()
        elif len(ANSWERS[method]) > 1:
            for _ in call(_request(method), **options):
                if way == "left":
                    break
        else:
            call(_request(method), **options)


async def awaited(server: Server, method: str, way: str = "plain", **options: Any) -> None:
    """One call of asyncio's api."""
    interceptors = {"intercepted": [AioInterceptor()], "waited": [AioWaiter()]}.get(way)
    async with grpc.aio.insecure_channel(server.target, interceptors=interceptors) as channel:
        call = _callable(channel, method)(_request(method), **options)
        if len(ANSWERS[method]) > 1:
            async for _ in call:
                if way == "left":
                    call.cancel()
                    break
        else:
            await call


def run(server: Server, method: str, way: str, *, is_async: bool, **options: Any) -> dict[str, Any]:
    HANDLED.clear()
    with meter(keep_calls=True, handlers=[HANDLER]) as cb:
        try:
            if is_async:
                asyncio.run(awaited(server, method, way, **options))
            else:
                whole(server, method, way, **options)
        except grpc.RpcError:
            pass
    return _told(cb)


def refused(server: Server, *, is_async: bool, way: str, **limits: Any) -> list[Any]:
    """The name of what two calls raised, and how many came to the server."""
    before = len(server.asked)
    try:
        with meter(**limits):
            for _ in range(2):
                if is_async:
                    asyncio.run(awaited(server, XAI, way))
                else:
                    whole(server, XAI, way)
    except BudgetExceededError as refusal:
        return [type(refusal).__name__, len(server.asked) - before]
    return [None, len(server.asked) - before]


def programs(server: Server) -> dict[str, Any]:
    """All that is tried, by name."""
    found: dict[str, Any] = {}
    fails = {"metadata": (("fails", "RESOURCE_EXHAUSTED"),)}
    for is_async in (False, True):
        colour = "async" if is_async else "sync"
        for method in ANSWERS:
            found[f"{colour} plain {method}"] = run(server, method, "plain", is_async=is_async)
        found[f"{colour} intercepted"] = run(server, XAI, "intercepted", is_async=is_async)
        found[f"{colour} left"] = run(server, f"{XAI}Chunk", "left", is_async=is_async)
        found[f"{colour} failed"] = run(server, XAI, "plain", is_async=is_async, **fails)
        found[f"{colour} failed stream"] = run(server, f"{XAI}Chunk", "plain", is_async=is_async, **fails)
        for way in ("plain", "intercepted"):
            found[f"{colour} refused {way}"] = refused(server, is_async=is_async, way=way, max_calls=1)
        found[f"{colour} refused by cost"] = refused(server, is_async=is_async, way="plain", max_cost="0.000001")
    found["async waited"] = run(server, XAI, "waited", is_async=True)
    for way in ("with_call", "future"):
        found[f"sync {way}"] = run(server, XAI, way, is_async=False)
    return {**found, "internal errors": dict(internal_errors)}


if __name__ == "__main__":
    made = Server()
    print(json.dumps(programs(made)))
    made.close()
