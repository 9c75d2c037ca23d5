"""Responses over websockets are calls like others: counted once, for the meters that asked, untouched for the caller."""

from __future__ import annotations

import asyncio
import base64
import contextvars
import gc
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import token_meter
from tests.conftest import take_internal_errors
from tests.seams.sockets import APIS, MANAGERS, NAMES, connected
from tests.seams.test_http_seam import _run
from token_meter import BlindSpotWarning, BudgetExceededError, attach, detach, meter
from token_meter.providers.openai.realtime import dialect as _dialect
from token_meter.runtime.hub import HUB
from token_meter.transports import websockets as _websocket
from token_meter.types import Call

# The SDK makes its connections as websockets 17 does not like any more.
pytestmark = pytest.mark.filterwarnings(r"ignore:connect\(\) must be used as a context manager:DeprecationWarning")

COLOURS = ["sync", "async"]
each_api = pytest.mark.parametrize("api", APIS)
each_colour = pytest.mark.parametrize("colour", COLOURS)
needs_responses = pytest.mark.skipif("responses" not in APIS, reason="this SDK has no websockets of the Responses API")

SESSION = {
    "type": "realtime",
    "audio": {
        "input": {"transcription": {"model": "gpt-4o-mini-transcribe"}, "turn_detection": {"type": "server_vad"}}
    },
}
HALF_A_SECOND = base64.b64encode(bytes(24_000)).decode()


@each_api
@each_colour
async def test_f111_a_response_is_one_call_with_the_tokens_of_the_bill(simulator, api, colour):
    """Every count that the provider billed, the model, and once each."""
    with meter(keep_calls=True) as cb:
        async with connected(simulator, api, colour) as talk:
            await talk.answer("one")
            await talk.answer("two")

    bill = simulator.bill()
    assert cb.successful_requests == bill.calls == 2
    for call, entry in zip(cb.calls, bill.entries, strict=True):
        billed = {name: count for name, count in entry.usage.to_dict().items() if count}
        assert {name: count for name, count in call.usage.to_dict().items() if count} == billed
        assert (call.model, call.api, call.certainty, call.outcome) == (entry.model, api, "exact", "complete")
        assert call.host == simulator.url.removeprefix("http://")


@each_api
@each_colour
async def test_the_caller_gets_the_same_events(simulator, api, colour):
    """Types, order and text, with and without a meter."""

    async def seen() -> list[Any]:
        async with connected(simulator, api, colour, id="x", cache=0) as talk:
            return [(type(event), event.type, getattr(event, "delta", "")) for event in await talk.answer()]

    bare = await seen()
    with meter():
        metered = await seen()

    assert metered == bare
    assert len(bare) > 5


@each_api
@each_colour
async def test_each_meter_holds_what_was_asked_in_it(simulator, api, colour):
    """One connection, older than both meters; the second answer is read when its block is over."""
    async with connected(simulator, api, colour) as talk:
        with meter() as first:
            await talk.answer("one")
        await talk.answer("in no meter")
        with meter() as second:
            await talk.ask("two")
        assert second.successful_requests == 0
        await talk.until()

    one, _, two = simulator.bill().entries
    assert first.total_tokens == one.usage.total_tokens
    assert second.total_tokens == two.usage.total_tokens


@needs_responses
async def test_lanes_are_told_apart(simulator):
    """Two tasks with a meter each, their events mixed on one connection."""
    async with connected(simulator, "responses", "async", delay=0.01) as talk:

        async def ask(lane: str, text: str) -> Any:
            with meter(name=lane) as cb:
                await talk.ask(text, stream_id=lane)
            return cb

        meters = await asyncio.gather(ask("a", "a short one"), ask("b", "and one that is somewhat longer, for sure"))
        ended = 0
        lanes = []
        while ended < 2:
            event = await talk.event()
            lanes.append(event.to_dict()["stream_id"])
            ended += event.type == "response.completed"

    assert lanes != sorted(lanes), "the events were not mixed: this test would prove nothing"
    billed = [entry.usage.total_tokens for entry in simulator.bill().entries]
    assert [cb.total_tokens for cb in meters] == billed
    assert billed[0] != billed[1]


@pytest.mark.skipif("realtime" not in APIS, reason="this SDK has the beta of the Realtime API only")
@each_colour
async def test_what_the_server_begins_belongs_to_the_last_sender(simulator, colour):
    """The end of a turn was heard: a transcription at its own model's price, and a response."""
    async with connected(simulator, "realtime", colour) as talk:
        with meter(keep_calls=True) as cb:
            await talk.do(talk.connection.session.update, session=SESSION)
            await talk.do(talk.connection.input_audio_buffer.append, audio=HALF_A_SECOND)
            await talk.do(talk.connection.input_audio_buffer.commit)
            await asyncio.create_task(talk.until(), context=contextvars.Context())  # the reader knows of no meter

    spoken, answered = cb.calls
    assert (spoken.api, spoken.model) == ("transcriptions", "gpt-4o-mini-transcribe")
    assert (answered.api, answered.model) == ("realtime", "gpt-realtime")
    assert [call.tokens.input_audio_tokens for call in cb.calls] == [5, 5]
    assert answered.tokens.output_audio_tokens > 0
    assert cb.total_tokens == simulator.bill().total_tokens


