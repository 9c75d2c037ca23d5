"""`token_meter.register`: a provider of the user's own, with a path, a usage shape, keys and rates of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.conftest import take_internal_errors
from token_meter import (
    Api,
    BudgetExceededError,
    CallbackHandler,
    ConfigError,
    Format,
    Provider,
    Usage,
    meter,
    register,
    unregister,
)
from token_meter.prices import PriceBook, Rates
from token_meter.wire import ContentPart, NumberReader, UsageLocation

URL = "https://llm.toy.example/toy/v2/ask"
BOOK = PriceBook(overrides=[Rates("toy", "toy-1", input="1", output="2")], hosts={"llm.toy.example": "toy"})
"""Dollars for a million tokens."""


def _usage(reported: dict[str, Any], numbers: NumberReader) -> Usage:
    sent, said = numbers.count(reported.get("sent")), numbers.count(reported.get("said"))
    return Usage(sent, said, None if sent is None or said is None else sent + said)


def _locate_usage(event: dict[str, Any]) -> UsageLocation:
    billed = event.get("billed")
    return UsageLocation(billed if isinstance(billed, dict) else None, {"model": event.get("engine")})


def _parts(event: dict[str, Any]) -> Iterator[ContentPart]:
    if isinstance(event.get("words"), str):
        yield ContentPart("text", event["words"])


TOY = Provider(
    "toy",
    hosts=("llm.toy.example",),
    apis=(
        Api(
            "ask",
            Format(
                usage=_usage, locate_usage=_locate_usage, stream_parts=_parts, body_parts=_parts,
                keys=("billed", "engine"), usage_key=b'"billed"', terminal=frozenset({"over"}),
            ),
            paths=("toy/v2/ask",),
        ),
    ),
)  # fmt: skip
ANSWER = {"engine": "toy-1", "words": "hello", "billed": {"sent": 1000, "said": 500}}
STREAM = "".join(
    f"data: {json.dumps(event)}\n\n"
    for event in (
        {"words": "hel"},
        {"words": "lo"},
        {"type": "over", "engine": "toy-1", "billed": {"sent": 10, "said": 2}},
    )
)


class LoudHandler(CallbackHandler):
    """Takes the pieces of streams."""

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        """Do nothing."""


@pytest.fixture
def toy() -> Iterator[None]:
    register(TOY)
    yield
    unregister("toy")


def test_a_call_is_counted_and_priced(toy, post):
    with meter(prices=BOOK, keep_calls=True) as cb:
        assert post(URL, {"engine": "toy-1"}, ANSWER).json() == ANSWER

    [call] = cb.calls
    assert (cb.prompt_tokens, cb.completion_tokens, cb.cost) == (1000, 500, Decimal("0.002"))
    assert (call.api, call.model, call.provider) == ("ask", "toy-1", "toy")
    assert cb.is_complete


def test_a_large_answer_is_read_by_the_keys_of_the_row(toy, post):
    with meter(prices=BOOK) as cb:
        post(URL, {}, {"words": "x" * 3_000_000, **ANSWER, "engine": "toy-1"})

    assert (cb.total_tokens, cb.cost) == (1500, Decimal("0.002"))


def test_a_stream_is_counted_and_its_pieces_are_told(toy, post):
    pieces, ends = [], []

    class Handler(CallbackHandler):
        def on_llm_new_token(self, token, **kwargs):
            pieces.append(token)

        def on_llm_end(self, response, **kwargs):
            ends.append((response.api, response.tokens.total_tokens, response.cost))

    with meter(prices=BOOK, handlers=[Handler()]) as cb:
        post(URL, {"engine": "toy-1"}, STREAM)

    assert cb.total_tokens == 12
    assert ends == [("ask", 12, Decimal("0.000014"))]
    assert pieces == ["hel", "lo"]


def test_the_hosts_of_a_registered_provider_say_who_is_paid(toy, post):
    """A price book has its rates only; its `hosts` are for what no provider owns, and come first where they speak."""
    rates = [Rates("toy", "toy-1", input="1", output="2"), Rates("other", "toy-1", input="3", output="3")]
    with meter(prices=PriceBook(rates), max_cost="0.002", warn_at=None, keep_calls=True) as cb:
        post(URL, {"engine": "toy-1", "model": "toy-1"}, ANSWER)
        with pytest.raises(BudgetExceededError):
            post(URL, {"engine": "toy-1", "model": "toy-1"}, ANSWER)
    with meter(prices=PriceBook(rates, hosts={"llm.toy.example": "other"})) as told:
        post(URL, {"engine": "toy-1"}, ANSWER)

    assert (cb.cost, cb.calls[0].provider, told.cost) == (Decimal("0.002"), "toy", Decimal("0.0045"))


def test_a_function_of_a_provider_that_fails_is_named_by_its_line(post, caplog):
    """The text of an exception may quote a body; where it was raised is no secret, and its author looks for it."""

    def parts(event: dict[str, Any]) -> Iterator[ContentPart]:
        yield ContentPart(event["words"])  # type: ignore[call-arg]

    api = Api("ask", Format(usage=_usage, stream_parts=parts), paths=("toy/v2/ask",))
    register(Provider("toy", hosts=("llm.toy.example",), apis=(api,)))
    with meter(handlers=[LoudHandler()]):
        post(URL, {}, STREAM)
    unregister("toy")

    assert take_internal_errors()
    assert re.search(r"internal error in tokens \(.*TypeError.*test_register\.py:\d+\)", caplog.text)


def test_a_call_is_limited(toy, post):
    with meter(prices=BOOK, max_tokens=1200, max_calls=5, warn_at=None) as cb:
        post(URL, {}, ANSWER)
        with pytest.raises(BudgetExceededError):
            post(URL, {}, ANSWER)

    assert cb.successful_requests == 1


def test_after_unregister_its_calls_are_not_its_calls_any_more(post):
    register(TOY)
    unregister("toy")
    unregister("toy")
    with meter(prices=BOOK) as cb:
        post(URL, {}, ANSWER)

    assert cb.total_tokens == 0


def test_a_provider_can_come_and_go_while_a_meter_is_open(post):
    with meter(prices=BOOK) as cb:
        post(URL, {}, ANSWER)
        register(TOY)
        post(URL, {}, ANSWER)
        unregister("toy")
        post(URL, {}, ANSWER)

    assert cb.total_tokens == 1500


def test_what_is_no_provider_is_an_error():
    with pytest.raises(ConfigError, match="takes a token_meter.Provider"):
        register("toy")  # type: ignore[arg-type]
