"""Random programs that call models: what a seed decides, as a tree. They know no client, no meter and no bill."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Options: TypeAlias = dict[str, str]

SHAPES = {
    "chat": 6, "raw": 2, "parse": 1, "streaming_response": 1, "stream": 8, "silent_stream": 3, "raw_stream": 2,
    "helper": 1, "completions": 1, "completions_stream": 1, "responses": 2, "responses_stream": 3, "embeddings": 1,
    "images": 1, "transcription": 1, "speech": 1, "background": 2, "azure": 2, "azure_stream": 2,
}  # fmt: skip
"""Call shapes and how often each comes."""

STREAMS = ("stream", "silent_stream", "raw_stream", "completions_stream", "responses_stream", "azure_stream")
"""Shapes that give the caller an iterator, which it may treat badly."""

LEAVING = {"read": 10, "left": 3, "closed": 2, "dropped": 2, "dropped_midway": 1, "after": 4, "parked": 1}
"""What becomes of a stream: read to its end; left by `break` and closed; closed unread; let go unread; let go after a
few events; read when all blocks have closed; handed to another thread or task, which reads it there."""

STREAM_LOOKS: tuple[Options, ...] = (
    {"chunk": "1"}, {"chunk": "7"}, {"chunk": "61"}, {"line": "crlf"}, {"line": "cr"}, {"line": "crlf", "chunk": "1"},
    {"compress": "gzip"}, {"compress": "deflate"}, {"compress": "br"}, {"compress": "gzip+br", "chunk": "5"},
    {"bom": "1"}, {"comments": "1"}, {"multiline": "1"}, {"done": "0"}, {"done": "0", "last_blank": "0"},
    {"usage": "every"}, {"usage": "choices0"}, {"usage": "deepseek"}, {"usage": "openrouter"}, {"usage": "none"},
    {"usage": "null"}, {"usage": "after_done"}, {"body": "json"}, {"redirect": "1"}, {"fail": "500x1"},
    {"fail": "429x2"}, {"cut": "0"}, {"cut": "2"}, {"error": "1"}, {"error": "3", "error_usage": "1"}, {"id": "same"},
    {"reasoning": "40"}, {"words": "300"}, {"usage": "every", "cut": "3"}, {"status": "400"}, {"tier": "flex"},
)  # fmt: skip

BODY_LOOKS: tuple[Options, ...] = (
    {"chunk": "9"}, {"compress": "gzip"}, {"compress": "deflate"}, {"compress": "br"}, {"compress": "gzip+br"},
    {"usage": "none"}, {"usage": "null"}, {"usage": "deepseek"}, {"usage": "openrouter"}, {"redirect": "1"},
    {"fail": "500x1"}, {"fail": "429x1+503x1"}, {"fail": "500x3"}, {"truncate": "1"}, {"slow": "0.005"},
    {"huge": "70000"}, {"status": "429"}, {"status": "400"}, {"id": "same"}, {"reasoning": "25"}, {"tier": "priority"},
    {"body": "sse", "usage": "every"},
)  # fmt: skip


@dataclass
class Ask:
    """One call. *library* and *leaving* say through what and how it is treated; *cancel_s* cancels its task."""

    name: str
    shape: str
    options: Options
    library: Literal["httpx2", "httpx"] = "httpx2"
    leaving: str = "read"
    after: int = 2
    polls: int = 3
    cancel_s: float | None = None
    timeout_s: float | None = None


@dataclass
class Block:
    """A meter round other things; *how* it is opened."""

    body: list[Node]
    how: str = "with"
    fails: bool = False
    tag: str | None = None


@dataclass
class Fork:
    """Several things at once."""

    children: list[Node]
    how: str = "tasks"


@dataclass
class Late:
    """Started inside its block, and calling when that has closed."""

    ask: Ask


@dataclass
class Outside:
    """A call in a context that never heard of any meter."""

    ask: Ask


Node: TypeAlias = Ask | Block | Fork | Late | Outside


@dataclass
class Program:
    """What one seed decides: a body, its colour, and whether a meter of the whole process is round it."""

    seed: int
    is_async: bool
    is_watched: bool
    body: list[Node] = field(default_factory=list)

    def asks(self) -> list[Ask]:
        """Every call of the program."""
        return list(_asks(self.body))


def _asks(nodes: list[Node]) -> Iterator[Ask]:
    for node in nodes:
        if isinstance(node, Ask):
            yield node
        elif isinstance(node, (Late, Outside)):
            yield node.ask
        else:
            yield from _asks(node.body if isinstance(node, Block) else node.children)


def make_program(seed: int) -> Program:
    """The program of *seed*: the same one in any process."""
    return _Maker(seed).program()


class _Maker:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.number = 0
        self.left = self.random.choice((4, 8, 14))

    def program(self) -> Program:
        program = Program(self.seed, self.random.random() < 0.55, self.random.random() < 0.1)
        self.is_async = program.is_async
        while self.left > 0:
            program.body.append(self.node(0))
        return program

    def pick(self, weights: dict[str, int]) -> str:
        return self.random.choices(list(weights), list(weights.values()))[0]

    def node(self, depth: int, *, in_block: bool = False) -> Node:
        draw = self.random.random()
        if depth < 4 and draw < (0.25 if depth else 0.8):
            return self.block(depth)
        if depth < 3 and draw < 0.4:
            return self.fork(depth)
        if in_block and draw < 0.46:
            return Late(self.plain())
        if draw < 0.5:
            return Outside(self.plain())
        return self.ask()

    def block(self, depth: int) -> Block:
        how = self.pick({"with": 6, "decorator": 2, "twice": 1} | ({"async with": 3} if self.is_async else {}))
        body = [self.node(depth + 1, in_block=True) for _ in range(self.random.randint(1, 4))]
        return Block(body, how, self.random.random() < 0.1, self.random.choice((None, None, "red", "blue")))

    def fork(self, depth: int) -> Fork:
        ways = {"threads": 2, "pool": 2, "warm pool": 1}
        if self.is_async:
            ways = {"tasks": 5, "gather": 3, "to_thread": 1, "executor": 1}
        return Fork([self.node(depth + 1) for _ in range(self.random.randint(2, 4))], self.pick(ways))

    def plain(self) -> Ask:
        ask = self.ask()
        ask.shape = self.random.choice(("chat", "stream"))
        ask.options, ask.leaving, ask.cancel_s, ask.timeout_s = {}, "read", None, None
        return ask

    def ask(self) -> Ask:
        self.number += 1
        self.left -= 1
        shape = self.pick(SHAPES)
        ask = Ask(f"p{self.seed}n{self.number}", shape, {}, self.random.choice(("httpx2", "httpx")))
        is_stream = shape in STREAMS
        if is_stream or shape == "helper":
            ask.options = dict(self.random.choice(STREAM_LOOKS)) if self.random.random() < 0.6 else {}
        elif shape in ("chat", "raw", "responses", "azure", "streaming_response"):
            ask.options = dict(self.random.choice(BODY_LOOKS)) if self.random.random() < 0.6 else {}
        if is_stream:
            ask.leaving = self.pick(LEAVING)
            ask.after = self.random.randint(0, 5)
        if shape == "background":
            ask.polls = self.random.choice((0, 1, 4, 5))
        draw = self.random.random()
        if draw < 0.05 and shape in ("chat", "responses"):
            ask.options, ask.timeout_s = {"latency": "0.2"}, 0.03
        elif draw < 0.15 and self.is_async and (is_stream or shape in ("chat", "responses")):
            late = self.random.choice(("latency", "delay"))
            ask.options = {late: "0.02", "words": "40"} if is_stream else {"latency": "0.02", "slow": "0.02"}
            ask.cancel_s, ask.leaving = self.random.choice((0.0, 0.002, 0.01, 0.03, 0.06)), "read"
        return ask
