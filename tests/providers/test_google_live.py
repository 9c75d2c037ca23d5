"""Google's Live API: what each message means, and google-genai's own connections to a server that speaks it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from token_meter import BudgetExceededError, UnpricedWarning, attach, detach, meter
from token_meter.call.websocket import Connection
from token_meter.prices import PriceBook
from token_meter.runtime.hub import HUB
from token_meter.transports.websockets import Url

genai = pytest.importorskip("google.genai")
pytest.importorskip("websockets.asyncio.client")
from websockets.exceptions import ConnectionClosed  # noqa: E402 - needs the library

from tests.providers.live_fake import (  # noqa: E402 - needs the library
    HANG_UP,
    FakeLive,
    client_of,
    over,
    sound,
    spoken,
    text,
    usage,
)

MODEL = "gemini-3.8-live"
GEMINI = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
SHORT = "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContentConstrained"
VERTEX = "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent"
SETUP = {"setup": {"model": f"models/{MODEL}"}}
ASK = {"clientContent": {"turns": [{"parts": [{"text": "hi"}]}], "turnComplete": True}}
CALL = {"toolCall": {"functionCalls": [{"id": "f", "name": "look_up", "args": {}}]}}
RESULT = {"tool_response": {"function_responses": [{"id": "f", "response": {}}]}}
INTERRUPTED = {"serverContent": {"interrupted": True}}
ELSEWHERE = {"promptTokenCount": 107, "candidatesTokenCount": 43, "totalTokenCount": 150}
HEARD = {"serverContent": {"inputTranscription": {"text": "which rose"}}}


def lived(*messages: tuple[str, dict[str, Any]], path: str = GEMINI) -> Any:
    """A meter around messages of a connection, each with `>` for one of the client and `<` for one of the server."""
    with meter(keep_calls=True) as cb:
        line = Connection(HUB, Url("https", "generativelanguage.googleapis.com", None, path, "key=SECRET"))
        for direction, message in messages:
            if direction == ">":
                line.sent(json.dumps(message))
            else:
                line.received(json.dumps(message).encode())
        line.left(None)
    return cb


def come(*messages: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [("<", message) for message in messages]


START, QUESTION = (">", SETUP), (">", ASK)
ONCE = [(107, 43, "exact")]


@pytest.mark.parametrize(
    ("messages", "calls"),
    [
        ([START, QUESTION, *come(text(), over(usage()))], ONCE),
        ([START, QUESTION, *come(sound(), sound(), over(usage()))], ONCE),
        # The words of Vertex AI and of gateways.
        ([START, QUESTION, *come(text(), over(ELSEWHERE))], ONCE),
        # Thoughts stand beside the total, also where the answer's own count is left out.
        ([START, QUESTION, *come(text(), over(usage(417, 74, thoughtsTokenCount=77)))], [(417, 151, "exact")]),
        ([START, QUESTION, *come(over({"promptTokenCount": 9, "totalTokenCount": 9, "thoughtsTokenCount": 5}))],
         [(9, 5, "exact")]),
        # A count that is left out is what the total has beside the other.
        ([START, QUESTION, *come(text(), over({"promptTokenCount": 9, "totalTokenCount": 12}))], [(9, 3, "exact")]),
        # Only the prompt is named, and something was said: that is the least.
        ([START, QUESTION, *come(text(""), sound(), over({"promptTokenCount": 9}))], [(9, 0, "lower_bound")]),
        ([START, QUESTION, *come(sound(), over({"promptTokenCount": 9, "totalTokenCount": 9}))],
         [(9, 0, "lower_bound")]),
        # Two turns: the second count is not the sum.
        ([START, QUESTION, *come(text(), over(usage())), QUESTION, *come(text(), over(usage(200, 9)))],
         [(107, 43, "exact"), (200, 9, "exact")]),
        # Usage beside another message, or alone, before the end.
        ([START, QUESTION, *come(text() | {"usageMetadata": usage()}, over(None))], ONCE),
        ([START, QUESTION, *come(text(), {"usageMetadata": usage()}, over(None))], ONCE),
        # What the model made before and after a function is one turn; two reports of it are of different tokens.
        ([START, QUESTION, *come(CALL), (">", RESULT), *come(text(), over(usage()))], ONCE),
        ([START, QUESTION, *come(CALL | {"usageMetadata": usage(100, 3)}), (">", RESULT), *come(text(), over(usage()))],
         [(207, 46, "exact")]),
        # A result that comes after the turn asks for one.
        ([START, QUESTION, *come(CALL, over(usage())), (">", RESULT), *come(text(), over(usage(200, 9)))],
         [(107, 43, "exact"), (200, 9, "exact")]),
        # The user speaks over the answer: the turn says what it used, and another one follows.
        ([START, QUESTION, *come(sound()), QUESTION, *come(INTERRUPTED, over(usage(107, 5)), text(), over(usage()))],
         [(107, 5, "exact"), *ONCE]),
        # Nothing was asked for in words: the server heard it.
        ([START, (">", {"realtime_input": {"audio": {"data": "AAAA"}}}), *come(HEARD, sound(), over(usage()))], ONCE),
        # Texts before the answer begins ask for one answer.
        ([START, *([(">", {"realtime_input": {"text": "hi"}})] * 3), *come(text(), over(usage()))], ONCE),
        ([START, (">", {"realtimeInput": {"activityEnd": {}}}), *come(text(), over(usage()))], ONCE),
        # A report of no turn that is known is counted for itself, and takes no question's place.
        ([START, *come({"setupComplete": {}, "usageMetadata": usage(5, 1)}), QUESTION, *come(text(), over(usage()))],
         [(5, 1, "exact"), *ONCE]),
        # An end that is said twice, and what is no answer.
        ([START, QUESTION, *come(text(), over(usage()), over(None), {"goAway": {}}, HEARD, {"setupComplete": {}})],
         ONCE),
        ([START, (">", {"clientContent": {"turns": [], "turnComplete": False}}), *come(HEARD)], []),
    ],
)  # fmt: skip
def test_f111_a_turn_of_a_live_connection_is_one_call(messages, calls) -> None:
    """With the counts that the provider states for it."""
    cb = lived(*messages)

    assert [(c.usage.prompt_tokens, c.usage.completion_tokens, c.certainty) for c in cb.calls] == calls
    assert {(c.model, c.api, c.provider) for c in cb.calls} <= {(MODEL, "bidi_generate_content", "google")}
    assert cb.open_streams == 0


@pytest.mark.filterwarnings("ignore::token_meter.UnpricedWarning")  # how much of it was spoken, nothing tells
@pytest.mark.parametrize(
    ("messages", "outcome", "certainty"),
    [
        # Closed while it was answering, before it began, and after it had said what it used so far.
        ([START, QUESTION, *come(text())], "closed", "estimated"),
        ([START, QUESTION], "error", "unmeasured"),
        ([START, QUESTION, *come(text(), {"usageMetadata": usage()})], "closed", "lower_bound"),
        # It ended, and said no count.
        ([START, QUESTION, *come(text(), over(None))], "complete", "estimated"),
    ],
)
def test_f111_a_turn_that_is_cut_or_silent_is_no_exact_count(messages, outcome, certainty) -> None:
    """As with any other stream."""
    cb = lived(*messages)

    assert [(c.outcome, c.certainty) for c in cb.calls] == [(outcome, certainty)]
    assert not cb.is_complete


@pytest.mark.parametrize("path", [GEMINI, SHORT, VERTEX])
def test_f111_each_path_is_known_and_no_key_is_kept(path) -> None:
    cb = lived(START, QUESTION, *come(text(), over(usage())), path=path)

    assert (cb.total_tokens, cb.is_complete) == (150, True)
    assert "SECRET" not in f"{cb} {cb.to_dict()} {cb.calls}"


PARTS = usage(
    1000, 200, thoughtsTokenCount=100, promptTokensDetails=[*spoken("AUDIO", 600), *spoken("IMAGE", 100)],
    responseTokensDetails=spoken("AUDIO", 200),
)  # fmt: skip


@pytest.mark.parametrize(
    ("said", "model", "cost"),
    [
        # 600 of sound at $3, 100 of images at $1, 300 of text at $0.75; 200 spoken at $12, 100 thought at $4.50.
        (PARTS, MODEL, "0.004975"),
        # Where no modality is named, sound that came is sound.
        (usage(1000, 200), MODEL, "0.00315"),
        # The words of elsewhere.
        ({"promptTokenCount": 1000, "candidatesTokenCount": 200, "promptTokensDetails": spoken("AUDIO", 1000),
          "candidatesTokensDetails": spoken("AUDIO", 200)}, "gemini-live-2.5-flash", "0.0054"),
    ],
)  # fmt: skip
def test_f111_sound_costs_what_sound_costs(said, model, cost) -> None:
    """Also where it comes beside the end of its turn."""
    for messages in ([sound(), over(said)], [over(said, **sound()["serverContent"])]):
        cb = lived((">", {"setup": {"model": f"models/{model}"}}), QUESTION, *come(*messages))

        assert cb.cost == Decimal(cost)
        assert cb.is_complete


def test_f111_sound_without_a_rate_of_its_own_is_named() -> None:
    """And not priced as text."""
    said = usage(promptTokensDetails=spoken("AUDIO", 50))
    cb = lived((">", {"setup": {"model": "models/gemini-2.0-flash-lite"}}), QUESTION, *come(text(), over(said)))

    with pytest.warns(UnpricedWarning, match="audio input"):
        assert cb.cost is not None
    assert not cb.is_complete


def test_f111_a_limit_refuses_a_question_and_what_follows_one_that_was_refused() -> None:
    """The refused one was never sent, so that it is no question that others could join."""
    with meter(max_calls=1) as cb:
        line = Connection(HUB, Url("https", "generativelanguage.googleapis.com", None, GEMINI, ""))
        for direction, message in (START, QUESTION, *come(text(), over(usage()))):
            (line.sent if direction == ">" else line.received)(json.dumps(message))
        for _ in range(2):
            with pytest.raises(BudgetExceededError):
                line.sent(json.dumps(ASK))
        line.left(None)

    assert cb.successful_requests == 1


@pytest.mark.parametrize(
    "message",
    [
        b"", b"null", b"[]", b"{", b"\xff", b'{"serverContent": 3}', b'{"usageMetadata": []}', b'{"toolCall": {}}',
        b'{"serverContent": {"modelTurn": {"parts": 3}, "turnComplete": 1}}', b'{"serverContent": {"modelTurn": []}}',
        b'{"usageMetadata": {"promptTokenCount": "x", "candidatesTokenCount": -1, "promptTokensDetails": 3}}',
        b'{"serverContent": {"turnComplete": true}}', b'{"toolCall": {"functionCalls": [3, {"name": 3}]}}',
    ],
)  # fmt: skip
def test_f71_no_message_of_a_live_connection_makes_us_fail(message) -> None:
    """Whatever stands in it, from either side."""
    with meter() as cb:
        line = Connection(HUB, Url("https", "generativelanguage.googleapis.com", None, GEMINI, ""))
        for _ in range(2):
            line.sent(message)
            line.received(message)
        line.left(None)
        assert cb.total_tokens >= 0

    assert HUB.internal_errors == {}


@pytest.fixture
def fake() -> Any:
    server = FakeLive()
    yield server
    server.close()


def metered(fake: FakeLive, **options: Any) -> Any:
    return meter(keep_calls=True, prices=PriceBook(hosts={fake.url: "google"}), **options)


async def heard(session: Any) -> list[Any]:
    return [message async for message in session.receive()]


async def test_f111_the_sdk_reads_the_same_and_each_turn_is_counted_once(fake) -> None:
    """Text, sound, a function, an interruption: the messages that the program gets are those that were sent."""
    turns = [[text(), over(usage())], [sound(), INTERRUPTED, over(usage(9, 1))], [CALL, text(), over(usage())]]
    fake.will(*turns)
    client = client_of(fake)
    with metered(fake) as cb:
        async with client.aio.live.connect(model=MODEL) as session:
            got = []
            await session.send_client_content(turns={"parts": [{"text": "hi"}]})
            got.append(await heard(session))
            await session.send_client_content(turns={"parts": [{"text": "and now?"}]})
            got.append(await heard(session))
            await session.send_client_content(turns={"parts": [{"text": "look it up"}]})
            got.append(await heard(session))

    assert [len(messages) for messages in got] == [len(turn) for turn in turns]
    assert [(c.model, c.tokens.total_tokens) for c in cb.calls] == [(MODEL, 150), (MODEL, 10), (MODEL, 150)]
    assert (cb.is_complete, cb.blind_spots) == (True, ())
    assert HUB.internal_errors == {}


async def test_f111_the_sdk_raises_the_refusal_itself_and_the_session_goes_on(fake) -> None:
    fake.will([text(), over(usage())], [text(), over(usage())])
    with meter():  # what is patched by the first one stays
        pass
    async with client_of(fake).aio.live.connect(model=MODEL) as session:
        with metered(fake, max_calls=1):
            await session.send_client_content(turns={"parts": [{"text": "hi"}]})
            await heard(session)
            with pytest.raises(BudgetExceededError):
                await session.send_client_content(turns={"parts": [{"text": "hi"}]})
        assert len(fake.asked) == 1
        with metered(fake) as cb:  # set up before the block: the model is known all the same
            await session.send_client_content(turns={"parts": [{"text": "hi"}]})
            await heard(session)

    assert [(c.model, c.cost is not None) for c in cb.calls] == [(MODEL, True)]


async def test_f111_a_connection_that_breaks_is_a_failed_call_with_the_sdks_own_error(fake) -> None:
    fake.will([text(), HANG_UP])
    with metered(fake) as cb:
        with pytest.raises((genai.errors.APIError, ConnectionClosed)):  # 1.x lets the library's own pass
            async with client_of(fake).aio.live.connect(model=MODEL) as session:
                await session.send_client_content(turns={"parts": [{"text": "hi"}]})
                await heard(session)

    assert [(c.outcome, c.certainty) for c in cb.calls] == [("error", "estimated")]


async def test_f111_a_gateway_is_known_by_the_sdk_that_speaks_to_it(fake) -> None:
    """Its path says nothing."""
    if int(genai.__version__.partition(".")[0]) < 3:
        pytest.skip("this google-genai asks for credentials here")
    fake.will([text(), over(usage())])
    client = genai.Client(
        vertexai=True, api_key=None, http_options={"base_url": f"{fake.socket_url}/roses/live", "headers": {"a": "b"}}
    )
    client._api_client._websocket_ssl_ctx = {}
    client._api_client.project = client._api_client.location = client._api_client.api_key = None
    with metered(fake) as cb:
        async with client.aio.live.connect(model=MODEL) as session:
            await session.send_client_content(turns={"parts": [{"text": "hi"}]})
            await heard(session)

    assert fake.paths == ["/roses/live"]
    assert (cb.total_tokens, cb.is_complete) == (150, True)


def test_f111_a_program_without_the_sdk_is_seen_and_its_key_is_not_kept(fake) -> None:
    """With the key in the query, as Google's own examples have it."""
    from websockets.sync.client import connect

    fake.will([text(), over(usage())])
    with metered(fake) as cb, connect(f"{fake.socket_url}{GEMINI}?key=SECRET") as socket:
        socket.send(json.dumps(SETUP))
        socket.recv()
        socket.send(json.dumps({"client_content": {"turns": [], "turn_complete": True}}))
        for _ in range(2):
            socket.recv()

    assert (cb.total_tokens, cb.is_complete) == (150, True)
    assert "SECRET" not in f"{cb} {cb.to_dict()} {cb.calls}"


