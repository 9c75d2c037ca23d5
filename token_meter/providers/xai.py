"""xAI: OpenAI's apis over HTTP, and an SDK of its own over gRPC whose messages say the same in other words."""

from __future__ import annotations

from typing import Any

from token_meter.providers.provider import Provider
from token_meter.providers.rpc import Rpc

_HOST = "api.x.ai"
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


def _plain(name: Any, prefix: str) -> str:
    """A value of an enumeration as HTTP has it: `ROLE_USER` is `user`."""
    return str(name).removeprefix(prefix).lower()


def _request(given: dict[str, Any]) -> dict[str, Any]:
    """A request as a chat's: parts of a message say their type."""
    messages = [
        {
            **message,
            "role": _plain(message.get("role"), "ROLE_"),
            "content": [{"type": next(iter(part), "text"), **part} for part in message.get("content", ())],
        }
        for message in given.get("messages", ())
    ]
    tools = [{"type": next(iter(tool), "function"), **tool} for tool in given.get("tools", ())]
    return {**given, "messages": messages, **({"tools": tools} if tools else {})}


def _answer(given: dict[str, Any]) -> dict[str, Any]:
    """An answer as a chat's. A count of 0 is left out of a message, and charges are long numbers, which JSON quotes.

    What it says is called `choices` by xai_sdk 1.0, `outputs` by 1.21.
    """
    found = {"choices": given.get("outputs", []), **given}
    found.pop("outputs", None)
    if tier := given.get("service_tier"):
        found["service_tier"] = _plain(tier, "SERVICE_TIER_")
    usage = given.get("usage")
    if usage and any(usage.get(name) for name in _COUNTS):
        ticks = usage.get("cost_in_usd_ticks")
        charged = {} if ticks is None else {"cost_in_usd_ticks": int(ticks)}
        found["usage"] = {**dict.fromkeys(_COUNTS, 0), **usage, **charged}
    else:
        found.pop("usage", None)
    return found


XAI = Provider(
    "x-ai",
    hosts=(_HOST, "*.api.x.ai"),
    free=("tokenize-text", "files", "files/**"),
    # The protocol buffers of xai_sdk 1.21, 2026-11. What is deferred is answered by another method.
    rpcs=(
        Rpc(
            r"/xai_api\.Chat/GetCompletion(Chunk)?",
            _HOST,
            lambda *_: "/v1/chat/completions",
            _request,
            _answer,
            keeps_names=True,
        ),
        Rpc(
            r"/xai_api\.(Chat/(StartDeferred|Compact)|Sample/|Embedder/|Image/|Documents/|Video/(Generate|Extend)"
            r"|BatchMgmt/Add).*",
            _HOST,
        ),
    ),
)
