"""`token-meter demo`: calls of three providers, metered while they run and compared with the servers' own bill."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from token_meter import BudgetExceededError, Meter, meter

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

    from token_meter.prices import PriceBook

_WIDTH = 80
_KEY = "sim-demo"
CHAT_MODEL = "gpt-4o-mini"
EMBEDDING_MODEL = "text-embedding-3-small"
TURNS = (
    "It is my sister's birthday tomorrow: I need a bouquet.",
    "She likes pink roses.",
    "Hello again! Do you remember why I came yesterday?",
)
LESSON_TURNS = (
    "我姐姐明天要过生日，我需要一束生日花束。",
    "她喜欢粉色玫瑰，颜色是粉色的。",
    "我又来了，还记得我昨天为什么要来买花吗？",
)
"""The three turns of the lesson that this project began with; `TURNS` are the same in English."""
QUESTION = "Which rose is the pinkest?"
QUESTIONS = (QUESTION, "How long do cut roses live?", "What does a pink rose mean?")
YOUR_TURN = """\
Your turn, with the client that you have:

    from token_meter import meter

    with meter() as cb:
        ...                # any code that calls a model
    print(cb)

A whole program, without a change to it: token-meter run python app.py"""


@click.command("demo")
@click.option("--live", is_flag=True, help="Talk to OpenAI itself with OPENAI_API_KEY (costs about $0.001).")
@click.option("--lesson", is_flag=True, help="The dialogue in Chinese, as the lesson on callbacks has it.")
def command(live: bool, lesson: bool) -> None:
    """Meter a small program, and compare what the meter read with the bill.

    A server on this machine plays OpenAI, Anthropic and Google: no key, no network, no cost. Exits with 1 if the
    meter and the bill differ.
    """
    if live and not os.environ.get("OPENAI_API_KEY"):
        msg = "--live talks to the real service and needs OPENAI_API_KEY in the environment"
        raise click.UsageError(msg)
    try:
        from token_meter.simulator import Simulator
    except ImportError as error:
        raise click.ClickException(str(error)) from None
    with nullcontext() if live else _straight(), nullcontext() if live else Simulator() as simulator:
        sys.exit(0 if _run(simulator, LESSON_TURNS if lesson else TURNS) else 1)


@contextmanager
def _straight() -> Iterator[None]:
    """Let no proxy that the environment names have what goes to this machine."""
    names = ("NO_PROXY", "no_proxy")
    before = {name: os.environ[name] for name in names if name in os.environ}
    os.environ.update(dict.fromkeys(names, "127.0.0.1"))
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)


def _run(simulator: Any, turns: tuple[str, ...]) -> bool:
    """Run every part under one meter; return whether the meter agrees with the server's bill."""
    from openai import AsyncOpenAI, OpenAI

    from token_meter.prices import PriceBook

    where = {} if simulator is None else {"base_url": simulator.base_url, "api_key": _KEY}
    prices = None if simulator is None else PriceBook(hosts={simulator.url: "by-model"})
    with OpenAI(**where) as client, meter("demo", prices=prices) as cb:
        _dialogue(client, cb, turns)
        asyncio.run(_at_once(AsyncOpenAI(**where), cb))
        _stream(client, cb)
        _embedding(client, cb)
        _thread_pool(client, cb)
        if simulator is not None:
            _other_providers(simulator.url, cb)
        _limit(client, cb, prices)
    click.echo(f"\n{cb}\n")
    if simulator is None:
        return True
    same = _same(cb, simulator.bill(_KEY))
    click.echo(f"\n{YOUR_TURN}")
    return same


def _so_far(what: str, cb: Meter) -> None:
    """One line of the demo: the meter is read while its block is open."""
    told = f"so far {cb.total_tokens:,} tokens, ${cb.cost:f}"
    click.echo(f"{what:<{_WIDTH - len(told) - 1}} {told}")


def _dialogue(client: OpenAI, cb: Meter, turns: tuple[str, ...]) -> None:
    click.echo("A dialogue in three turns; the history is sent again with each:")
    florist = "You are a florist." if turns is TURNS else "你是一家花店的店员。"
    messages: list[Any] = [{"role": "system", "content": florist}]
    before = 0
    for turn, text in enumerate(turns, start=1):
        messages.append({"role": "user", "content": text})
        answer = client.chat.completions.create(model=CHAT_MODEL, messages=messages).choices[0].message.content or ""
        messages.append({"role": "assistant", "content": answer})
        click.echo("\n".join([*_lines(f"  {turn}. customer: ", text), *_lines("     florist:  ", answer)]))
        _so_far(f"     this turn {cb.total_tokens - before:,} tokens", cb)
        before = cb.total_tokens


