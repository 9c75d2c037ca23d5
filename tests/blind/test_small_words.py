"""What programs read of single calls: their line, their tags, and their size before they are sent."""

from __future__ import annotations

import asyncio
import contextvars
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.blind import modules
from tests.conftest import CHAT_BODY
from token_meter import BudgetExceededError, Call, Meter, Usage, meter
from token_meter.types import Price

USAGE = Usage(1200, 50, 1250)
LINES = [
    ({"usage": USAGE, "price": Price(Decimal("0.0000045"))}, "gpt-4o-mini: 1,200 + 50 tokens, $0.00000450, 0.31 s"),
    ({"usage": USAGE, "price": Price(Decimal("12.5"))}, "gpt-4o-mini: 1,200 + 50 tokens, $12.50, 0.31 s"),
    ({"usage": USAGE, "price": Price(reason="no price")}, "gpt-4o-mini: 1,200 + 50 tokens, unpriced, 0.31 s"),
    ({"usage": USAGE}, "gpt-4o-mini: 1,200 + 50 tokens, 0.31 s"),
    ({"certainty": "unmeasured"}, "gpt-4o-mini: unknown tokens, 0.31 s"),
    ({"status": 429, "error": "HTTP 429", "outcome": "error", "attempt": 1},
     "gpt-4o-mini: no tokens, 0.31 s, error, HTTP 429, retry 1"),
    ({"usage": Usage(5), "certainty": "lower_bound", "outcome": "closed"},
     "gpt-4o-mini: 5 + ? tokens, 0.31 s, lower bound, closed"),
    ({"usage": USAGE, "source": "mock", "request_model": "a\nb\x1b[31m"},
     "a\\u000ab\\u001b[31m: 1,200 + 50 tokens, 0.31 s, mock"),
    ({"usage": USAGE, "request_model": None}, "chat: 1,200 + 50 tokens, 0.31 s"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "line"), LINES)
def test_f159_a_printed_call_is_one_line(fields, line):
    """What there is to say of it, and no more."""
    call = Call("id", 1.0, 0.31, "api.openai.com", "chat", **{"request_model": "gpt-4o-mini", **fields})

    assert str(call) == f"{call}" == line
    assert repr(call).startswith("Call(id=")


def _answer(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=CHAT_BODY)


def test_f159_print_is_a_handler():
    """Each call is one line."""
    shown = io.StringIO()
    with httpx.Client(transport=httpx.MockTransport(_answer)) as client, redirect_stdout(shown):
        with meter(handlers=[print]):
            for _ in range(2):
                client.post(modules.CHAT, json={"model": "gpt-4o-mini"})

    lines = shown.getvalue().splitlines()
    assert len(lines) == 2
    assert all(line.startswith("gpt-4o-mini-2024-07-18: 10 + 5 tokens, $0.") for line in lines)


# Tags.


def _ask(client: httpx.Client) -> None:
    client.post(modules.CHAT, json={"model": "gpt-4o-mini"})


async def _task(client: httpx.Client) -> None:
    """A task that calls when the block is over."""
    over = asyncio.Event()

    async def later() -> None:
        await over.wait()
        _ask(client)

    with meter(tags={"customer": "acme"}):
        with meter(tags=["inner"]):
            task = asyncio.create_task(later())
    over.set()
    await task


def _thread(client: httpx.Client) -> None:
    over = threading.Event()

    def later() -> None:
        over.wait(10)
        _ask(client)

    with meter(tags={"customer": "acme"}), meter(tags=["inner"]):
        thread = threading.Thread(target=later)
        thread.start()
    over.set()
    thread.join()


def _pool(client: httpx.Client) -> None:
    over = threading.Event()

    def later() -> None:
        over.wait(10)
        _ask(client)

    with ThreadPoolExecutor(1) as pool:
        with meter(tags={"customer": "acme"}), meter(tags=["inner"]):
            pool.submit(later)
        over.set()


def _copied(client: httpx.Client) -> None:
    with meter(tags={"customer": "acme"}), meter(tags=["inner"]):
        context = contextvars.copy_context()
    context.run(_ask, client)


@pytest.mark.parametrize("way", ["task", "thread", "pool", "copied"])
@pytest.mark.parametrize("options", [{}, {"scope": "process"}])
def test_f154_a_tag_goes_with_what_its_block_has_started(way, options):
    """Only the block's own sum is over: whoever still counts sees the tags, in one order."""
    with (
        httpx.Client(transport=httpx.MockTransport(_answer)) as client,
        meter(keep_calls=True, tags=["outer"], **options) as cb,
    ):
        if way == "task":
            asyncio.run(_task(client))
        else:
            {"thread": _thread, "pool": _pool, "copied": _copied}[way](client)

    assert [call.tags for call in cb.calls] == [("outer", "customer=acme", "inner")]
    assert cb.by_tag["customer=acme"].total_tokens == 15


def test_a_block_that_is_over_gives_no_tag_to_what_comes_after_it():
    """Its tags go with its tasks, not with its neighbours."""
    with httpx.Client(transport=httpx.MockTransport(_answer)) as client, meter(keep_calls=True) as cb:
        with meter(tags=["first"]):
            _ask(client)
        _ask(client)

    assert [call.tags for call in cb.calls] == [("first",), ()]


# Sizes.

RESPONSES = "https://api.openai.com/v1/responses"
MESSAGES = "https://api.anthropic.com/v1/messages"
_CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
_RESPONSE = {"model": "gpt-4o-mini", "input": "hi", "max_output_tokens": 16}
_MESSAGE = {"model": "claude-sonnet-4-6", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}


