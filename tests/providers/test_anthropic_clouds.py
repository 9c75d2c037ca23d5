"""Anthropic's clients of Bedrock, Vertex and Foundry: what is asked where, what is free, what is refused."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.providers import rows_anthropic as rows
from tests.providers.anthropic_fake import MODEL, Reply, message, text
from token_meter import BudgetExceededError, meter
from token_meter.prices import PriceBook

pytest.importorskip("anthropic")
pytestmark = pytest.mark.usefixtures("without_certificates")

CLOUDS = {"Bedrock": (rows.BEDROCK, "aws"), "Vertex": (rows.VERTEX, "google"), "Foundry": (rows.FOUNDRY, "azure")}
ASK = rows.ASK
ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-6-v1:0"


async def create(fake: Any, **more: Any) -> None:
    async with rows.client(fake) as client:
        await client.messages.create(**{**ASK, **more})


async def stream(fake: Any) -> None:
    async with rows.client(fake) as client:
        async for _ in await client.messages.create(**ASK, stream=True):
            pass


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("way", [create, stream], ids=lambda way: way.__name__)
@pytest.mark.parametrize("limit", [{"max_calls": 0}, {"max_cost": "0.002"}, {"max_tokens": 200}], ids=repr)
def test_f127_a_refusal_reaches_the_caller_as_it_is(cloud, way, limit):
    """200 tokens of output at $15 are $0.003: more than the limit, before anything is sent."""
    place, provider = CLOUDS[cloud]
    with place() as fake, meter(prices=PriceBook(hosts={fake.url: provider}), **limit) as cb:
        with pytest.raises(BudgetExceededError):
            asyncio.run(way(fake))

        assert fake.asked == []
    assert cb.successful_requests == cb.failed_requests == 0


PRICED: dict[str, tuple[str, str, Decimal]] = {
    "Bedrock": (ARN, ARN, Decimal("0.0010626")),  # 10 % above the global one's
    "Vertex": ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5@20250929", Decimal("0.000966")),
    "Foundry": (MODEL, MODEL, Decimal("0.000966")),
}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_model_is_that_of_the_path_and_so_is_the_price(cloud):
    """An ARN holds a slash."""
    place, provider = CLOUDS[cloud]
    asked, said, cost = PRICED[cloud]
    with place() as fake, meter(prices=PriceBook(hosts={fake.url: provider}), keep_calls=True) as cb:
        fake.will(Reply(body=message(text("Rose"))))
        asyncio.run(create(fake, model=asked))

    (call,) = cb.calls
    assert (call.request_model, call.provider, cb.cost, cb.is_complete) == (said, provider, cost, True)


AT_VERTEX = "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers"


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        (f"{AT_VERTEX}/anthropic/models/claude-sonnet-4-5@20250929:rawPredict", ["messages"]),
        (f"{AT_VERTEX}/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict", ["messages"]),
        (f"{AT_VERTEX}/anthropic/models/count-tokens:rawPredict", []),
        (f"{AT_VERTEX}/meta/models/llama-3:rawPredict", ["unknown"]),
        ("https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/messages", ["messages"]),
        ("https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/something_new", ["unknown"]),
        ("https://bedrock-runtime-fips.us-east-1.amazonaws.com/model/a/invoke", ["invoke_model"]),
        ("https://bedrock-runtime.us-east-1.api.aws/model/a/converse", ["converse"]),
        ("http://chat.internal/model/roses/converse", []),
        ("http://chat.internal/model/roses/invoke", []),
    ],
)
def test_what_is_asked_by_hand_is_a_call_where_the_host_or_the_path_says_so(url, seen):
    """No app of one's own is a provider."""
    answer = httpx.Response(200, json={"id": "1"})
    with (
        httpx.Client(transport=httpx.MockTransport(lambda _: answer)) as client,
        meter(keep_calls=True, on_unpriced="ignore") as cb,
    ):
        client.post(url, content=json.dumps({"model": "m"}), headers={"anthropic-version": "2023-06-01"})

    assert [call.api for call in cb.calls] == seen