async def _at_once(client: AsyncOpenAI, cb: Meter) -> None:
    async def ask(question: str) -> int:
        with meter() as mine:
            await client.chat.completions.create(model=CHAT_MODEL, messages=[{"role": "user", "content": question}])
        return mine.total_tokens

    async with client:
        each = await asyncio.gather(*[ask(question) for question in QUESTIONS])
    _so_far(f"asyncio.gather, a meter each: {' + '.join(f'{tokens:,}' for tokens in each)}", cb)


def _stream(client: OpenAI, cb: Meter) -> None:
    stream = client.chat.completions.create(
        model=CHAT_MODEL,
        messages=[{"role": "user", "content": "Say something about pink roses."}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = sum(1 for _ in stream)
    _so_far(f"A stream of {chunks} chunks", cb)


def _embedding(client: OpenAI, cb: Meter) -> None:
    client.embeddings.create(model=EMBEDDING_MODEL, input="pink roses")
    _so_far("An embedding", cb)


def _thread_pool(client: OpenAI, cb: Meter) -> None:
    def ask(question: str) -> None:
        client.chat.completions.create(model=CHAT_MODEL, messages=[{"role": "user", "content": question}])

    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(ask, QUESTIONS[:2]))
    _so_far("Two calls from a thread pool", cb)


def _other_providers(url: str, cb: Meter) -> None:
    """Ask by plain HTTP, so that no other SDK is needed; a meter reads the SDKs' calls alike."""
    try:
        import httpx2 as http  # what the openai SDK is built on, from 3.0 on
    except ImportError:
        import httpx as http  # type: ignore[no-redef]
    with http.Client(base_url=url) as client:
        message = {"role": "user", "content": QUESTION}
        client.post(
            "/v1/messages",
            headers={"x-api-key": _KEY, "anthropic-version": "2023-06-01"},
            json={"model": "claude-haiku-4-5", "max_tokens": 200, "messages": [message]},
        ).raise_for_status()
        _so_far("Anthropic's Claude, in the same block", cb)
        client.post(
            "/v1beta/models/gemini-2.5-flash:generateContent",
            headers={"x-goog-api-key": _KEY},
            json={"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]},
        ).raise_for_status()
        _so_far("Google's Gemini, in the same block", cb)


def _limit(client: OpenAI, cb: Meter, prices: PriceBook | None) -> None:
    """Call again and again, as an agent does, until the limit refuses."""
    with meter("agent", max_cost="0.0001", warn_at=None, prices=prices) as agent:
        try:
            while True:
                client.chat.completions.create(
                    model=CHAT_MODEL, messages=[{"role": "user", "content": QUESTION}], max_tokens=50
                )
        except BudgetExceededError as refusal:
            _so_far(f"An agent with max_cost=0.0001 made {agent.successful_requests} calls", cb)
            said = f"its next call was refused: {refusal}"
            click.echo("\n".join(wrap(said, _WIDTH, initial_indent="  ", subsequent_indent="  ")))


def _same(cb: Meter, bill: Any) -> bool:
    """Print the meter next to the bill; return whether they agree in every row."""
    rows = [
        ("calls", cb.successful_requests, bill.calls),
        ("prompt tokens", cb.prompt_tokens, bill.prompt_tokens),
        ("completion tokens", cb.completion_tokens, bill.completion_tokens),
        ("total tokens", cb.total_tokens, bill.total_tokens),
        ("cost in USD", cb.cost, bill.cost),
    ]
    click.echo(f"{'':<18} {'meter':>12} {'bill':>12}")
    for name, ours, theirs in rows:
        left, right = f"{ours:,}", f"{theirs:,}"
        click.echo(f"{name:<18} {left:>12} {right:>12}{'' if ours == theirs else '   <- differs'}")
    same = all(ours == theirs for _, ours, theirs in rows)
    click.echo("meter == bill" if same else "meter != bill")
    return same


def _lines(label: str, text: str) -> Iterator[str]:
    """*text* after *label*, wrapped under itself at 80 columns, where a Chinese character takes two."""
    from token_meter.report._formatting import cells

    indent = " " * len(label)
    if text.isascii():
        yield from wrap(text, _WIDTH, initial_indent=label, subsequent_indent=indent)
        return
    line = label
    for sign in text:
        if cells(line + sign) > _WIDTH - 2:  # room for the stop that may follow
            yield line
            line = indent
        line += sign
    yield line
