"""What the messages of one connection mean, as they come: Live, Realtime, Responses, and messages that are no use."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_meter import Api, Format, Provider, Usage, meter, register, unregister
from token_meter.call.websocket import Connection
from token_meter.providers.openai.realtime.messages import as_event, command_of, kind_of, models_of
from token_meter.providers.routes import SOCKET
from token_meter.providers.sockets import SocketCalls, SocketCommand, SocketPlace, SocketRequest
from token_meter.runtime.hub import HUB
from token_meter.transports.websockets import Url

USAGE = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}


def line_of(path: str, query: str = "") -> Connection:
    """A connection to *path*."""
    return Connection(HUB, Url("https", "api.openai.com", None, path, query))


def event(kind: str, **data: Any) -> bytes:
    """A message of the server."""
    return json.dumps({"type": kind, **data}).encode()


def response(kind: str, name: str = "r1", usage: Any = USAGE, **data: Any) -> bytes:
    """A message that holds a response."""
    return event(kind, response={"id": name, "usage": usage, "model": "gpt-5"}, **data)


CREATE = '{"type":"response.create","model":"gpt-5","input":"hi"}'
CREATED = response("response.created", usage=None)
DONE = response("response.completed")


@pytest.mark.parametrize(
    ("path", "messages", "calls"),
    [
        # The usual way, and the same end said twice.
        ("/v1/responses", [CREATED, DONE], [("responses", "gpt-5", 15)]),
        ("/v1/responses", [CREATED, DONE, DONE], [("responses", "gpt-5", 15)]),
        # Nobody saw the begin.
        ("/v1/responses", [DONE], [("responses", "gpt-5", 15)]),
        # A mock repeats its ids: each begun response is a call.
        ("/v1/responses", [CREATED, DONE, CREATED, DONE], [("responses", "gpt-5", 15)] * 2),
        # Every kind of end carries usage.
        ("/v1/responses", [CREATED, response("response.incomplete")], [("responses", "gpt-5", 15)]),
        ("/v1/responses", [CREATED, response("response.failed")], [("responses", "gpt-5", 15)]),
        ("/v1/realtime", [CREATED, response("response.done")], [("realtime", "gpt-5", 15)]),
        # Azure's path.
        ("/openai/realtime", [response("response.done")], [("realtime", "gpt-5", 15)]),
        # Two at once, told apart by the response's id, and by the lane.
        (
            "/v1/realtime",
            [CREATED, response("response.created", "r2", None), event("response.output_text.delta", response_id="r2"),
             event("response.output_text.delta", response_id="r9"), response("response.done"),
             response("response.done", "r2")],
            [("realtime", "gpt-5", 15)] * 2,
        ),
        # A Live session: the seconds are cumulative, the delegated responses are calls of their own.
        (
            "/v1/live/sessions",
            [event("session.started", session={"model": "gpt-live"}),
             event("session.usage.updated", usage={"seconds": 1.5}),
             event("response.event", delegation_id="d", event=json.loads(CREATED)),
             event("response.event", delegation_id="d", event=json.loads(DONE)),
             event("session.usage.updated", usage={"seconds": 2.5}),
             event("session.closed", usage={"seconds": 3.0})],
            [("responses", "gpt-5", 15), ("live", "gpt-live", 3.0)],
        ),
        # A transcription in seconds.
        (
            "/v1/realtime",
            [event("session.updated", session={"audio": {"input": {"transcription": {"model": "whisper-1"}}}}),
             event("conversation.item.input_audio_transcription.completed", usage={"type": "duration", "seconds": 2})],
            [("transcriptions", "whisper-1", 2)],
        ),
        # The beta's place for the model that transcribes.
        (
            "/v1/realtime",
            [event("session.created", session={"input_audio_transcription": {"model": "whisper-1"}}),
             event("conversation.item.input_audio_transcription.completed", usage=USAGE)],
            [("transcriptions", "whisper-1", 15)],
        ),
        # Nothing of these is a call.
        ("/v1/responses", [b"", b"null", b"[]", b"{", b'"x"', b"\xff", event("response.event", event=3)], []),
        ("/v1/realtime", [event("rate_limits.updated"), event("session.created", session=3), event("error")], []),
    ],
)  # fmt: skip
def test_f34_messages_are_counted_for_what_they_are(path, messages, calls):
    """Once for each response; the sum so far of a session, not the sum of the sums."""
    with meter(keep_calls=True) as cb:
        line = line_of(path)
        for message in messages:
            line.received(message)
        line.left(None)

    assert [(c.api, c.model, c.tokens.total_tokens or c.tokens.audio_seconds) for c in cb.calls] == calls
    assert cb.open_streams == 0


COUNTS = {"input_tokens": 900, "output_tokens": 40, "total_tokens": 940, "input_token_details": {"audio_tokens": 700}}


@pytest.mark.parametrize("inside", [{"usage": {}}, {"usage": None}, {}], ids=["empty", "null", "missing"])
@pytest.mark.parametrize("kind", ["response.done", "response.cancelled"])
def test_f168_counts_beside_the_response_are_read(kind: str, inside: dict[str, Any]) -> None:
    """xAI leaves the usage of the response empty and gives the counts at the top of the event."""
    with meter(keep_calls=True) as cb:
        line = line_of("/v1/realtime", "model=grok-voice")
        line.received(event("response.created", response={"id": "r1", "usage": {}}, usage=None))
        line.received(event(kind, response={"id": "r1", **inside}, usage=COUNTS))

    [call] = cb.calls
    assert (call.model, call.tokens.prompt_tokens, call.tokens.completion_tokens) == ("grok-voice", 900, 40)
    assert call.tokens.input_audio_tokens == 700


def test_f168_counts_of_the_response_lead() -> None:
    """The counts beside it are read only where it has none."""
    with meter() as cb:
        line_of("/v1/realtime").received(event("response.done", response={"id": "r1", "usage": USAGE}, usage=COUNTS))

    assert cb.total_tokens == 15


def heard(item: str | None, status: str | None = None, **data: Any) -> bytes:
    """A transcription of what the user said, so far or whole."""
    named = {key: value for key, value in (("item_id", item), ("status", status)) if value}
    return event("conversation.item.input_audio_transcription.completed", transcript="a b", **named, **data)


@pytest.mark.parametrize(
    ("messages", "tokens"),
    [
        # The text so far, and the whole text.
        ([heard("i1", "in_progress"), heard("i1", "in_progress"), heard("i1", "completed", usage=USAGE)], [15]),
        # Its counts so far are no end.
        ([heard("i1", "in_progress", usage={**USAGE, "output_tokens": 1, "total_tokens": 11}),
          heard("i1", "completed", usage=USAGE)], [15]),
        # The whole text never came: the connection ended before.
        ([heard("i1", "in_progress"), heard("i1", "in_progress")], [None]),
        # Two utterances, one after the other and at the same time.
        ([heard("i1", "in_progress"), heard("i1", "completed"), heard("i2", "in_progress"), heard("i2", "completed")],
         [None, None]),
        ([heard("i1", "in_progress"), heard("i2", "in_progress"), heard("i2", "completed", usage=USAGE),
          heard("i1", "completed", usage=USAGE)], [15, 15]),
        # Said again.
        ([heard("i1", "completed", usage=USAGE), heard("i1", "completed", usage=USAGE),
          heard("i1", "in_progress")], [15]),
        # Two parts of one item, as OpenAI numbers them.
        ([heard("i1", usage=USAGE, content_index=0), heard("i1", usage=USAGE, content_index=1)], [15, 15]),
        # Without an item only a whole text is an utterance.
        ([heard(None, "in_progress"), heard(None, "completed", usage=USAGE), heard(None, usage=USAGE)], [15, 15]),
    ],
)  # fmt: skip
def test_f168_an_utterance_is_one_call(messages: list[bytes], tokens: list[int | None]) -> None:
    with meter(keep_calls=True) as cb:
        line = line_of("/v1/realtime")
        for message in messages:
            line.received(message)
        line.left(None)

    assert [call.tokens.total_tokens for call in cb.calls] == tokens
    assert {call.api for call in cb.calls} == {"transcriptions"}
    assert cb.unmeasured_calls == tokens.count(None)
    assert cb.open_streams == 0


class Toy:
    """A dialect of another provider: one answer at a time, without names and without types."""

    def __init__(self, place: SocketPlace) -> None:
        self.path = place.path

    def command(self, data: Any) -> SocketCommand | None:
        return SocketCommand(self.unasked()) if b"ask" in data else None

    def unasked(self) -> SocketRequest:
        return SocketRequest(SOCKET, self.path, b'{"model":"toy-1"}')

    def received(self, calls: SocketCalls, message: bytes) -> Any:
        if b"hello" in message:
            return calls.beside("session", self.unasked(), None, is_over=False)
        if b"usage" in message:
            return calls.ended("", None, b"data: %b\n\n" % message)
        running = calls.running_on(None)
        return calls.began("", None, b"data: %b\n\n" % message) if running is None else running


def test_a_provider_brings_the_dialect_of_its_websockets_along() -> None:
    """A row of its own, and nothing else: its commands and answers are calls, as it tells them."""
    format_ = Format(usage=lambda raw, numbers: Usage(numbers.count(raw.get("in")), numbers.count(raw.get("out"))))
    register(Provider("toy", apis=(Api("toy_live", format_, sockets=("toy/live",), socket=Toy),)))
    try:
        with meter(keep_calls=True) as cb:
            line = line_of("/toy/live")
            line.received(b'{"hello": 1}')
            line.sent(b"ask")
            for message in (
                b'{"text": "a"}',
                b'{"text": "b"}',
                b'{"usage": {"in": 3, "out": 4}}',
                b'{"usage": {"in": 1}}',
            ):
                line.received(message)
            line.sent(b"bye")
            line.left(None)
    finally:
        unregister("toy")

    assert [(call.api, call.model, call.tokens.prompt_tokens) for call in cb.calls] == [
        ("toy_live", "toy-1", 3), ("toy_live", "toy-1", None),
    ]  # fmt: skip
    assert cb.open_streams == 0


def test_f168_an_utterance_and_its_answer_do_not_mix() -> None:
    """A transcription that is under way takes no event of the response that runs meanwhile."""
    with meter(keep_calls=True) as cb:
        line = line_of("/v1/realtime")
        line.received(heard("i1", "in_progress"))
        line.received(CREATED)
        line.received(event("response.output_text.delta", response_id="r1", delta="a"))
        line.received(heard("i1", "completed"))
        line.received(event("response.done", response={"id": "r1", "usage": {}}, usage=COUNTS))

    assert [(call.api, call.tokens.total_tokens) for call in cb.calls] == [("transcriptions", None), ("realtime", 940)]


@pytest.mark.parametrize(
    ("path", "query", "model"),
    [
        ("/v1/realtime", "model=gpt-realtime", "gpt-realtime"),
        ("/openai/realtime", "api-version=1&deployment=mine", "mine"),
        ("/v1/realtime", "", None),
    ],
)
def test_a_realtime_response_has_the_model_of_its_connection(path, query, model):
    """`response.done` itself names none."""
    with meter(keep_calls=True) as cb:
        line_of(path, query).received(event("response.done", response={"id": "r", "usage": USAGE}))

    assert [call.model for call in cb.calls] == [model]


@pytest.mark.parametrize(
    ("path", "first"),
    [("/v1/live/sessions", event("session.started")), ("/v1/realtime/translations", event("session.created"))],
)
def test_a_session_that_tells_no_usage_is_unmeasured(path, first):
    """It costs something, but no answer says how much."""
    with meter(keep_calls=True) as cb:
        line = line_of(path)
        line.received(first)
        line.received(first)
        line.left(None)

    assert [call.certainty for call in cb.calls] == ["unmeasured"]


@pytest.mark.parametrize(
    ("path", "command", "error", "is_meant"),
    [
        ("/v1/responses", {}, {"error": {"code": "x"}, "status": 429}, True),
        ("/v1/responses", {"stream_id": "a"}, {"error": {"code": "x"}, "stream_id": "b"}, False),
        ("/v1/realtime", {"event_id": "e1"}, {"error": {"event_id": "e1"}}, True),
        ("/v1/realtime", {"event_id": "e1"}, {"error": {"event_id": "e2"}}, False),
        ("/v1/realtime", {}, {"error": {"code": "conversation_already_has_active_response"}}, True),
        ("/v1/realtime", {}, {"error": {"param": "response.output_modalities"}}, True),
        ("/v1/realtime", {}, {"error": {"code": "input_audio_buffer_commit_empty"}}, False),
        ("/v1/realtime", {}, {"message": "x"}, False),
    ],
)
def test_an_error_ends_the_request_that_it_means(path, command, error, is_meant):
    """Errors also answer messages that asked for no response."""
    with meter(keep_calls=True) as cb:
        line = line_of(path)
        line.sent({"type": "response.create", **command})
        line.received(event("error", **error))
        assert [call.status for call in cb.calls] == [error.get("status", 400)] * is_meant
        line.left(None)

    assert (cb.failed_requests, cb.unmeasured_calls) == ((1, 0) if is_meant else (1, 1))


@pytest.mark.parametrize(
    "error", [type("ConnectionClosedError", (Exception,), {}), type("ConnectionClosed", (Exception,), {}), OSError]
)
def test_a_message_that_did_not_leave_is_told_from_one_that_may_have(error):
    """Only what may have reached the server may have cost something."""
    with meter(keep_calls=True) as cb:
        line = line_of("/v1/responses")
        attempt = line.sent(CREATE)
        line.unsent(attempt, error())
        line.received(DONE)

    first, second = cb.calls
    assert first.error == error.__name__
    assert cb.unmeasured_calls == (0 if error.__name__ == "ConnectionClosed" else 1)
    assert (second.model, second.tokens.total_tokens) == ("gpt-5", 15)


def test_f90_a_request_over_a_websocket_leaves_no_trace_of_its_text():
    """Nor does its URL's query, but for the model."""
    with meter(keep_calls=True) as cb:
        line = line_of("/v1/realtime", "model=m&secret=canary")
        line.sent({"type": "response.create", "response": {"instructions": "canary"}})
        line.received(response("response.done", "canary"))

    assert "canary" not in repr(cb.calls) + repr(cb) + str(cb)
    assert "canary" not in json.dumps(cb.calls[0].to_dict())


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (b'{"type":"response.done","x":1}', "response.done"),
        (b' {\n "type" : "a.b" }', "a.b"),
        (b'{"event_id":"e","type":"response.done"}', "response.done"),
        (b'{"x":{"type":"inner"},"type":"outer"}', "outer"),
        (b'{"type":3}', ""),
        (b"nonsense", ""),
    ],
)
def test_the_kind_of_a_message(message, kind):
    """Found without a parse where it comes first."""
    assert kind_of(message) == kind


