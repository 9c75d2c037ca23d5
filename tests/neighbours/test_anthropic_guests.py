"""Frameworks on Anthropic's SDK: each call of theirs is counted once."""

from __future__ import annotations

import asyncio
import warnings
from decimal import Decimal
from typing import Any

import pytest

from tests.neighbours.children import in_child
from tests.providers.anthropic_fake import MODEL, FakeAnthropic, Reply, message, streamed, text, tool_use
from token_meter import meter
from token_meter.prices import PriceBook

WHY = "a neighbour that `make compat` installs"
QUESTION = "Which rose is the pinkest?"


@pytest.fixture
def fake() -> Any:
    server = FakeAnthropic()
    yield server
    server.close()


def _counted(url: str, act: Any) -> tuple[int, int, Decimal | None]:
    def measured() -> tuple[int, int, Decimal | None]:
        warnings.simplefilter("ignore")  # what frameworks and SDKs say of each other's versions
        with meter(prices=PriceBook(hosts={url: "anthropic"})) as cb:
            act()
        return cb.successful_requests, cb.total_tokens, cb.cost

    return in_child(measured)


ONE = (1, 150, Decimal("0.000966"))


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream"])
def test_langchain_anthropic(fake, way):
    pytest.importorskip("langchain_anthropic", reason=WHY)
    whole = message(text("Pink Peace"))
    fake.will(streamed(whole) if way == "stream" else Reply(body=whole))

    def act() -> None:
        from langchain_anthropic import ChatAnthropic

        model = ChatAnthropic(model=MODEL, base_url=fake.url, api_key="k", max_retries=0)
        if way == "invoke":
            assert model.invoke(QUESTION).content == "Pink Peace"
        elif way == "ainvoke":
            assert asyncio.run(model.ainvoke(QUESTION)).content == "Pink Peace"
        else:
            assert list(model.stream(QUESTION))

    assert _counted(fake.url, act) == ONE


@pytest.mark.parametrize("way", ["whole", "tool", "streamed"])
def test_pydantic_ai(fake, way):
    pytest.importorskip("pydantic_ai", reason=WHY)
    if way == "tool":
        fake.will(streamed(message(tool_use("look_up", {"name": "Peace"}), stop="tool_use")))
    fake.will(streamed(message(text("Pink Peace"))))  # it asks for a stream also where it gives the whole

    def act() -> None:
        from pydantic_ai import Agent
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        agent = Agent(AnthropicModel(MODEL, provider=AnthropicProvider(api_key="k", base_url=fake.url)))

        @agent.tool_plain
        def look_up(name: str) -> str:
            return "pink"

        async def read() -> str:
            async with agent.run_stream(QUESTION) as found:
                return await found.get_output()

        assert (asyncio.run(read()) if way == "streamed" else agent.run_sync(QUESTION).output) == "Pink Peace"

    assert _counted(fake.url, act) == ((2, 300, Decimal("0.001932")) if way == "tool" else ONE)
