"""`token-meter demo`: the lesson's dialogue, metered and compared with the bill."""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from token_meter import Meter, meter

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

CHAT_MODEL = "gpt-4o-mini"
EMBEDDING_MODEL = "text-embedding-3-small"
DIALOGUE = (
    "我姐姐明天要过生日，我需要一束生日花束。",
    "她喜欢粉色玫瑰，颜色是粉色的。",
    "我又来了，还记得我昨天为什么要来买花吗？",
)
"""The three turns of the lesson: a bouquet for a sister's birthday; she likes pink roses; why did I come?"""
QUESTIONS = ("Which rose is the pinkest?", "How long do cut roses live?", "What does a pink rose mean?")


@click.command("demo")
@click.option("--live", is_flag=True, help="Talk to the real service with OPENAI_API_KEY (costs about $0.001).")
def command(live: bool) -> None:
    """Meter the lesson's flower-shop dialogue and more, and compare the meter with the server's own bill.

    Starts a simulator of the OpenAI protocol on loopback and drives it with the real openai SDK. Exits 1 if the
    meter and the bill differ.
    """
    if live and not os.environ.get("OPENAI_API_KEY"):
        msg = "--live talks to the real service and needs OPENAI_API_KEY in the environment"
        raise click.UsageError(msg)
    try:
        from token_meter.simulator import Simulator
    except ImportError as error:
        raise click.ClickException(str(error)) from None
    with nullcontext() if live else Simulator() as simulator:
        sys.exit(0 if _run(simulator) else 1)


def _run(simulator: Any) -> bool:
    """Run every part under one meter; return whether the meter agrees with the server's bill."""
    from openai import AsyncOpenAI, OpenAI

    from token_meter.prices import PriceBook

    where = {} if simulator is None else {"base_url": simulator.base_url, "api_key": "sim-demo"}
    prices = None if simulator is None else PriceBook(hosts={simulator.url: "openai"})
    with OpenAI(**where) as client, meter("demo", prices=prices) as cb:
        _dialogue(client, cb)
        asyncio.run(_at_once(AsyncOpenAI(**where), cb))
        _stream(client, cb)
        _embedding(client, cb)
        _thread_pool(client, cb)
    click.echo(f"\n{cb}\n")
    if simulator is None:
        return True
    return _same(cb, simulator.bill("sim-demo"))


def _dialogue(client: OpenAI, cb: Meter) -> None:
    click.echo("A dialogue in three turns; the history is sent again with each:")
    messages: list[Any] = [{"role": "system", "content": "你是一家花店的店员。"}]
    before = 0
    for turn, text in enumerate(DIALOGUE, start=1):
        messages.append({"role": "user", "content": text})
        answer = client.chat.completions.create(model=CHAT_MODEL, messages=messages).choices[0].message.content
        messages.append({"role": "assistant", "content": answer})
        click.echo(f"  {turn}. customer: {text}\n     florist:  {answer}")
        click.echo(f"     this turn {cb.total_tokens - before:,} tokens · so far {cb.total_tokens:,} tokens")
        before = cb.total_tokens


async def _at_once(client: AsyncOpenAI, cb: Meter) -> None:
    async def ask(question: str) -> int:
        with meter() as mine:
            await client.chat.completions.create(model=CHAT_MODEL, messages=[{"role": "user", "content": question}])
        return mine.total_tokens

    async with client:
        each = await asyncio.gather(*[ask(question) for question in QUESTIONS])
    shown = " + ".join(f"{tokens:,}" for tokens in each)
    click.echo(f"Three questions under asyncio.gather: {shown} tokens · so far {cb.total_tokens:,} tokens")


def _stream(client: OpenAI, cb: Meter) -> None:
    stream = client.chat.completions.create(
        model=CHAT_MODEL,
        messages=[{"role": "user", "content": "Say something about pink roses."}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = sum(1 for _ in stream)
    click.echo(f"A stream of {chunks} chunks · so far {cb.total_tokens:,} tokens")


def _embedding(client: OpenAI, cb: Meter) -> None:
    client.embeddings.create(model=EMBEDDING_MODEL, input="pink roses")
    click.echo(f"An embedding · so far {cb.total_tokens:,} tokens")


def _thread_pool(client: OpenAI, cb: Meter) -> None:
    def ask(question: str) -> None:
        client.chat.completions.create(model=CHAT_MODEL, messages=[{"role": "user", "content": question}])

    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(ask, QUESTIONS[:2]))
    click.echo(f"Two calls from a thread pool · so far {cb.total_tokens:,} tokens")


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
