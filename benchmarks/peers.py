"""The same calls under token_meter and under each of its peers: what they add, what they read right. It judges nothing.

    python -m benchmarks.peers            # all, each in a process of its own, so that instrumentations do not pile up
    python -m benchmarks.peers logfire    # one

A peer's calls and the bare ones alternate within its process. Right is what equals the simulator's bill; where nobody
told the client a number, right is also to say so. Spans stay in memory, and nothing leaves the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import platform
import statistics
import subprocess
import sys
import warnings
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from openai import AsyncOpenAI, AzureOpenAI, OpenAI

from benchmarks import calls, langchain_calls
from benchmarks.pairs import Pair, pair
from benchmarks.peer_adapters import PEERS, Peer, Read
from tests.contract import shapes
from token_meter.simulator import Simulator

KEY = "sim-peers"


async def _gather(client: Any) -> None:
    await asyncio.gather(*[shapes.chat(client) for _ in range(3)])


async def _azure(client: Any) -> None:
    client.chat.completions.create(model="prod-chat", messages=shapes.MESSAGES)


SHAPES: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "chat": shapes.chat,
    "gathered": _gather,
    "parse": shapes.parse,
    "stream without usage": shapes.stream_without_usage,
    "stream with usage": shapes.stream,
    "stream left early": shapes.stream_left_early,
    "stream as manager": shapes.stream_as_manager,
    ".stream()": shapes.stream_helper,
    "raw": shapes.raw,
    "raw stream": shapes.raw_stream,
    "streaming_response": shapes.streaming_response,
    "responses": shapes.responses,
    "responses.parse": shapes.responses_parse,
    "responses stream": shapes.responses_stream,
    "responses.stream()": shapes.responses_helper,
    "embeddings": shapes.embeddings,
    "completions": shapes.completions,
    "images": shapes.images,
    "transcription": shapes.transcription,
    "Azure": _azure,
}
UNREPORTED = ("stream without usage", "stream left early", "stream, usage not asked for")


def verdict(name: str, peer: Peer, simulator: Simulator, act: Callable[[], None]) -> tuple[str, bool]:
    """How the peer reads one shape, in a word, and whether its cost is the bill's too."""
    simulator.reset()
    try:
        with peer.block() as read:
            act()
            said = read()
    except Exception as error:
        return f"crashes ({type(error).__name__})", False
    bill = simulator.bill(KEY)
    if (said.prompt, said.completion) == (bill.prompt_tokens, bill.completion_tokens):
        return "ok", said.cost is not None and abs(said.cost - float(bill.cost)) < 1e-9
    if name in UNREPORTED and said.is_marked:
        return "ok", False
    return _wrong(said, bill), False


def _wrong(said: Read, bill: Any) -> str:
    if said.prompt == said.completion == 0:
        return "reads 0"
    return f"reads {said.prompt}+{said.completion} of {bill.prompt_tokens}+{bill.completion_tokens}"


def read_shapes(peer: Peer, simulator: Simulator) -> dict[str, tuple[str, bool]]:
    """Every shape of the SDK, once."""
    options: dict[str, Any] = {"api_key": KEY, "max_retries": 0}
    found = {}
    for name, shape in SHAPES.items():
        client: Any = OpenAI(base_url=simulator.base_url, **options)
        if name == "gathered":
            client = AsyncOpenAI(base_url=simulator.base_url, **options)
        elif name == "Azure":
            client = AzureOpenAI(azure_endpoint=simulator.url, api_version="2024-10-21", **options)
        wrapped = peer.wrap(client)
        found[name] = verdict(name, peer, simulator, lambda shape=shape, it=wrapped: asyncio.run(shape(it)))  # type: ignore[misc]
    return found


def added(peer: Peer, client: Any, ask: Callable[[Any, int], None], count: int) -> Pair:
    """The time of a unit of *ask* with the peer, and without it."""
    wrapped = peer.wrap(client)

    def metered(number: int) -> None:
        with peer.block():
            ask(wrapped, number)

    return pair(lambda number: ask(client, number), metered, count=count, batches=30)


def _chat(client: Any, count: int) -> None:
    for _ in range(count):
        client.chat.completions.create(model="gpt-4o-mini", messages=calls.MESSAGES)