def _said(*parts: dict[str, Any], role: str = "user") -> list[dict[str, Any]]:
    return [{"role": role, "content": list(parts)}]


OPEN: list[tuple[str, str, dict[str, Any]]] = [
    ("an earlier response", RESPONSES, {**_RESPONSE, "previous_response_id": "resp_1"}),
    ("a conversation", RESPONSES, {**_RESPONSE, "conversation": "conv_1"}),
    ("a stored prompt", RESPONSES, {**_RESPONSE, "prompt": {"id": "pmpt_1"}}),
    ("a file", RESPONSES, {**_RESPONSE, "input": _said({"type": "input_file", "file_id": "file_1"})}),
    ("a web search", RESPONSES, {**_RESPONSE, "tools": [{"type": "web_search"}]}),
    ("an mcp server", RESPONSES, {**_RESPONSE, "tools": [{"type": "mcp", "server_url": "https://x"}]}),
    ("a stored item", RESPONSES, {**_RESPONSE, "input": [{"type": "item_reference", "id": "msg_1"}]}),
    ("stored thoughts", RESPONSES, {**_RESPONSE, "input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}),
    ("a file in chat", modules.CHAT, {**_CHAT, "messages": _said({"type": "file", "file": {"file_id": "file_1"}})}),
    ("a search in chat", modules.CHAT, {**_CHAT, "web_search_options": {}}),
    ("a model that searches", modules.CHAT, {**_CHAT, "model": "gpt-4o-search-preview"}),
    ("a spoken answer", modules.CHAT, {**_CHAT, "modalities": ["text", "audio"], "audio": {"voice": "alloy"}}),
    ("a spoken question", modules.CHAT, {**_CHAT, "messages": _said({"type": "input_audio", "input_audio": {}})}),
    ("Anthropic's search", MESSAGES, {**_MESSAGE, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
    ("Anthropic's mcp", MESSAGES, {**_MESSAGE, "mcp_servers": [{"type": "url", "url": "https://x"}]}),
    ("a document", MESSAGES, {**_MESSAGE, "messages": _said({"type": "document", "source": {"type": "url"}})}),
]  # fmt: skip
KNOWN: list[tuple[str, str, dict[str, Any]]] = [
    ("plain chat", modules.CHAT, _CHAT),
    ("a function", modules.CHAT, {**_CHAT, "tools": [{"type": "function", "function": {"name": "f"}}]}),
    ("an image", modules.CHAT, {**_CHAT, "messages": _said({"type": "image_url", "image_url": {"url": "https://x"}})}),
    ("a response", RESPONSES, _RESPONSE),
    ("thoughts that were sent", RESPONSES, {
        **_RESPONSE, "input": [{"type": "reasoning", "id": "rs_1", "encrypted_content": "x" * 300, "summary": []}],
    }),
    ("a custom tool", RESPONSES, {**_RESPONSE, "tools": [{"type": "custom", "name": "c"}]}),
    ("a message", MESSAGES, _MESSAGE),
    ("Anthropic's client tool", MESSAGES, {**_MESSAGE, "tools": [{"type": "bash_20250124", "name": "bash"}]}),
]  # fmt: skip


async def _five(url: str, body: dict[str, Any], cb: Meter) -> int:
    """Five calls at once, none of which is answered before all have been let in or refused; how many were let in."""
    decided, are_decided = [], asyncio.Event()

    def decide(is_let_in: bool) -> None:
        decided.append(is_let_in)
        if len(decided) == 5:
            are_decided.set()

    async def answer(_: httpx.Request) -> httpx.Response:
        decide(True)
        await are_decided.wait()
        usage = {"input_tokens": 1, "output_tokens": 1, "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return httpx.Response(200, json={**CHAT_BODY, "model": body["model"], "usage": usage})

    async def ask(client: httpx.AsyncClient) -> None:
        try:
            await client.post(url, json=body)
        except BudgetExceededError:
            decide(False)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        with cb:
            await asyncio.wait_for(asyncio.gather(*(ask(client) for _ in range(5))), 30)
    return sum(decided)


@pytest.mark.parametrize("limits", [{"max_cost": 1}, {"max_tokens": 1_000_000}])
@pytest.mark.parametrize(("what", "url", "body"), OPEN, ids=[what for what, *_ in OPEN])
def test_f122_calls_whose_size_cannot_be_told_go_one_at_a_time(what, url, body, limits):
    """Together they could overshoot by any amount."""
    assert asyncio.run(_five(url, body, meter(**limits, on_unpriced="ignore", warn_at=None))) == 1


@pytest.mark.parametrize(("what", "url", "body"), KNOWN, ids=[what for what, *_ in KNOWN])
def test_calls_whose_size_is_known_go_together(what, url, body):
    """They reserve what they may use."""
    assert asyncio.run(_five(url, body, meter(max_tokens=1_000_000, warn_at=None))) == 5


def test_f122_thoughts_that_were_sent_reserve_what_their_bytes_may_hold():
    """They cannot be read, and are billed."""
    body = {**_RESPONSE, "input": [{"type": "reasoning", "id": "rs_1", "encrypted_content": "x" * 30_000}]}
    with httpx.Client(transport=httpx.MockTransport(_answer)) as client, meter(max_tokens=9_000):
        with pytest.raises(BudgetExceededError):
            client.post(RESPONSES, json=body)
