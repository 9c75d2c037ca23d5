"""`python -m benchmarks.instructions`: processor instructions that a meter adds to a call and to a chunk.

Times on a shared machine differ by more than what is measured here; instructions repeat. `valgrind --tool=callgrind`
counts them for child processes that do the same work bare and metered, each in two lengths: the difference of the
lengths is what one call, or chunk, takes.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
from openai import OpenAI

from benchmarks.calls import ANSWER, CHUNKS, EVENTS, MESSAGES

_TOTAL = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


class _Events(httpx2.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield from EVENTS


class Transport(httpx2.BaseTransport):
    """Answers in this process, and says what an answer from a socket says of itself."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        has_stream = b'"stream":true' in request.content.replace(b" ", b"")
        return httpx2.Response(
            200,
            headers={
                "content-type": "text/event-stream" if has_stream else "application/json",
                "date": "Fri, 27 Nov 2026 12:00:00 GMT",
            },
            content=None if has_stream else ANSWER,
            stream=_Events() if has_stream else None,
            extensions={"http_version": b"HTTP/1.1", "network_stream": None},
        )


def calls(client: OpenAI, count: int) -> None:
    """So many calls of the SDK."""
    for _ in range(count):
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)


def streams(client: OpenAI, count: int) -> None:
    """Streams of so many chunks together."""
    asked: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    for _ in range(count // CHUNKS):
        for _event in client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, **asked):
            pass


def metered(bare: Callable[[OpenAI, int], None], client: OpenAI, count: int) -> None:
    """The same in a meter, whose numbers are read."""
    from token_meter import meter

    with meter() as cb:
        bare(client, count)
        assert cb.cost > 0
        assert cb.total_tokens == (1263 * count if bare is calls else (20 + CHUNKS) * (count // CHUNKS))


def started(folder: Path) -> None:
    """Have callgrind, in whose hands this process is, count from now on: so far it ran five times as fast."""
    command = ["vgdb", f"--pid={os.getpid()}", f"--vgdb-prefix={folder}/pipe", "instrumentation", "on"]
    teller = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while teller.poll() is None:  # valgrind listens between blocks of instructions, not while it waits
        pass
    if teller.returncode:
        raise RuntimeError(f"vgdb failed: {' '.join(command)}")


def instructions(works: Sequence[Callable[[], object]], folder: Path) -> list[int]:
    """How many instructions each of *works* takes, all too many by the same number.

    Each is done in a fork of this process. Its count begins with what this process has done so far, so that nothing
    is read before all are through.
    """
    pids = []
    for work in works:
        pid = os.fork()
        if not pid:
            try:
                work()
                os._exit(0)
            finally:
                os._exit(1)
        if os.waitpid(pid, 0)[1]:
            raise RuntimeError("the work failed")
        pids.append(pid)
    return [int(_TOTAL.findall((folder / f"count.{pid}").read_text())[-1]) for pid in pids]


def each(work: Callable[[int], None], short: int, long: int, folder: Path) -> int:
    """How many instructions one unit of *work* takes: the difference of two lengths holds no start and no end."""
    work(short)
    gc.collect()
    gc.freeze()
    less, more = instructions((partial(work, short), partial(work, long)), folder)
    return (more - less) // (long - short)


def child(folder: Path) -> None:
    """Count everything, in the hands of callgrind."""
    gc.disable()  # a collection that falls into one length and not into the other is as much as a hundred calls
    client = OpenAI(api_key="sk-bench", http_client=httpx2.Client(transport=Transport()))
    work = {"call": (calls, 20, 84), "chunk": (streams, CHUNKS, 3 * CHUNKS)}  # 64 bodies wait unread, or none
    for bare, short, _ in work.values():
        bare(client, short)
    started(folder)
    counts = {kind: each(partial(bare, client), short, long, folder) for kind, (bare, short, long) in work.items()}
    print(f"{'instructions of one':<20} {'bare':>12} {'added':>12}", flush=True)
    for kind, (bare, short, long) in work.items():
        added = each(partial(metered, bare, client), short, long, folder) - counts[kind]
        print(f"{kind:<20} {counts[kind]:>12,} {added:>12,} {added / counts[kind]:>7.2%}", flush=True)


def in_callgrind(module: str, *words: str) -> None:
    """Run *module* in the hands of callgrind, with the folder of its counts and *words*.

    The hash seed is fixed: the order of sets is part of the work.
    """
    if shutil.which("valgrind") is None or shutil.which("vgdb") is None:
        sys.exit("valgrind, which counts the instructions, is not installed here: nothing was counted.")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind", "--tool=callgrind", "--instr-atstart=no", f"--vgdb-prefix={folder}/pipe",
            f"--callgrind-out-file={folder}/count.%p", f"--log-file={folder}/log.%p",
            sys.executable, "-m", module, "--child", folder, *words,
        ]  # fmt: skip
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"}, check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]))
    else:
        in_callgrind("benchmarks.instructions")