def test_a_message_in_lines_is_one_event():
    """A pretty-printed body has line breaks between its values only."""
    text = json.dumps({"type": "a", "text": "one\ntwo"}, indent=1)

    assert as_event("a", text.encode()).count(b"\n") == 3


class _Model(SimpleNamespace):
    def model_dump(self, **_: Any) -> Any:
        return vars(self)


@pytest.mark.parametrize(
    ("data", "is_command"),
    [
        (CREATE, True),
        (CREATE.encode(), True),
        (memoryview(CREATE.encode()), True),
        ({"type": "response.create"}, True),
        (_Model(type="response.create"), True),
        ({"type": "session.update"}, False),
        (_Model(type="session.update"), False),
        ('{"type":"other","text":"response.create"}', False),
        ("response.create", False),
        (3, False),
        (None, False),
    ],
)
def test_a_command_is_known_in_every_form_that_can_be_sent(data, is_command):
    """Text, bytes, a mapping, or one of the SDK's models."""
    assert (command_of(data) is not None) is is_command


@pytest.mark.parametrize("session", [None, 3, {}, {"audio": 3}, {"audio": {"input": {"transcription": None}}}])
def test_a_session_may_name_no_model(session):
    """What is not there is not known."""
    assert models_of(session) == (None, None)


KINDS = [
    "response.created", "response.done", "response.completed", "response.failed", "response.event", "error",
    "response.output_text.delta", "response.output_audio.delta", "session.created", "session.usage.updated",
    "session.closed", "conversation.item.input_audio_transcription.completed", "rate_limits.updated",
]  # fmt: skip
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(
        ["id", "usage", "response", "event", "session", "model", "audio", "error", "param", "total_tokens", "seconds"]
    ), inner, max_size=4)),
    max_leaves=8,
)  # fmt: skip
messages = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda kind, data: json.dumps({"type": kind, **data}).encode(),
        st.sampled_from(KINDS),
        st.dictionaries(
            st.sampled_from([
                "response", "event", "session", "usage", "error", "stream_id", "status", "response_id", "item_id",
            ]),
            values, max_size=4,
        ),
    ),
)  # fmt: skip


