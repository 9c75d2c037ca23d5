"""LangChain on top of the SDK: its own callback and the meter read the same calls, each once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.neighbours.children import in_child
from token_meter import meter

WHY = "a neighbour that `make compat` installs"
pytest.importorskip("langchain_openai", reason=WHY)
pytest.importorskip("langchain_community", reason=WHY)

QUESTION = "Which rose is the pinkest?"


def _model(simulator: Any, **options: Any) -> Any:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model="gpt-4o-mini", base_url=simulator.base_url, api_key="sim-chain", max_retries=0, **options)


def _callback() -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package says that it is being sunset
        from langchain_community.callbacks import get_openai_callback
    return get_openai_callback()


WAYS = {
    "invoke": lambda model: model.invoke(QUESTION),
    "ainvoke": lambda model: asyncio.run(model.ainvoke(QUESTION)),
    "batch": lambda model: model.batch([QUESTION] * 3),
    "stream": lambda model: list(model.stream(QUESTION, stream_usage=True)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("outer", ["meter", "callback"])
def test_meter_and_callback_read_the_same_in_either_order(simulator, way, outer):
    """Whichever block is the outer one; the model is older than both."""

    def act() -> tuple[int, int]:
        model = _model(simulator)
        if outer == "meter":
            with meter() as cb, _callback() as theirs:
                WAYS[way](model)
        else:
            with _callback() as theirs, meter() as cb:
                WAYS[way](model)
        assert cb.successful_requests == theirs.successful_requests
        return cb.total_tokens, theirs.total_tokens

    ours, theirs = in_child(act)

    assert ours == theirs == simulator.bill("sim-chain").total_tokens > 0


def test_a_model_used_before_is_counted_once(simulator):
    """LangChain keeps bound methods and HTTP clients from the first call on."""

    def act() -> tuple[int, int]:
        model = _model(simulator)
        model.invoke(QUESTION)
        with meter() as cb:
            model.invoke(QUESTION)
        return cb.successful_requests, cb.total_tokens

    requests, tokens = in_child(act)

    assert requests == 1
    assert tokens * 2 == simulator.bill("sim-chain").total_tokens


def test_an_answer_from_langchains_cache_is_no_call(simulator):
    """F42: nothing went over the wire, so nothing is counted."""
    from langchain_core.caches import InMemoryCache

    def act() -> tuple[int, int]:
        model = _model(simulator, cache=InMemoryCache())
        with meter() as first:
            model.invoke(QUESTION)
        with meter() as second:
            model.invoke(QUESTION)
        return first.successful_requests, second.successful_requests

    assert in_child(act) == (1, 0)
    assert simulator.bill("sim-chain").calls == 1
