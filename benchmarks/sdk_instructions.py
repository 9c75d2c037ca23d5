"""`python -m benchmarks.sdk_instructions [NAME ...]`: instructions that a meter adds to a plain call of some SDKs.

As `benchmarks.instructions`, with answers that are made in this process, in each provider's own format.
"""

from __future__ import annotations

import gc
import io
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.instructions import each, in_callgrind, started

Work = Callable[[int], None]
SAID = "A pink rose stands for thanks. " * 20
DATE = "Fri, 27 Nov 2026 12:00:00 GMT"


def _transport(answer: Any) -> httpx2.MockTransport:
    body = json.dumps(answer).encode()
    headers = {"content-type": "application/json", "date": DATE}
    extensions = {"http_version": b"HTTP/1.1", "network_stream": None}
    return httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=body, extensions=extensions))


def anthropic() -> Work:
    from anthropic import Anthropic

    usage = {"input_tokens": 107, "output_tokens": 43}
    answer = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-6",
        "content": [{"type": "text", "text": SAID}], "stop_reason": "end_turn", "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    client = Anthropic(api_key="sim", http_client=httpx2.Client(transport=_transport(answer)))
    asked: Any = [{"role": "user", "content": "What does a pink rose mean?"}]

    def calls(count: int) -> None:
        for _ in range(count):
            client.messages.create(model="claude-sonnet-4-6", max_tokens=200, messages=asked)

    return calls


def google_genai() -> Work:
    from google import genai
    from google.genai import types

    answer = {
        "candidates": [{"content": {"role": "model", "parts": [{"text": SAID}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 107, "candidatesTokenCount": 43, "totalTokenCount": 150},
        "modelVersion": "gemini-2.5-flash",
    }
    options = types.HttpOptions(client_args={"transport": _transport(answer)})
    client = genai.Client(api_key="sim", http_options=options)

    def calls(count: int) -> None:
        for _ in range(count):
            client.models.generate_content(model="gemini-2.5-flash", contents="What does a pink rose mean?")

    return calls


class _Pool:
    """Answers in the place of urllib3's pools, with its own answer."""

    def __init__(self, answer: Any) -> None:
        self._body = json.dumps(answer).encode()

    def connection_from_url(self, _: str) -> _Pool:
        return self

    def urlopen(self, **_: Any) -> Any:
        from urllib3 import HTTPResponse

        headers = {"content-type": "application/json", "date": DATE, "content-length": str(len(self._body))}
        return HTTPResponse(io.BytesIO(self._body), headers, 200, preload_content=False, decode_content=False)


def boto3() -> Work:
    import boto3

    about = {"region_name": "us-east-1", "aws_access_key_id": "sim", "aws_secret_access_key": "sim"}
    client: Any = boto3.client("bedrock-runtime", **about)  # type: ignore[call-overload]
    client._endpoint.http_session._manager = _Pool({
        "output": {"message": {"role": "assistant", "content": [{"text": SAID}]}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 107, "outputTokens": 43, "totalTokens": 150}, "metrics": {"latencyMs": 5},
    })  # fmt: skip
    asked = [{"role": "user", "content": [{"text": "What does a pink rose mean?"}]}]

    def calls(count: int) -> None:
        for _ in range(count):
            client.converse(modelId="anthropic.claude-3-haiku-20240307-v1:0", messages=asked)

    return calls


def ollama() -> Work:
    import httpx
    from ollama import Client

    answer = {
        "model": "gpt-oss:20b", "created_at": "2026-11-27T12:00:00Z", "done": True, "done_reason": "stop",
        "message": {"role": "assistant", "content": SAID}, "prompt_eval_count": 107, "eval_count": 43,
    }  # fmt: skip
    body, headers = json.dumps(answer).encode(), {"content-type": "application/json", "date": DATE}
    extensions = {"http_version": b"HTTP/1.1", "network_stream": None}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, content=body, extensions=extensions))
    client = Client(host="https://ollama.com", transport=transport)
    asked = [{"role": "user", "content": "What does a pink rose mean?"}]

    def calls(count: int) -> None:
        for _ in range(count):
            client.chat(model="gpt-oss:20b", messages=asked)

    return calls


def cohere() -> Work:
    import cohere as sdk
    import httpx

    answer = {
        "id": "c", "finish_reason": "COMPLETE", "message": {"role": "assistant", "content": [{"type": "text", "text": SAID}]},
        "usage": {"billed_units": {"input_tokens": 107, "output_tokens": 43}, "tokens": {"input_tokens": 500, "output_tokens": 45}},
    }  # fmt: skip
    body, headers = json.dumps(answer).encode(), {"content-type": "application/json", "date": DATE}
    extensions = {"http_version": b"HTTP/1.1", "network_stream": None}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, content=body, extensions=extensions))
    client = sdk.ClientV2(api_key="sim", httpx_client=httpx.Client(transport=transport))
    asked: Any = [{"role": "user", "content": "What does a pink rose mean?"}]

    def calls(count: int) -> None:
        for _ in range(count):
            client.chat(model="command-r-plus", messages=asked)

    return calls


