"""The pieces of the seams where their corners are: taps, filters, imports, threads, gates, connections."""

from __future__ import annotations

import importlib
import sys
import threading
import types
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import httpx2
import openai
import pytest

from tests.conftest import take_internal_errors
from tests.seams.sockets import NAMES
from token_meter import meter
from token_meter.call.stream_usage import UsageChunkFilter, body_with_usage, is_report
from token_meter.context.stack import CONTEXT_STACK
from token_meter.context.threads import ThreadSeam
from token_meter.patching.import_hook import ImportHook
from token_meter.patching.patch import Patch, Patches
from token_meter.runtime.hub import HUB
from token_meter.transports import gates, httpx_body, httpx_decoding, websockets
from token_meter.transports.httpx import HttpxRequest, _was_sent
from token_meter.transports.httpx_filter import FilteredStreams

REPORT = b'data: {"choices": [], "usage": {"total_tokens": 1}}'


# Taking the usage out of a stream.


@pytest.mark.parametrize(
    ("event", "is_one"),
    [
        (REPORT, True),
        (b'event: x\r\ndata: {"choices":[],\r\ndata:"usage":{}}', True),
        (b'data: {"choices": [{}], "usage": {}}', False),
        (b'data: {"choices": [], "usage": null}', False),
        (b'data: "choices" "usage"', False),
        (b'data: ["choices", "usage"]', False),
        (b"data: {}", False),
    ],
)
def test_only_an_event_with_the_usage_and_nothing_else_is_hidden(event, is_one):
    """Whatever else it shows is the caller's."""
    assert is_report(event) is is_one


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_the_filter_takes_one_event_out_of_any_chunks(end, size):
    """Every other byte goes on, also what comes behind it, and a last event without its blank line."""
    before, after = b"data: a" + end * 2, b"data: [DONE]" + end * 2 + b"data: rest"
    whole = before + REPORT + end * 2 + after
    chunk_filter = UsageChunkFilter()
    kept = (
        b"".join(chunk_filter.filter_chunk(whole[at : at + size]) for at in range(0, len(whole), size))
        + chunk_filter.rest()
    )

    assert kept == before + after


def test_an_event_too_long_to_be_a_report_goes_on(monkeypatch):
    """Nothing is held back without bound."""
    monkeypatch.setattr("token_meter.call.stream_usage._HELD_LIMIT", 10)
    chunk_filter = UsageChunkFilter()

    assert chunk_filter.filter_chunk(b"data: " + b"x" * 20) == b"data: " + b"x" * 20


@pytest.mark.parametrize(
    ("content", "headers", "asks"),
    [
        (b'{"stream":true}', {}, b'{"stream":true,"stream_options":{"include_usage":true}}'),
        (b'{"stream":true,"stream_options":{"a":1}}', {}, b'{"stream":true,"stream_options":{"a":1,"include_usage":true}}'),
        (b'{"stream":true,"stream_options":null}', {}, b'{"stream":true,"stream_options":{"include_usage":true}}'),
        (b'{"stream":true,"stream_options":{"include_usage":true}}', {}, None),
        (b'{"stream":false}', {}, None),
        (b'["stream"]', {}, None),
        (b'{"model":"m"}', {}, None),
        (b'{"stream":true}', {"content-encoding": "gzip"}, None),
    ],
)  # fmt: skip
def test_a_copy_asks_for_the_usage_where_that_adds_something(content, headers, asks):
    """The caller's own request stays as it is."""
    request = httpx2.Request("POST", "https://x/v1/chat/completions", content=content, headers=headers)
    changed = body_with_usage(request.content)
    copy = None if changed is None else HttpxRequest(request, None).with_body(changed)

    assert (copy.content if copy is not None else None) == asks
    assert request.content == content
    assert copy is None or copy.headers["content-length"] == str(len(asks))


