"""A failure of ours, at every guard: it is counted under its place, and the caller has the answer all the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import openai
import pytest

from tests.conftest import CHAT_BODY, sdk_http, take_internal_errors
from tests.handlers.conftest import MESSAGES, USAGE, Chunks, piece, sse
from token_meter import meter
from token_meter._meter import block
from token_meter.budget import foresight, limits
from token_meter.call import background, lifecycle, record
from token_meter.context import endpoint, scope
from token_meter.context.stack import CONTEXT_STACK
from token_meter.events import dispatcher
from token_meter.runtime.hub import HUB
from token_meter.transports.client_copies import CopySeam
from token_meter.transports.vcr import CassetteSeam

STREAM = sse(piece("a rose"), USAGE)
PENDING = {"id": "resp_1", "object": "response", "status": "queued", "model": "gpt-5", "output": [], "usage": None}
DONE = {**PENDING, "status": "completed", "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}}


class Injected(Exception):
    """What a bug of ours might raise."""


def fail(*_: Any, **__: Any) -> Any:
    raise Injected


class Sink:
    """Takes single calls; one of its methods is broken."""

    def __init__(self, broken: str) -> None:
        self.broken = broken

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return fail if name == self.broken else lambda *_, **__: None


class Listening:
    """Wants to hear of everything."""

    def on_chat_model_start(self, *_: Any, **__: Any) -> None: ...
    def on_llm_new_token(self, *_: Any, **__: Any) -> None: ...
    def on_llm_end(self, *_: Any, **__: Any) -> None: ...
    def on_llm_error(self, *_: Any, **__: Any) -> None: ...


def answer(request: Any) -> Any:
    """A stream, a chat, a background response, or a failure, by what is asked."""
    if request.method == "GET":
        return sdk_http.Response(200, json=DONE)
    asked = json.loads(request.content)
    if asked.get("user") == "unlucky":
        raise sdk_http.ReadError("gone", request=request)
    if request.url.path.endswith("/responses"):
        return sdk_http.Response(200, json=PENDING)
    if asked.get("stream"):
        return sdk_http.Response(200, headers={"content-type": "text/event-stream"}, stream=Chunks(STREAM))
    return sdk_http.Response(200, json=CHAT_BODY)


@pytest.fixture
def client() -> Any:
    http = sdk_http.Client(transport=sdk_http.MockTransport(answer))
    with openai.OpenAI(api_key="sk-x", http_client=http, max_retries=0) as made:
        yield made


def chat(client: Any, **options: Any) -> str:
    return client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, **options).choices[0].message.content


def stream(client: Any) -> str:
    chunks = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def lost(client: Any) -> str:
    with pytest.raises(openai.APIConnectionError):
        chat(client, user="unlucky")
    return "hi"


def polled(client: Any) -> str:
    if not hasattr(client, "responses"):
        pytest.skip("this SDK has no Responses API")
    client.responses.create(model="gpt-5", input="hi", background=True)
    return "hi" if client.responses.retrieve("resp_1").status == "completed" else ""


GUARDS = [
    # what is broken, the meter, what the program does, where the failure is counted
    ("sink departs", None, {"ledger": Sink("on_start")}, chat, {"sink"}),
    ("sink ended", None, {"ledger": Sink("on_end")}, chat, {"sink"}),
    ("ask for usage", ("token_meter.call.stream_usage", "body_with_usage"), {"stream_usage": True}, stream, {"ask for usage"}),
    ("a failed call", (lifecycle, "call_of"), {}, lost, {"failed"}),
    ("gate, a warning", (limits.MeterBudget, "check_warning_threshold"), {"max_calls": 9}, chat, {"gate"}),
    ("gate, the plan", (scope.Scopes, "of"), {"max_calls": 9}, chat, {"gate", "depart"}),
    ("gate, the check", (foresight, "foreseen"), {"max_calls": 9}, chat, {"gate"}),
    ("departure with handlers", (dispatcher, "DeltaReader"), {"handlers": [Listening()]}, chat, {"depart"}),
    ("tokens", (dispatcher.DeltaReader, "feed"), {"handlers": [Listening()]}, stream, {"tokens"}),
    ("price", (block.Meter, "priced"), {"handlers": [Listening()], "on_unpriced": "ignore"}, chat, {"price for a handler"}),
    ("a background response", (background, "read_body"), {}, polled, {"return"}),
    ("a body read late", (record, "read_body"), {}, chat, {"settle"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("broken", "options", "program", "places"), [g[1:] for g in GUARDS], ids=[g[0] for g in GUARDS]
)
def test_f02_a_failure_at_a_guard_is_counted_there(client, monkeypatch, broken, options, program, places):
    """And costs the caller nothing."""
    with meter(**options) as cb:
        with monkeypatch.context() as patched:
            if broken is not None:
                patched.setattr(f"{broken[0]}.{broken[1]}" if isinstance(broken[0], str) else broken[0],
                                *(() if isinstance(broken[0], str) else (broken[1],)), fail)  # fmt: skip
            assert program(client) in ("hi", "a rose")
            if broken is not None and broken[0] is record:
                cb._fold()

    assert set(failures()) == places


def test_f02_a_limit_that_cannot_be_worked_out_costs_no_count(client, monkeypatch):
    """The call passes, and is seen."""
    monkeypatch.setattr(foresight, "foreseen", fail)
    with meter(max_calls=9) as cb:
        chat(client)

    assert cb.total_tokens == 15
    assert failures() == {"gate": 2}


def failures() -> dict[str, int]:
    """What was counted; it is forgotten, so that the test ends clean."""
    return take_internal_errors()


def test_f02_a_failure_while_copying_a_client_is_counted():
    """The copy is made, and inherits nothing."""

    class Client:
        def copy(self) -> str:
            return "twin"

    seam = CopySeam(HUB, fail)
    seam.watch(Client)
    try:
        assert Client().copy() == "twin"
    finally:
        seam.uninstall()

    assert failures() == {"copy": 1}


def test_f02_a_failure_while_a_cassette_plays_is_counted():
    """The answer is played."""

    class Cassette:
        def play_response(self, request: str) -> str:
            return request

    seam = CassetteSeam(CONTEXT_STACK, HUB, fail)
    seam._live = True
    seam._patch(SimpleNamespace(Cassette=Cassette))  # type: ignore[arg-type]
    try:
        with meter():
            assert Cassette().play_response("played") == "played"
    finally:
        seam.uninstall()

    assert failures() == {"cassette": 1}


def test_f02_a_failure_when_a_call_is_over_is_counted(client, monkeypatch):
    """The gate lets go of a call that has its answer."""
    looks: list[int] = []

    def look(_: Any) -> None:
        looks.append(1)
        if len(looks) > 1:
            raise Injected

    monkeypatch.setattr(limits.MeterBudget, "check_warning_threshold", look)
    with meter(max_calls=9) as cb:
        assert chat(client) == "hi"

    assert failures() == {"leave": 1}
    assert cb.successful_requests == 1


def test_a_sink_that_fails_to_forget_costs_nothing():
    """A call that only passed on another one was announced, and is taken back."""
    url, body = "https://api.openai.com/v1/chat/completions", {"model": "m"}
    inner = sdk_http.Client(transport=sdk_http.MockTransport(answer))
    passing_on = sdk_http.MockTransport(lambda _: sdk_http.Response(200, content=inner.post(url, json=body).content))
    with meter(ledger=Sink("on_discard")) as cb, inner, sdk_http.Client(transport=passing_on) as outer:
        assert outer.post(url, json=body).json() == CHAT_BODY

    assert failures() == {"sink": 1}
    assert cb.total_tokens == 15


def test_a_sink_that_fails_to_close_leaves_the_blocks_own_exception(client):
    """Leaving a block never fails."""
    with pytest.raises(KeyError, match="mine"), meter(ledger=Sink("close")) as cb:
        chat(client)
        raise KeyError("mine")

    assert failures() == {"sink": 1}
    assert cb.total_tokens == 15


def test_what_is_known_of_urls_is_bounded(client, monkeypatch):
    """A program that makes a URL for each call keeps no URL for each."""
    monkeypatch.setattr(endpoint, "_LIMIT", 3)
    with meter() as cb, sdk_http.Client(transport=sdk_http.MockTransport(answer)) as http:
        for number in range(9):
            http.post(f"https://api.openai.com/v{number}/chat/completions", json={"model": "m"})
        assert len(endpoint.ENDPOINTS) <= 3

    assert cb.successful_requests == 9


def test_background_responses_that_nobody_asks_for_again_are_bounded(client, monkeypatch):
    """The oldest counts as abandoned."""
    if not hasattr(client, "responses"):
        pytest.skip("this SDK has no Responses API")
    monkeypatch.setattr(background, "_LIMIT", 1)
    numbers = iter(range(9))
    monkeypatch.setitem(PENDING, "id", "resp_0")
    with meter(keep_calls=True) as cb:
        for _ in range(3):
            PENDING["id"] = f"resp_{next(numbers)}"
            client.responses.create(model="gpt-5", input="hi", background=True)
        assert cb.open_streams == 1
        assert [call.outcome for call in cb.calls] == ["abandoned", "abandoned"]
        assert cb.unmeasured_calls == 2