CHAT = {
    "id": "c", "object": "chat.completion", "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": SAID}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 107, "completion_tokens": 43, "total_tokens": 150},
}  # fmt: skip
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What does a pink rose mean?"}]}


def by_requests() -> Work:
    """A plain post, below any SDK."""
    import requests

    session = requests.Session()
    adapter: Any = session.get_adapter("https://api.openai.com")
    adapter.get_connection_with_tls_context = lambda *_, **__: _Pool(CHAT)

    def calls(count: int) -> None:
        for _ in range(count):
            session.post("https://api.openai.com/v1/chat/completions", json=ASKED).json()

    return calls


_SERVER = """
import asyncio, json, sys
body = sys.argv[1].encode()
head = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(body)
async def talk(reader, writer):
    try:
        while True:
            asked = await reader.readuntil(b"\\r\\n\\r\\n")
            length = next(line for line in asked.lower().split(b"\\r\\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            writer.write(head + body)
    except asyncio.IncompleteReadError:
        writer.close()
async def main():
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def by_aiohttp() -> Work:
    """A plain post, below any SDK, to a process beside this one: this library's answers cannot be made otherwise."""
    import asyncio
    import atexit
    from socket import AF_INET

    import aiohttp
    from aiohttp.abc import AbstractResolver, ResolveResult

    server = subprocess.Popen([sys.executable, "-c", _SERVER, json.dumps(CHAT)], stdout=subprocess.PIPE, text=True)
    atexit.register(server.kill)
    assert server.stdout is not None
    port = int(server.stdout.readline())

    class Here(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: Any = AF_INET) -> list[ResolveResult]:
            return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=AF_INET, proto=0, flags=0)]

        async def close(self) -> None:
            pass

    async def several(count: int) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Here())) as session:
            for _ in range(count):
                async with session.post(f"http://api.openai.com:{port}/v1/chat/completions", json=ASKED) as answer:
                    await answer.json()

    def calls(count: int) -> None:
        asyncio.run(several(count))

    return calls


SDKS: dict[str, Callable[[], Work]] = {
    "anthropic": anthropic, "google-genai": google_genai, "boto3": boto3, "ollama": ollama, "cohere": cohere,
    "requests": by_requests, "aiohttp": by_aiohttp,
}  # fmt: skip


def metered(bare: Work, count: int) -> None:
    """The same in a meter, whose numbers are read."""
    from token_meter import meter

    with meter() as cb:
        bare(count)
        assert cb.cost is not None
        assert cb.total_tokens == 150 * count


def child(folder: Path, names: Sequence[str]) -> None:
    """Count everything, in the hands of callgrind."""
    gc.disable()
    works = {}
    for name in names or SDKS:
        try:
            works[name] = SDKS[name]()
        except ImportError as missing:
            print(f"{name}: not installed ({missing.name})", file=sys.stderr)
    for work in works.values():
        work(20)
    started(folder)
    print(f"{'instructions of one':<20} {'bare':>12} {'added':>12}", flush=True)
    # All bare first: what a meter patches stays in the process that forks.
    counts = {name: each(work, 20, 84, folder) for name, work in works.items()}
    for name, work in works.items():
        added = each(partial(metered, work), 20, 84, folder) - counts[name]
        print(f"{name:<20} {counts[name]:>12,} {added:>12,} {added / counts[name]:>7.2%}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), sys.argv[3:])
    else:
        in_callgrind("benchmarks.sdk_instructions", *sys.argv[1:])