@each_api
@each_colour
async def test_a_connection_that_is_closed_in_a_response_leaves_no_silent_zero(simulator, api, colour):
    """Responses are estimated from what was seen; of a realtime response nothing is known."""
    with meter(keep_calls=True) as cb:
        async with connected(simulator, api, colour, delay=0.01, words=200) as talk:
            await talk.ask()
            for _ in range(12):
                await talk.event()

    (call,) = cb.calls
    assert (call.outcome, call.certainty) == ("closed", "estimated" if api == "responses" else "unmeasured")
    assert (call.tokens.completion_tokens or 0) > 0 or call.usage is None
    assert (cb.open_streams, cb.unmeasured_calls) == (0, int(api == "realtime"))


@each_api
@each_colour
async def test_a_connection_that_dies_ends_its_calls_as_errors(simulator, api, colour):
    """The caller gets its ConnectionClosed; the call is there."""
    with meter(keep_calls=True) as cb:
        async with connected(simulator, api, colour, cut=6) as talk:
            await talk.ask()
            with pytest.raises(Exception, match="1011"):
                await talk.until()

    (call,) = cb.calls
    assert (call.outcome, call.error) == ("error", "ConnectionClosedError")
    assert simulator.bill().aborted == 1


@each_api
async def test_a_connection_that_is_dropped_ends_its_calls(simulator, api):
    """Nobody closes it, so only the collector tells."""
    with meter(keep_calls=True) as cb:
        async with connected(simulator, api, "sync", delay=0.01, words=200) as talk:
            await talk.ask()
            await talk.until("response.created")
            assert cb.open_streams == 1
            HUB._sockets._lines.clear()
            gc.collect()
            assert cb.open_streams == 0

    assert [call.outcome for call in cb.calls] == ["abandoned"]


@each_api
@each_colour
async def test_a_refused_request_is_a_failed_call(simulator, api, colour):
    """The error names no running response, so it answers what was asked for; the next one is counted."""
    wrong = {"model": None} if api == "responses" else {"response": {"tool_choice": "required"}}
    with meter(keep_calls=True) as cb:
        async with connected(simulator, api, colour) as talk:
            assert (await talk.answer(**wrong))[-1].type == "error"
            await talk.answer()

    failed, well = cb.calls
    assert (failed.status, failed.outcome, failed.usage) == (400, "error", None)
    assert (well.status, well.certainty) == (200, "exact")
    assert cb.total_tokens == simulator.bill().total_tokens
    assert (cb.successful_requests, cb.failed_requests) == (1, 1)


@each_api
@each_colour
async def test_an_error_in_a_response_keeps_the_call(simulator, api, colour):
    """It was under way when the server failed."""
    with meter(keep_calls=True) as cb:
        async with connected(simulator, api, colour, error=8) as talk:
            assert (await talk.answer())[-1].type == "error"

    (call,) = cb.calls
    assert call.outcome == ("error" if api == "responses" else "closed")
    assert call.certainty != "exact"


@each_api
@each_colour
async def test_a_budget_refuses_a_request_before_it_leaves(simulator, api, colour):
    """`send` raises, nothing is sent, and the connection goes on."""
    async with connected(simulator, api, colour) as talk:
        with meter(max_calls=1) as cb:
            await talk.answer()
            with pytest.raises(BudgetExceededError):
                await talk.ask()
        with meter() as other:
            await talk.answer()

    assert simulator.bill().calls == 2
    assert (cb.successful_requests, other.successful_requests) == (1, 1)


@each_colour
async def test_a_budget_lets_pass_what_the_server_began(simulator, colour):
    """It is under way: it counts, and nothing is raised at the reader."""
    if "realtime" not in APIS:
        pytest.skip("this SDK has the beta of the Realtime API only")
    async with connected(simulator, "realtime", colour) as talk:
        with meter(max_calls=1) as cb:
            await talk.do(talk.connection.session.update, session=SESSION)
            for _ in range(2):
                await talk.do(talk.connection.input_audio_buffer.append, audio=HALF_A_SECOND)
                await talk.do(talk.connection.input_audio_buffer.commit)
                await talk.until()

    assert cb.successful_requests == simulator.bill().calls == 4