async def test_f111_handlers_of_the_client_hear_of_its_turns(fake) -> None:
    """And of no other client's."""

    class Told:
        def __init__(self) -> None:
            self.ends: list[Any] = []

        def on_llm_end(self, call: Any, **_: Any) -> None:
            self.ends.append(call.usage.total_tokens)

    fake.will([text(), over(usage())], [text(), over(usage())])
    mine, other, told = client_of(fake), client_of(fake), Told()
    attach(mine, handlers=[told])
    for client in (mine, other):
        async with client.aio.live.connect(model=MODEL) as session:
            await session.send_client_content(turns={"parts": [{"text": "hi"}]})
            await heard(session)
    detach(mine, handlers=[told])

    assert told.ends == [150]


async def test_f02_a_failure_of_ours_changes_nothing_on_a_live_connection(fake, monkeypatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr("token_meter.transports.live_sockets._live_url", fail)
    fake.will([text(), over(usage())])
    with metered(fake):
        async with client_of(fake).aio.live.connect(model=MODEL) as session:
            await session.send_client_content(turns={"parts": [{"text": "hi"}]})
            assert len(await heard(session)) == 2

    assert set(HUB.internal_errors) == {"websocket"}
    HUB.internal_errors.clear()


async def test_f111_other_websockets_are_no_calls(fake) -> None:
    """Of a user's own service."""
    from websockets.asyncio.client import connect

    with metered(fake) as cb:
        async with connect(f"{fake.socket_url}/ws/app") as socket:
            await socket.send(json.dumps({"setup": {"model": "mine"}}))
            await socket.recv()

    assert (cb.successful_requests, cb.is_complete, HUB.internal_errors) == (0, True, {})