class Inner(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body in chunks, with an attribute of its own."""

    elapsed = "a while"

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk


class Holding:
    """Holds everything back to the end."""

    def __init__(self) -> None:
        self.held = b""

    def filter_chunk(self, chunk: bytes) -> bytes:
        self.held += chunk
        return b""

    def rest(self) -> bytes:
        held, self.held = self.held, b""
        return held


async def test_a_sifted_stream_gives_what_was_held_at_its_end():
    """Of both colours, and its other attributes are the inner one's."""
    sifts = FilteredStreams(httpx2)
    sync = sifts.wrap(Inner(b"a", b"b"), Holding(), is_async=False)
    asyn = sifts.wrap(Inner(b"a", b"b"), Holding(), is_async=True)

    assert list(sync) == [b"ab"]
    assert [chunk async for chunk in asyn] == [b"ab"]
    assert sync.elapsed == asyn.elapsed == "a while"


@pytest.mark.parametrize("give", [lambda data: data, lambda data: iter([data])], ids=["bytes", "an iterator"])
def test_a_compressed_stream_is_sifted_plain(give):
    """httpx's decoders give bytes, httpx2's an iterator; iterated again to its end, it has no more."""
    decoder = SimpleNamespace(decode=lambda chunk: give(chunk.upper()), flush=lambda: give(b"!"))
    sifted = FilteredStreams(httpx2).wrap(Inner(b"a"), Holding(), decoder, is_async=False)

    assert list(sifted) == [b"A!"]
    assert list(sifted) == []


# Listening to a compressed body.


@pytest.mark.parametrize("give", [lambda data: data, lambda data: iter([data[:4], data[4:]])], ids=["bytes", "pieces"])
def test_a_bomb_stops_being_read(monkeypatch, give):
    """What is decompressed for our own use has a bound."""
    monkeypatch.setattr(httpx_decoding, "_LIMIT", 3)
    decoder = httpx_decoding.BoundedDecoder(SimpleNamespace(decode=give))

    assert list(decoder.pieces(b"12345678")) in ([b"12345678"], [b"1234"])
    assert list(decoder.pieces(b"12345678")) == []


def test_f23_a_body_that_cannot_be_decoded_is_left_to_the_client():
    """Ours fails once and is asked no more."""
    fed: list[bytes] = []

    def explode(_: bytes) -> bytes:
        raise ValueError

    tap = httpx_body._Tap(Inner(), SimpleNamespace(feed=fed.append, abandoned=lambda: None), explode)
    tap._feed_decoded(b"x")
    tap._feed_decoded(b"y")

    assert fed == []


@pytest.mark.parametrize("library", [httpx2, httpx])
def test_an_answer_that_cannot_be_looked_into_is_the_callers(library):
    """A failure of ours at arrival costs the count."""
    left: list[str] = []
    attempt = SimpleNamespace(abandoned=lambda: left.append("abandoned"), is_local=False)
    httpx_body.Taps(library, HUB).arrive(attempt, SimpleNamespace(), None, is_async=False)  # type: ignore[arg-type]
    errors = take_internal_errors()

    assert (left, errors) == (["abandoned"], {"arrive": 1})


# Imports, threads, gates.


def test_a_module_that_its_loader_cannot_run_is_left_to_python(monkeypatch):
    """A namespace package has no loader that runs code; a missing one has none at all."""
    seen: list[Any] = []
    attempt = ImportHook({"token_meter_no_such_module"}, seen.append)
    attempt.start()
    try:
        with pytest.raises(ImportError):
            importlib.import_module("token_meter_no_such_module")
        with pytest.raises(ImportError):
            importlib.import_module("token_meter_no_such_module")
    finally:
        attempt.stop()

    assert seen == []
    assert attempt not in sys.meta_path


def test_a_watched_modules_loader_can_still_do_the_rest(tmp_path, monkeypatch):
    """`is_package`, `get_source` and all its other attributes."""
    (tmp_path / "token_meter_watched.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    seen: list[types.ModuleType] = []
    attempt = ImportHook({"token_meter_watched"}, seen.append)
    attempt.start()
    try:
        spec = attempt.find_spec("token_meter_watched")
    finally:
        attempt.stop()

    assert spec is not None
    assert spec.loader.get_source("token_meter_watched") == "x = 1\n"
    assert attempt.find_spec("json") is None


def test_f50_a_thread_that_cannot_start_is_as_it_was(monkeypatch):
    """Ours is taken off it again."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError

    monkeypatch.setattr(threading.Thread, "start", refuse)
    seam = ThreadSeam(CONTEXT_STACK)
    seam.install()
    thread = threading.Thread(target=print)
    CONTEXT_STACK.set((object(),))
    try:
        with pytest.raises(RuntimeError):
            thread.start()
    finally:
        CONTEXT_STACK.set(())
        seam.uninstall()

    assert "run" not in vars(thread)


def test_every_seam_knows_whether_it_is_whole():
    """Somebody's patch on top, or a restore that took ours out, can be asked for."""
    with meter():
        assert HUB._http.is_whole()
        assert HUB._gate.is_whole()
        assert HUB._sockets.is_whole()
        assert HUB._openers.is_whole()
        under = httpx2.Client.__dict__["send"]
        httpx2.Client.send = lambda *args, **kwargs: under(*args, **kwargs)  # type: ignore[method-assign]
        try:
            assert not HUB._http.is_whole()
        finally:
            httpx2.Client.send = under  # type: ignore[method-assign]


def test_a_name_that_is_patched_no_more_is_nothing_that_a_seam_lacks():
    """Under another package's wrapper a seam may have chosen another method than without."""

    class Connection:
        def send(self):
            """Send."""

        def send_raw(self):
            """Send."""

    patches = Patches()
    patches.put(Connection, "send_raw", lambda original: lambda self: original(self))
    patches.undo()
    Connection.send_raw = Connection.send
    patches.put(Connection, "send", lambda original: lambda self: original(self))
    assert patches.is_whole()

    Connection.send = Connection.send_raw
    assert not patches.is_whole()


def test_seams_that_are_off_patch_nothing_that_comes_later():
    """An import after `uninstall()`."""
    for seam in (HUB._http, HUB._gate, HUB._sockets, HUB._openers, HUB._cassettes):
        seam.uninstall()
        module = types.ModuleType("late")
        seam._patch(module)  # would raise, or patch

        assert not [name for name in vars(module) if not name.startswith("__")]


def test_a_gate_is_taken_out_wherever_it_stands():
    """Meanwhile others may have come, or the context be a foreign one."""
    ticket, other = object(), object()
    for stack, left in [((other, ticket), (other,)), ((ticket, other), (other,)), ((other,), (other,)), ((), ())]:
        CONTEXT_STACK.set(stack)
        gates._take_out(CONTEXT_STACK, ticket)  # type: ignore[arg-type]
        assert CONTEXT_STACK.get() == left
    CONTEXT_STACK.set(())


@pytest.mark.parametrize(
    ("error", "was_sent"),
    [
        (httpx2.ConnectError("x"), False),
        (httpx.PoolTimeout("x"), False),
        (RuntimeError("Cannot send a request, as the client has been closed."), False),
        # A client that outlived its loop says so after the request is out.
        (RuntimeError("Event loop is closed"), True),
        (httpx2.ReadTimeout("x"), True),
        (KeyboardInterrupt(), True),
    ],
)
def test_f12_what_never_left_is_told_from_what_may_have(error, was_sent):
    """Only the latter may have been billed."""
    assert _was_sent(error) is was_sent


# Websockets.


def test_a_wrapper_of_somebody_else_is_looked_through():
    """Or, where it cannot be, taken to be right."""

    def recv(self: Any) -> Any:
        return self.recv_bytes()

    def wrapper(*args: Any) -> Any:
        return recv(*args)

    wrapper.__wrapped__ = recv  # type: ignore[attr-defined]

    assert websockets._calls(wrapper, "recv_bytes")
    assert websockets._calls(len, "recv_bytes")
    assert websockets._calls(lambda: None, "recv_bytes")
    assert not websockets._calls(openai.OpenAI.copy, "recv_bytes")


class ConnectionClosed(Exception):
    """As websockets calls it."""


@pytest.mark.parametrize("colour", ["", "Async"])
async def test_handlers_hear_of_calls_that_end_with_their_connection(colour):
    """A send that fails, a connection that is closed, one that is found closed."""
    cls = next(cls for name, cls in NAMES.items() if ("Async" in name) is bool(colour) and ".realtime." in f".{name}")
    subscribers: list[str] = []

    class Handler:
        def on_llm_start(self, *_: Any, **__: Any) -> None:
            subscribers.append("start")

        def on_llm_error(self, error: BaseException, **_: Any) -> None:
            subscribers.append(type(error).__name__)

    class Wire:
        protocol = SimpleNamespace(
            uri=SimpleNamespace(secure=True, host="api.openai.com", port=443, path="/v1/realtime", query="")
        )

        def __init__(self) -> None:
            self.is_broken = False

        def send(self, _: Any) -> Any:
            if self.is_broken:
                raise ConnectionClosed
            return _nothing() if colour else None

        def recv(self, **_: Any) -> Any:
            raise ConnectionClosed

        def close(self, **_: Any) -> Any:
            return _nothing() if colour else None

    async def _nothing() -> None: ...

    async def do(method: Any, *args: Any) -> None:
        result = method(*args)
        if colour:
            await result

    wire = Wire()
    connection = cls(wire)
    create = {"type": "response.create"}
    with meter(handlers=[Handler()]) as cb:
        await do(connection.send, create)
        with pytest.raises(ConnectionClosed):
            await do(connection.recv)
        await do(connection.send, create)
        await do(connection.close)
        wire.is_broken = True
        with pytest.raises(ConnectionClosed):
            await do(connection.send, create)

    assert subscribers == ["start", "ConnectionClosed", "start", "LLMCallError", "start", "ConnectionClosed"]
    assert (cb.failed_requests, cb.unmeasured_calls) == (3, 2)


class Theirs:
    """Patches `Owner.ask` as most packages do: keeps what stood there, calls it, and puts it back by assignment."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.kept = before = owner.__dict__["ask"]
        owner.ask = lambda asked: f"theirs({before(asked)})"

    def undo(self) -> None:
        self.owner.ask = self.kept


ORDERS = {
    "theirs before ours": ("patch on undo", "seen(real)"),
    "theirs before ours, undone while off": ("patch on off undo off", "seen(real)"),
    "theirs before ours, undone while on": ("patch on undo off", "seen(real)"),
    "theirs on top of ours": ("on patch", "theirs(seen(real))"),
    "theirs on top of ours, which is off": ("on patch off", "theirs(seen(real))"),
    "theirs on top of ours, undone while off": ("on patch off undo", "seen(real)"),
    "theirs on top of ours, undone while on": ("on patch undo off", "seen(real)"),
    "two of theirs round ours, undone in the other order": ("patch on patch off undo_last", "seen(theirs(real))"),
    "theirs before ours, undone while a program keeps ours": ("patch on keep undo", "seen(real)"),
    "theirs before ours, undone while off and a program keeps ours": ("patch on keep off undo", "seen(real)"),
    "theirs before ours, undone and off while a program keeps ours": ("patch on keep undo off", "seen(real)"),
}
LIBRARY = "class Owner:\n    def ask(self):\n        return 'real'"


@pytest.mark.parametrize(("order", "read"), ORDERS.values(), ids=ORDERS.keys())
def test_the_next_meter_sees_each_call_once_whatever_others_patch_and_restore(order: str, read: str):
    """Ours is put back when another package's restoring removed it, and never twice: a wrapper may still call it."""

    library: dict[str, Any] = {"__name__": "library"}
    exec(LIBRARY, library)
    owner = library["Owner"]
    switch = Patch(owner, "ask", lambda original: lambda asked: f"seen({original(asked)})")
    others: list[Theirs] = []
    kept: list[Any] = []
    for step in [*order.split(), "on"]:
        if step == "patch":
            others.append(Theirs(owner))
        elif step == "keep":
            kept.append(owner.ask)
        elif step == "undo":
            others.pop(0).undo()
        elif step == "undo_last":
            others.pop().undo()
        else:
            getattr(switch, step)()

    assert owner().ask() == read
