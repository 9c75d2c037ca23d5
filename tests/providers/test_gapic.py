"""Google's generated clients over gRPC: a method is one call, with its retries inside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.providers import rows_google_rpc as rows
from token_meter import BudgetExceededError, meter

pytest.importorskip("google.generativeai", reason="a client that `make compat` installs")
pytestmark = pytest.mark.filterwarnings("ignore")
MODEL = "projects/p/locations/us-central1/publishers/google/models/gemini-3.5-flash"
SAY = [{"role": "user", "parts": [{"text": "Which rose?"}]}]


@pytest.fixture
def server() -> Iterator[Any]:
    with rows.GENERATIVEAI_PLACE() as found:
        yield found


def sync(server: Any) -> None:
    rows.generativeai(server, False).generate_content("Which rose?")


def streamed(server: Any) -> None:
    list(rows.generativeai(server, False).generate_content("Which rose?", stream=True))


def awaited(server: Any) -> None:
    asyncio.run(rows.asked(rows.generativeai, server))


def awaited_stream(server: Any) -> None:
    asyncio.run(rows.streamed(rows.generativeai, server))


def by_fields(server: Any) -> None:
    rows.generativeai_client(server, False).generate_content(model="models/gemini-2.5-flash", contents=SAY)


def by_a_mapping(server: Any) -> None:
    request = {"model": "models/gemini-2.5-flash", "contents": SAY}
    rows.generativeai_client(server, False).generate_content(request)


WAYS = pytest.mark.parametrize(
    "ask", [sync, streamed, awaited, awaited_stream, by_fields, by_a_mapping], ids=lambda ask: ask.__name__
)


@WAYS
def test_retries_are_attempts_of_one_call(server: Any, ask: Callable[[Any], None]) -> None:
    """A limit on calls does not count them."""
    server.overloaded = 1

    with meter(max_calls=1, keep_calls=True) as cb:
        ask(server)

    assert [(call.status, call.attempt) for call in cb.calls] == [(503, 0), (200, 1)]
    assert (cb.prompt_tokens, cb.completion_tokens) == (107, 43)


@WAYS
def test_a_limit_refuses_before_anything_leaves(server: Any, ask: Callable[[Any], None]) -> None:
    with meter(max_tokens=50), pytest.raises(BudgetExceededError):
        ask(server)

    assert server.asked == []


def test_a_call_at_vertex_is_limited_by_what_its_region_costs() -> None:
    """8 answers of 8,192 tokens are $0.59 at the global place, and $0.65 in a region."""
    pytest.importorskip("vertexai.generative_models", reason="a client that `make compat` installs")
    config = {"max_output_tokens": 8192, "candidate_count": 8}
    with rows.VERTEXAI_PLACE() as server, meter(max_cost="0.62"), pytest.raises(BudgetExceededError):
        rows.vertexai_client(server, False).generate_content(
            {"model": MODEL, "contents": SAY, "generation_config": config}
        )
    assert server.asked == []
