"""Every call shape reads exactly what the server billed, and the caller gets what it gets without a meter."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from tests.contract import shapes
from token_meter import meter


def _without_ids(seen: list[str]) -> list[str]:
    """The server numbers its answers and dates them; all else must be equal."""
    return [re.sub(r"sim0\d+|created(_at)?\W+[\d.]+", "…", text) for text in seen]


def _skip_missing(client: Any, name: str) -> None:
    if name in shapes.NEEDS_RESPONSES and not hasattr(client, "responses"):
        pytest.skip("this openai version has no Responses API")
    if name in ("responses_parse", "responses_helper") and not hasattr(client.responses, "parse"):
        pytest.skip("this openai version has no responses.parse")


@pytest.mark.parametrize("name", shapes.MEASURED)
async def test_a_shape_reads_the_bill(client, simulator, prices, name):
    """Tokens, requests and cost are the server's own."""
    _skip_missing(client, name)
    with meter(prices=prices) as cb:
        await shapes.MEASURED[name](client)
    bill = simulator.bill("sim-test")

    assert bill.calls == 1
    assert (cb.prompt_tokens, cb.completion_tokens, cb.total_tokens) == (
        bill.prompt_tokens,
        bill.completion_tokens,
        bill.total_tokens,
    )
    assert (cb.successful_requests, cb.failed_requests) == (1, 0)
    assert cb.cost == bill.cost
    assert cb.is_complete


@pytest.mark.parametrize("name", [*shapes.MEASURED, *shapes.UNREPORTED])
async def test_a_shape_gives_the_caller_what_it_gives_without_a_meter(client, simulator, name):
    """Same types, same events, same texts."""
    _skip_missing(client, name)
    shape = (shapes.MEASURED | shapes.UNREPORTED)[name]
    bare = await shape(client)
    with meter():
        metered = await shape(client)

    assert _without_ids(metered) == _without_ids(bare)


@pytest.mark.parametrize("name", shapes.UNREPORTED)
async def test_an_unreported_shape_is_never_silently_zero(client, name):
    """A call without reported tokens is shown as estimated or unmeasured."""
    with meter(on_unpriced="ignore") as cb:
        await shapes.UNREPORTED[name](client)

    assert cb.successful_requests == 1
    assert cb.estimated_calls + cb.unmeasured_calls == 1
    assert not cb.is_complete


async def test_three_gathered_calls_read_the_bill(make, simulator):
    """Concurrency adds up."""
    client = make.openai(base_url=simulator.base_url, api_key="sim-test")
    with meter() as cb:
        if make.is_async:
            await asyncio.gather(*[shapes.chat(client) for _ in range(3)])
        else:
            await asyncio.gather(*[asyncio.to_thread(client.chat.completions.create, **shapes.CHAT) for _ in range(3)])

    assert simulator.bill("sim-test").calls == 3
    assert cb.total_tokens == simulator.bill("sim-test").total_tokens


async def test_azure_deployments_read_the_bill(make, simulator):
    """The path names a deployment; the answer names the model."""
    client = make.azure(azure_endpoint=simulator.url, api_key="sim-azure", api_version="2024-10-21")
    with meter(keep_calls=True) as cb:
        await shapes.result(client.chat.completions.create(model="prod-chat", messages=shapes.MESSAGES))

    assert cb.total_tokens == simulator.bill("sim-azure").total_tokens > 0
    assert cb.calls[0].request_model == "prod-chat"


async def test_speech_is_not_read_ahead(make, simulator):
    """A streamed body that carries no usage passes through chunk by chunk, and shows as unmeasured."""
    client = make.openai(base_url=simulator.base_url, api_key="sim-test")
    with meter() as cb:
        manager = client.audio.speech.with_streaming_response.create(model="gpt-4o-mini-tts", voice="alloy", input="Hi")
        async with shapes.entered(manager) as answer:
            stream = answer.http_response
            assert not stream.is_stream_consumed
            pieces = [piece async for piece in shapes.each(answer.iter_bytes(64))]

    assert len(pieces) > 1
    assert (cb.unmeasured_calls, cb.successful_requests) == (1, 1)