class Hears:
    """Hears starts, pieces and ends."""

    def __init__(self) -> None:
        self.subscribers: list[Any] = []

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        self.subscribers.append("start")

    def on_llm_start(self, *_: Any, **__: Any) -> None:
        self.subscribers.append("start")

    def on_llm_new_token(self, token: str, **_: Any) -> None:
        self.subscribers.append(token)

    def on_llm_end(self, call: Call, **_: Any) -> None:
        self.subscribers.append(call.tokens.total_tokens)


@each_api
@each_colour
async def test_handlers_are_told(simulator, api, colour):
    """The start, each piece of text, the end; once."""
    handler = Hears()
    with meter(handlers=[handler]) as cb:
        async with connected(simulator, api, colour) as talk:
            events = await talk.answer()

    text = "".join(event.delta for event in events if event.type.endswith(("text.delta", "transcript.delta")))
    assert handler.subscribers[0] == "start"
    assert "".join(handler.subscribers[1:-1]) == text != ""
    assert handler.subscribers[-1] == cb.total_tokens


@pytest.fixture
def heard_by() -> Iterator[Callable[[Hears], Callable[[Any], Any]]]:
    """Attaches a handler to a client, until the test is over."""
    clients: list[Any] = []

    def attaching(handler: Hears) -> Callable[[Any], Any]:
        def attached(client: Any) -> Any:
            clients.append(client)
            return attach(client, handlers=[handler])

        return attached

    yield attaching
    for client in clients:
        detach(client)


@each_api
@each_colour
async def test_handlers_of_the_client_are_told_of_its_connections(simulator, heard_by, api, colour):
    """And not of those of other clients; a meter is not needed."""
    handler, other = Hears(), Hears()
    async with connected(simulator, api, colour, of=heard_by(handler)) as talk:
        async with connected(simulator, api, colour, of=heard_by(other)):
            await talk.answer()

    assert handler.subscribers[0] == "start"
    assert handler.subscribers[-1] == simulator.bill().total_tokens
    assert other.subscribers == []


@each_api
@each_colour
async def test_handlers_of_a_client_are_told_of_the_connections_of_its_copies(simulator, heard_by, api, colour):
    """As they are told of the copies' requests."""
    handler, copies = Hears(), []

    def copied(client: Any) -> Any:
        copies.append(heard_by(handler)(client).with_options(max_retries=0))
        return copies[0]

    async with connected(simulator, api, colour, of=copied) as talk:
        await talk.answer()
    detach(copies[0])

    assert handler.subscribers[-1] == simulator.bill().total_tokens


@needs_responses
@pytest.mark.skipif(
    not any(hasattr(cls, "send") for cls in MANAGERS), reason="this SDK queues nothing for a connection to come"
)
@each_colour
async def test_handlers_of_the_client_are_told_of_what_was_queued_for_its_connection(simulator, heard_by, colour):
    """It leaves while the connection is being opened."""
    handler = Hears()
    ask = {"type": "response.create", "model": "gpt-4o-mini", "input": "one"}
    async with connected(simulator, "responses", colour, of=heard_by(handler), queued=[ask]) as talk:
        await talk.until()

    assert handler.subscribers[-1] == simulator.bill().total_tokens


@each_colour
async def test_f02_a_manager_of_another_shape_opens_its_connection(simulator, heard_by, monkeypatch, colour):
    """Nobody hears which client it was; the caller has the connection."""
    api = APIS[-1]

    handler = Hears()
    monkeypatch.setattr(HUB._openers, "_clients", types.SimpleNamespace(get=lambda *_: None))
    async with connected(simulator, api, colour, of=heard_by(handler)) as talk:
        await talk.answer()
    errors = take_internal_errors()

    assert simulator.bill().calls == 1
    assert handler.subscribers == []
    assert errors == {"websocket opener": 1}


@each_api
async def test_a_wait_that_times_out_ends_no_call(simulator, api):
    """`recv` may be cancelled without loss, and often is."""
    with meter() as cb:
        async with connected(simulator, api, "async", latency=0.5) as talk:
            await talk.ask()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(talk.until("response.created"), 0.01)
            await talk.until()

    assert cb.total_tokens == simulator.bill().total_tokens
    assert cb.successful_requests == 1


@needs_responses
async def test_the_sessions_of_the_sdk_are_counted(simulator):
    """They send past `send_raw` and read in a thread of their own."""
    sessions = pytest.importorskip("openai.lib.responses_websocket", reason="this openai version has no sessions")

    limits = sessions.ResponsesWebSocketLimits(2, 1000, 1000, 10**7, 10**7)
    with meter() as cb:
        async with connected(simulator, "responses", "sync") as talk:
            with sessions.ResponsesWebSocketSession(talk.connection, limits=limits) as session:
                session.default.send({"type": "response.create", "model": "gpt-4o-mini", "input": "Which rose?"})
                session.default.get_final_response()

    assert cb.total_tokens == simulator.bill().total_tokens > 0
    assert cb.successful_requests == 1


