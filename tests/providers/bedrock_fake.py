"""A server on loopback that speaks Bedrock's native formats: bodies, headers with counts, AWS event streams."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any
from zlib import crc32

from tests.providers.fake_server import CUT, HOLD, Asked, FakeServer, Frames, Reply

__all__ = ["CUT", "HOLD", "MODEL", "SAID", "FakeBedrock", "Reply"]

MODEL = "anthropic.claude-3-haiku-20240307-v1:0"
SAID = "The rose Pink Peace is the pinkest of all that were ever grown."


class FakeBedrock(FakeServer):
    """A stream is an AWS event stream; one of `invoke` holds the vendor's events in base64."""

    content_type = "application/vnd.amazon.eventstream"

    def frames_of(self, asked: Asked) -> Frames:
        return chunks if "/invoke" in asked.path else _events


def frame(payload: bytes, **headers: str) -> bytes:
    """One message of an AWS event stream; a name like `event_type` is the header `:event-type`."""
    found = b""
    for name, value in headers.items():
        key = f":{name.replace('_', '-')}".encode()
        found += struct.pack("!B", len(key)) + key + struct.pack("!BH", 7, len(value)) + value.encode()
    start = struct.pack("!II", 16 + len(found) + len(payload), len(found))
    start += struct.pack("!I", crc32(start))
    whole = start + found + payload
    return whole + struct.pack("!I", crc32(whole))


def _event(kind: str, payload: Any) -> bytes:
    if kind.endswith("Exception"):
        return frame(json.dumps(payload).encode(), message_type="exception", exception_type=kind)
    types = {"event_type": kind, "content_type": "application/json", "message_type": "event"}
    return frame(json.dumps(payload).encode(), **types)


def _events(events: Iterable[dict[str, Any]]) -> Iterator[bytes | dict[str, Any]]:
    for event in events:
        if event is HOLD or event is CUT:
            yield event
        else:
            ((kind, payload),) = event.items()
            yield _event(kind, payload)


def chunks(events: Iterable[dict[str, Any]]) -> Iterator[bytes | dict[str, Any]]:
    for event in events:
        is_event = event is not HOLD and event is not CUT
        yield (
            _event("chunk", {"bytes": b64encode(json.dumps(event).encode()).decode(), "p": "abcd"})
            if is_event
            else event
        )


# Conversations.


def usage(prompt: int = 107, completion: int = 43, **more: Any) -> dict[str, Any]:
    """A usage as a whole answer states it."""
    cache = sum(more.get(name, 0) for name in ("cacheReadInputTokens", "cacheWriteInputTokens"))
    total = prompt + completion + cache
    return {"inputTokens": prompt, "outputTokens": completion, "totalTokens": total, **more}


def conversation(*blocks: dict[str, Any], stop: str = "end_turn", **more: Any) -> dict[str, Any]:
    """A whole answer."""
    message = {"role": "assistant", "content": list(blocks or ({"text": SAID},))}
    return {"output": {"message": message}, "stopReason": stop, "usage": usage(), "metrics": {"latencyMs": 5}, **more}


def events(whole: dict[str, Any]) -> list[dict[str, Any]]:
    """The stream that shows *whole*; its usage stands in the last event."""
    found: list[dict[str, Any]] = [{"messageStart": {"role": "assistant"}}]
    for index, block in enumerate(whole["output"]["message"]["content"]):
        if (tool := block.get("toolUse")) is not None:
            start = {"toolUse": {"toolUseId": tool["toolUseId"], "name": tool["name"]}}
            found.append({"contentBlockStart": {"start": start, "contentBlockIndex": index}})
        found += [{"contentBlockDelta": {"delta": piece, "contentBlockIndex": index}} for piece in _pieces(block)]
        found.append({"contentBlockStop": {"contentBlockIndex": index}})
    last = {name: whole[name] for name in ("usage", "metrics", "serviceTier", "performanceConfig") if name in whole}
    return [*found, {"messageStop": {"stopReason": whole["stopReason"]}}, {"metadata": last}]


def _pieces(block: dict[str, Any]) -> list[dict[str, Any]]:
    if "text" in block:
        return [{"text": piece} for piece in _halves(block["text"])]
    if (tool := block.get("toolUse")) is not None:
        return [{"toolUse": {"input": piece}} for piece in _halves(json.dumps(tool["input"]))]
    thought = block["reasoningContent"]["reasoningText"]["text"]
    return [{"reasoningContent": {"text": piece}} for piece in _halves(thought)]


def _halves(whole: str) -> tuple[str, str]:
    middle = len(whole) // 2
    return whole[:middle], whole[middle:]


def tool_use(name: str, given: dict[str, Any]) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": "tooluse_1", "name": name, "input": given}}


def thought(text: str) -> dict[str, Any]:
    return {"reasoningContent": {"reasoningText": {"text": text, "signature": "c2ln"}}}


def streamed(whole: dict[str, Any]) -> Reply:
    return Reply(events=tuple(events(whole)))


def failure(status: int, kind: str = "ThrottlingException") -> Reply:
    """An error before an answer."""
    return Reply(status, {"message": "no"}, headers=(("x-amzn-errortype", kind),))


# InvokeModel.


def counted(body: Any, prompt: int | None = 107, completion: int | None = 43, **more: int) -> Reply:
    """A body whose counts stand in the headers."""
    counts = {"input": prompt, "output": completion, **{name.replace("_", "-"): n for name, n in more.items()}}
    headers = tuple((f"X-Amzn-Bedrock-{name}-Token-Count", str(n)) for name, n in counts.items() if n is not None)
    return Reply(body=body, headers=headers)


def metrics(prompt: int = 107, completion: int = 43, **more: int) -> dict[str, Any]:
    """What stands beside the last event of a stream."""
    found = {"inputTokenCount": prompt, "outputTokenCount": completion, "invocationLatency": 9, "firstByteLatency": 5}
    return {"amazon-bedrock-invocationMetrics": {**found, **more}}
