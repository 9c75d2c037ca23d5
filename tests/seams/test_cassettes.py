"""A call that a cassette answers is a replay; it has tokens and a cost, but nothing was spent."""

from __future__ import annotations

from pathlib import Path

import openai
import pytest

from token_meter import meter
from token_meter.simulator import TEST_KEY, Simulator

vcr = pytest.importorskip("vcr")


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_f43_a_cassette_makes_a_replay(simulator: Simulator, tmp_path: Path, colour: str) -> None:
    """Recorded it is what it was (here a mock: loopback); played back it is a replay, with the same usage."""
    sources, tokens = [], []
    for _ in range(2):
        with vcr.use_cassette(str(tmp_path / "c.yaml")), meter(keep_calls=True) as cb:
            messages = [{"role": "user", "content": "hi"}]
            if colour == "sync":
                with openai.OpenAI(base_url=simulator.base_url, api_key=TEST_KEY) as client:
                    client.chat.completions.create(model="gpt-4o-mini", messages=messages)
            else:
                async with openai.AsyncOpenAI(base_url=simulator.base_url, api_key=TEST_KEY) as aclient:
                    await aclient.chat.completions.create(model="gpt-4o-mini", messages=messages)
        sources.append(cb.calls[0].source)
        tokens.append(cb.total_tokens)

    assert sources == ["mock", "replay"]
    assert tokens[0] == tokens[1]
    assert simulator.bill().calls == 1