@each_api
@each_colour
@pytest.mark.parametrize(
    "hook", [(_dialect, "kind_of"), (_dialect, "command_of"), (_dialect, "as_event"), (_websocket, "url_of")],
    ids=lambda hook: hook[1],
)  # fmt: skip
async def test_f02_a_failure_of_ours_changes_nothing_for_the_caller(simulator, monkeypatch, api, colour, hook):
    """A count is lost at most."""

    def fail(*_: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(*hook, fail)
    monkeypatch.setattr(HUB._sockets, "_has_warned", True)
    with meter():
        async with connected(simulator, api, colour) as talk:
            assert (await talk.answer())[-1].type in ("response.completed", "response.done")
    failures = take_internal_errors()

    assert failures, "the hook was never reached: this test would prove nothing"


@pytest.mark.parametrize("is_error", [False, True])
def test_f111_a_connection_that_leads_nowhere_known_warns_once(monkeypatch, is_error):
    """Made by hand, say. Its messages pass, also where warnings are errors."""
    cls = next(cls for name, cls in NAMES.items() if "Async" not in name)

    class Wire:
        def recv(self, **_: Any) -> bytes:
            return b'{"type":"response.done"}'

    connection = cls.__new__(cls)
    connection._connection = Wire()
    connection._reconnect_attempt = 0
    monkeypatch.setattr(HUB._sockets, "_has_warned", False)
    with meter():
        if is_error:
            assert connection.recv_bytes() == Wire().recv()
        else:
            with pytest.warns(BlindSpotWarning, match="not metered"):
                assert connection.recv_bytes() == Wire().recv()
            assert connection.recv_bytes() == Wire().recv()
    errors = take_internal_errors()

    assert set(errors) == ({"websocket", "warning"} if is_error else {"websocket"})


@pytest.mark.parametrize(
    "body",
    [
        "recv_bytes = send = close = lambda self, *_: None",
        "recv = lambda self: self.other(); recv_bytes = send = close = lambda self, *_: None",
        "recv = lambda self: self.recv_bytes(); recv_bytes = close = lambda self: None",
    ],
    ids=["no recv", "recv reads elsewhere", "no send"],
)
def test_f110_a_connection_class_of_another_shape_warns(body):
    """A new SDK may move the seam; nothing of such a class is patched."""
    module = types.ModuleType("openai.resources.realtime.realtime")
    exec(f"class NewConnection: {body}", vars(module))
    before = dict(vars(module.NewConnection))
    with meter(), pytest.warns(BlindSpotWarning, match="NewConnection"):
        HUB._sockets._patch(module)
    HUB.internal_errors.clear()

    assert dict(vars(module.NewConnection)) == before


@pytest.mark.parametrize("cls", NAMES.values(), ids=NAMES)
def test_every_connection_class_is_patched_and_restored(cls):
    """Sixteen in openai 3.52."""
    before = {name: getattr(cls, name) for name in ("recv_bytes", "send", "close")}
    with meter():
        assert cls.recv_bytes is not before["recv_bytes"]
        assert cls.close is not before["close"]
        token_meter.uninstall()

    assert {name: getattr(cls, name) for name in before} == before


@pytest.mark.parametrize(
    "cls", MANAGERS, ids=lambda cls: f"{cls.__module__.removeprefix('openai.resources.')}.{cls.__name__}"
)
def test_every_connection_manager_is_patched_and_restored(cls):
    """Under both names of what opens a connection."""
    before = dict(vars(cls))
    with meter():
        changed = {name for name, function in vars(cls).items() if function is not before[name]}
        token_meter.uninstall()

    assert changed == {"enter", "__aenter__" if cls.__name__.startswith("Async") else "__enter__"}
    assert dict(vars(cls)) == before


def test_a_module_that_is_imported_later_is_patched_then():
    """The SDK imports its resources when they are used."""
    name = next(iter(NAMES.values())).__module__
    printed = _run(
        f"""
        import sys
        from token_meter import meter
        from token_meter.runtime.hub import HUB
        with meter():
            assert {name!r} not in sys.modules
            import {name} as module
            classes = [c for n, c in vars(module).items() if n.endswith("Connection") and isinstance(c, type)]
            print(len(classes), HUB._sockets.is_whole(), all(hasattr(c.recv_bytes, "__wrapped__") for c in classes))
        """
    )

    assert printed == "2 True True"


def test_a_meter_without_websockets_loads_nothing_for_them():
    """Who has no connection pays for none."""
    printed = _run(
        """
        import sys
        from token_meter import meter
        with meter():
            pass
        ours = ("token_meter.call.websocket", "token_meter.providers.openai.realtime")
        print([m for m in ("websockets", "openai", *ours) if m in sys.modules])
        """
    )

    assert printed == "[]"
    assert sys.executable