@given(
    path=st.sampled_from(["/v1/responses", "/v1/realtime", "/v1/live/sessions", "/ws"]),
    said=st.lists(messages, max_size=8),
)
def test_f71_no_message_makes_us_fail(path, said):
    """Whatever a server says: nothing raises, nothing is counted as a failure of ours, every call ends."""
    with meter() as cb:
        line = line_of(path)
        line.sent(CREATE)
        for message in said:
            line.received(message)
        line.left(None)

    assert HUB.internal_errors == {}
    assert cb.open_streams == 0


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/realtime", "/v1/live/sessions"])
def test_what_nobody_listens_to_is_no_call_of_whoever_comes_later(path):
    """Asked for in no meter, and answered while one is open: it is not that one's."""
    line = line_of(path)
    everything = [
        event("session.started", session={}), event("session.usage.updated", usage={"seconds": 1}), CREATED,
        response("response.created", "r2", None), event("response.output_text.delta", response_id="r2", delta="a"),
        event("error", error={"param": "response"}),
        event("conversation.item.input_audio_transcription.completed", usage=USAGE), DONE,
    ]  # fmt: skip
    for _ in range(3):
        assert line.sent(CREATE) is None
    with meter(keep_calls=True) as cb:
        for message in everything:
            line.received(message)
        assert list(line.left(None)) == []

    assert cb.calls == ()
    assert cb.late_calls == 0


def test_events_of_another_lane_reach_no_call_of_this_one():
    """Nor does an end of a lane on which nothing was asked take what was asked on another."""
    with meter(keep_calls=True) as cb:
        line = line_of("/v1/responses")
        line.sent({"type": "response.create", "stream_id": "a", "model": "asked-on-a"})
        line.sent({"type": "response.create", "stream_id": "b", "model": "asked-on-b"})
        line.received(response("response.created", "rb", None, stream_id="b"))
        line.received(response("response.created", "ra", None, stream_id="a"))
        line.received(event("response.output_text.delta", stream_id="c", delta="lost"))
        line.received(event("error", stream_id="b", error={"code": "boom"}))
        line.received(response("response.completed", "ra", stream_id="a"))
        line.left(None)

    first, second = cb.calls
    assert (first.request_model, first.outcome, first.tokens.total_tokens) == ("asked-on-a", "complete", 15)
    assert (second.request_model, second.outcome, second.error) == ("asked-on-b", "error", "boom")
