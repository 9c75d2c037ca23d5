"""`python -m benchmarks.sdk_instructions [NAME ...]`: instructions that a meter adds to a plain call of some SDKs.

As `benchmarks.instructions`, with answers that are made in this process, in each provider's own format.
"""

from __future__ import annotations

import gc
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.instructions import each, started

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


SDKS: dict[str, Callable[[], Work]] = {"anthropic": anthropic, "google-genai": google_genai, "boto3": boto3}


def metered(bare: Work, count: int) -> None:
    """The same in a meter, whose numbers are read."""
    from token_meter import meter

    with meter() as cb:
        bare(count)
        assert cb.cost > 0
        assert cb.total_tokens == 150 * count


def child(folder: Path, names: Sequence[str]) -> None:
    """Count everything, in the hands of callgrind."""
    gc.disable()
    works = {name: SDKS[name]() for name in names or SDKS}
    for work in works.values():
        work(20)
    started(folder)
    print(f"{'instructions of one':<20} {'bare':>12} {'added':>12}", flush=True)
    # All bare first: what a meter patches stays in the process that forks.
    counts = {name: each(work, 20, 84, folder) for name, work in works.items()}
    for name, work in works.items():
        added = each(partial(metered, work), 20, 84, folder) - counts[name]
        print(f"{name:<20} {counts[name]:>12,} {added:>12,} {added / counts[name]:>7.2%}", flush=True)


def main() -> None:
    """Start the child."""
    if shutil.which("valgrind") is None or shutil.which("vgdb") is None:
        sys.exit("valgrind, which counts the instructions, is not installed here: nothing was counted.")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind", "--tool=callgrind", "--instr-atstart=no", f"--vgdb-prefix={folder}/pipe",
            f"--callgrind-out-file={folder}/count.%p", f"--log-file={folder}/log.%p",
            sys.executable, "-m", "benchmarks.sdk_instructions", "--child", folder, *sys.argv[1:],
        ]  # fmt: skip
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"}, check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), sys.argv[3:])
    else:
        main()