def _stream(client: Any, count: int) -> None:
    usage = {"include_usage": True}
    for _ in range(count // calls.CHUNKS):
        for _event in client.chat.completions.create(
            model="gpt-4o-mini", messages=calls.MESSAGES, stream=True, stream_options=usage
        ):
            pass


def import_ms(statement: str) -> float:
    """CPU milliseconds of importing a peer where openai is imported already, as it is in a program that calls it."""
    code = (
        "import warnings; warnings.simplefilter('ignore'); import openai, time; "
        "openai.OpenAI(api_key='x').chat.completions; t = time.process_time(); "
        f"{statement}; print((time.process_time() - t) * 1e3)"
    )
    run = [sys.executable, "-c", code]
    return statistics.median(float(subprocess.check_output(run, stderr=subprocess.DEVNULL)) for _ in range(5))


def child(name: str) -> dict[str, Any]:
    """All figures of one peer. It runs in a process that no other peer was in."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    cls = PEERS[name]
    found: dict[str, Any] = {"title": cls.title, "version": version(cls.package), "import_ms": import_ms(cls.imported)}
    with Simulator() as simulator:
        peer = cls(simulator.url)
        found["shapes"] = read_shapes(peer, simulator)
        if name in ("tokenmeter", "langchaincallback"):
            found["langchain"] = {
                shape: verdict(shape, peer, simulator, act)
                for shape, act in langchain_calls.shapes(simulator.url, simulator.base_url, KEY).items()
            }
    if name != "langchaincallback":
        found["call"] = added(peer, calls._client(calls._whole), _chat, 50)
        found["chunk"] = added(peer, calls._client(calls._stream), _stream, calls.CHUNKS * 4)
    if name in ("tokenmeter", "langchaincallback"):
        found["langchain_call"] = added(peer, langchain_calls.client(calls._whole), langchain_calls.invoke, 20)
        found["langchain_chunk"] = added(
            peer, langchain_calls.client(calls._stream), langchain_calls.stream, calls.CHUNKS * 2
        )
    return found


def _figure(found: dict[str, Any], key: str, digits: int) -> str:
    if key not in found:
        return "–"
    figures = Pair(*found[key])
    return f"{figures.added_us:+.{digits}f} us ({figures.ratio:+.1%})"


def _score(verdicts: dict[str, Any]) -> str:
    return f"{sum(word == 'ok' for word, _ in verdicts.values())} of {len(verdicts)}"


def table(rows: list[dict[str, Any]]) -> None:
    """The one table, and below it what each peer does not read."""
    bare = {key: statistics.median(r[key][0] for r in rows if key in r) for key in ("call", "chunk", "langchain_call")}
    print(f"Python {platform.python_version()}, openai {version('openai')}, httpx2 {version('httpx2')}; ", end="")
    print(f"bare SDK call {bare['call']:.0f} us, bare chunk {bare['chunk']:.0f} us of CPU\n")
    print("| peer | version | shapes read right | of these with their cost | added to a call | to a chunk | import |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for row in rows:
        costed = sum(costed for _, costed in row["shapes"].values())
        print(
            f"| {row['title']} | {row['version']} | {_score(row['shapes'])} | {costed} | {_figure(row, 'call', 0)} "
            f"| {_figure(row, 'chunk', 1)} | {row['import_ms']:.0f} ms |"
        )
    print(f"\nThe same for LangChain's own calls (bare `ChatOpenAI.invoke` {bare['langchain_call']:.0f} us):\n")
    print("| peer | shapes read right | of these with their cost | added to `invoke` | added to a chunk |")
    print("|---|--:|--:|--:|--:|")
    for row in rows:
        if "langchain" in row:
            costed = sum(costed for _, costed in row["langchain"].values())
            print(
                f"| {row['title']} | {_score(row['langchain'])} | {costed} | {_figure(row, 'langchain_call', 0)} "
                f"| {_figure(row, 'langchain_chunk', 1)} |"
            )
    print("\n| peer | what it does not read, and how |")
    print("|---|---|")
    for row in rows:
        missed: dict[str, list[str]] = {}
        for name, (word, _) in {**row["shapes"], **row.get("langchain", {})}.items():
            if word != "ok":
                missed.setdefault(word, []).append(name)
        told = "; ".join(f"{word}: {', '.join(names)}" for word, names in missed.items())
        print(f"| {row['title']} | {told or 'nothing'} |")


def main(names: list[str]) -> None:
    rows, absent = [], []
    for name in names or PEERS:
        cls = PEERS[name]
        try:
            version(cls.package)
        except PackageNotFoundError:
            absent.append(f"{cls.title}: not installed here")
            continue
        print(f"{cls.title} …", file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.peers", "--child", name], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            rows.append(json.loads(done.stdout.splitlines()[-1]))
        else:
            absent.append(f"{cls.title}: {done.stderr.strip().splitlines()[-1]}")
    if rows:
        table(rows)
    for line in absent:
        print(f"\n{line}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        with contextlib.redirect_stdout(sys.stderr):
            figures = child(sys.argv[2])
        print(json.dumps(figures))
    else:
        main(sys.argv[1:])
