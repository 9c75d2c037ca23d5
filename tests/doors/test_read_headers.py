"""`read_headers`: a provider, or a gateway, that says in the headers of its answer what the call used or cost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import httpx
import pytest

from token_meter import Api, CallbackHandler, Format, Provider, Usage, meter, register, unregister
from token_meter.types import Reading
from token_meter.wire import NumberReader, name_of

URL = "https://llm.heads.example/heads/ask"
GATE = "https://gate.heads.example/v1/chat/completions"
HEADERS = {"X-Heads-In": "1000", "x-heads-OUT": "500", "x-heads-tier": "flex", "x-heads-secret": "canary"}
CHAT_USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
CHAT_BODY = {"object": "chat.completion", "model": "m", "choices": [], "usage": CHAT_USAGE}


def _counts(reading: Reading, headers: Mapping[str, str], numbers: NumberReader) -> Reading:
    sent, said = numbers.count(headers.get("x-heads-in")), numbers.count(headers.get("x-heads-out"))
    if sent is None and said is None:
        return reading
    total = None if sent is None or said is None else sent + said
    return reading._replace(usage=Usage(sent, said, total), service_tier=name_of(headers.get("x-heads-tier")))


def _charge(reading: Reading, headers: Mapping[str, str], numbers: NumberReader) -> Reading:
    if reading.usage is None:
        return reading
    return reading._replace(usage=reading.usage._replace(provider_cost=numbers.dollars(headers.get("x-heads-cost"))))


def _fails(reading: Reading, headers: Mapping[str, str], numbers: NumberReader) -> Reading:
    raise ValueError(headers["x-heads-secret"])


ASK = Api("ask", Format(read_headers=_counts), paths=("heads/ask",))
ROWS = (
    Provider("heads", hosts=("llm.heads.example",), apis=(ASK,)),
    Provider("headgate", hosts=("gate.heads.example",), read_headers=_charge, states_usd=True),
)


@pytest.fixture(autouse=True)
def rows() -> Iterator[None]:
    for row in ROWS:
        register(row)
    yield
    for row in ROWS:
        unregister(row.id)


def _answer(status: int, headers: Mapping[str, str], body: Any, kind: str) -> httpx.Response:
    return httpx.Response(status, content=body, headers={"content-type": kind, **headers})


def _sync(url: str, answer: httpx.Response, *, streamed: bool) -> None:
    with httpx.Client(transport=httpx.MockTransport(lambda _: answer)) as client:
        if streamed:
            with client.stream("POST", url, json={"model": "asked"}) as response:
                for _ in response.iter_bytes():
                    pass
        else:
            client.post(url, json={"model": "asked"})


def _async(url: str, answer: httpx.Response, *, streamed: bool) -> None:
    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer)) as client:
            if streamed:
                async with client.stream("POST", url, json={"model": "asked"}) as response:
                    async for _ in response.aiter_bytes():
                        pass
            else:
                await client.post(url, json={"model": "asked"})

    asyncio.run(ask())


KINDS = [("{}", "application/json"), ("data: {}\n\n", "text/event-stream"), ("ID3", "audio/mpeg")]
each_colour = pytest.mark.parametrize("call", [_sync, _async], ids=["sync", "async"])


@each_colour
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("body", "kind"), KINDS, ids=["json", "events", "audio"])
def test_a_usage_that_stands_in_headers_is_counted(
    call: Callable[..., None], streamed: bool, body: str, kind: str
) -> None:
    with meter(keep_calls=True) as cb:
        call(URL, _answer(200, HEADERS, body, kind), streamed=streamed)

    [made] = cb.calls
    assert (cb.prompt_tokens, cb.completion_tokens, cb.total_tokens) == (1000, 500, 1500)
    assert (made.api, made.request_model, made.service_tier, made.certainty) == ("ask", "asked", "flex", "exact")


@pytest.mark.parametrize("status", [400, 429, 500])
def test_the_headers_of_an_error_are_not_asked(status: int) -> None:
    with meter() as cb:
        _sync(URL, _answer(status, HEADERS, "{}", "application/json"), streamed=False)

    assert (cb.total_tokens, cb.failed_requests) == (0, 1)


@pytest.mark.parametrize("headers", [{}, {"x-heads-in": ""}, {"x-heads-in": "-1"}, {"x-heads-in": "9" * 40}])
def test_headers_that_say_nothing_leave_the_call_unmeasured(headers: dict[str, str]) -> None:
    with meter() as cb:
        _sync(URL, _answer(200, headers, "{}", "application/json"), streamed=False)

    assert (cb.total_tokens, cb.unmeasured_calls, cb.is_complete) == (0, 1, False)


def test_a_stream_that_is_left_has_what_its_headers_said() -> None:
    """They came before the first byte, so the whole of the answer may be more."""
    with (
        meter(keep_calls=True) as cb,
        httpx.Client(
            transport=httpx.MockTransport(
                lambda _: _answer(200, HEADERS, iter([b"data: {}\n\n"] * 9), "text/event-stream")
            )
        ) as client,
        client.stream("POST", URL, json={}) as response,
    ):
        next(response.iter_bytes())

    assert [(made.tokens.total_tokens, made.certainty) for made in cb.calls] == [(1500, "lower_bound")]


@each_colour
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_gateway_says_in_a_header_what_a_call_of_any_api_cost(call: Callable[..., None], streamed: bool) -> None:
    """The counts are those of the body."""
    with meter() as cb:
        answer = httpx.Response(200, json=CHAT_BODY, headers={"x-heads-cost": "0.25"})
        call(GATE, answer, streamed=streamed)

    assert (cb.total_tokens, cb.cost) == (7, Decimal("0.25"))


def test_the_same_header_of_another_host_says_nothing() -> None:
    with meter(keep_calls=True) as cb:
        answer = httpx.Response(200, json=CHAT_BODY, headers={"x-heads-cost": "0.25"})
        _sync("https://other.heads.example/v1/chat/completions", answer, streamed=False)

    assert (cb.total_tokens, [made.tokens.provider_cost for made in cb.calls]) == (7, [None])


def test_a_charge_is_believed_only_where_the_provider_states_dollars() -> None:
    register(Provider("headgate", hosts=("gate.heads.example",), read_headers=_charge))
    with meter(on_unpriced="ignore") as cb:
        answer = httpx.Response(200, json=CHAT_BODY, headers={"x-heads-cost": "0.25"})
        _sync(GATE, answer, streamed=False)

    assert (cb.cost, cb.cost_is_known) == (0, False)


def test_handlers_hear_of_what_the_headers_said() -> None:
    heard = []

    class Handler(CallbackHandler):
        def on_llm_end(self, response: Any, **_: Any) -> None:
            heard.append(response.tokens.total_tokens)

    with meter(handlers=[Handler()]):
        _sync(URL, _answer(200, HEADERS, "{}", "application/json"), streamed=True)

    assert heard == [1500]


def test_a_limit_counts_what_the_headers_said() -> None:
    with meter(max_tokens=100_000, warn_at=None) as cb:
        _sync(URL, _answer(200, HEADERS, "{}", "application/json"), streamed=False)
        assert cb.remaining.tokens == 98_500


@pytest.mark.filterwarnings("ignore::token_meter.UnpricedWarning")
def test_no_header_is_kept_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    """Nor when its reader fails: then the call is as it was without."""
    register(Provider("headgate", hosts=("gate.heads.example",), read_headers=_fails))
    answer = httpx.Response(200, json=CHAT_BODY, headers=HEADERS)
    with caplog.at_level(logging.DEBUG, "token_meter"), meter(keep_calls=True) as cb:
        _sync(GATE, answer, streamed=False)
        _sync(URL, _answer(200, HEADERS, "{}", "application/json"), streamed=True)
        kept = [repr(vars(made)) if hasattr(made, "__dict__") else repr(made) for made in cb.calls]

    assert cb.total_tokens == 7 + 1500
    assert "ValueError" in caplog.text
    assert "canary" not in caplog.text + repr(cb) + str(cb) + "".join(kept)


@pytest.mark.filterwarnings("ignore::token_meter.UnpricedWarning")
def test_an_amount_in_the_body_of_a_gateway_is_not_believed() -> None:
    """Its provider was registered without `states_usd`: in which currency the amount is, nothing says."""
    register(Provider("headgate", hosts=("gate.heads.example",)))
    answer = httpx.Response(200, json={**CHAT_BODY, "usage": {**CHAT_USAGE, "cost": 8}})
    with meter() as cb:
        _sync(GATE, answer, streamed=False)

    assert (cb.total_tokens, cb.cost_is_known) == (7, False)
