"""Transports that are not read: a call through them is never a silent zero."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.blind import modules
from token_meter import BlindSpotWarning, BudgetExceededError, Meter, meter
from token_meter.runtime.hub import HUB


class Way(NamedTuple):
    """A transport, and one paid call through it."""

    what: str
    module: str
    members: dict[str, Any]
    ask: Callable[[], Any]


DSPY = f"{modules.LM15}._sync"
RPC = {
    "_UnaryUnaryMultiCallable": type("A", (modules.Rpc,), dict(vars(modules.Rpc))),
    "_UnaryStreamMultiCallable": type("B", (modules.Rpc,), dict(vars(modules.Rpc))),
    "_SingleThreadedUnaryStreamMultiCallable": type("C", (modules.Rpc,), dict(vars(modules.Rpc))),
}
VERTEX = "/google.cloud.aiplatform.v1.PredictionService/Predict"
GROK = "/xai_api.Chat/GetCompletion"  # which is read where its request is a message
WAYS = [
    Way("DSPy's own transport", DSPY, {"StdlibTransport": modules.Lm15},
        lambda: modules.Lm15().stream(modules.posted())),
    Way("DSPy's own transport", f"{modules.LM15}._async", {"StdlibAsyncTransport": modules.AsyncLm15},
        lambda: modules.AsyncLm15()._do_stream(modules.posted())),
    Way("gRPC", "grpc._channel", RPC, lambda: RPC["_UnaryUnaryMultiCallable"]()(0)),
    Way("gRPC", "grpc._channel", RPC, lambda: RPC["_UnaryUnaryMultiCallable"]().with_call(0)),
    Way("gRPC", "grpc._channel", RPC, lambda: RPC["_UnaryStreamMultiCallable"](VERTEX)(0)),
    Way("gRPC", "grpc._channel", RPC, lambda: RPC["_UnaryUnaryMultiCallable"](GROK)(b"bytes of a program")),
    Way("Gemini's live music", "google.genai.live_music", {"AsyncLiveMusic": modules.Live},
        lambda: modules.Live().connect()),
]  # fmt: skip


def _ask(way: Way) -> None:
    answer = way.ask()
    if inspect.iscoroutine(answer):
        asyncio.run(answer)


def _ask_twice(way: Way) -> None:
    for _ in range(2):
        _ask(way)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.module)
def test_f131_a_paid_call_through_a_transport_that_is_not_read_is_unmeasured_and_named(way, monkeypatch):
    """Each call counts; the transport is said once, in words that say what to do."""
    modules.put_in(monkeypatch, way.module, **way.members)

    with pytest.warns(BlindSpotWarning, match=way.what) as said, meter() as cb:
        _ask_twice(way)

    assert (cb.successful_requests, cb.unmeasured_calls, cb.is_complete) == (2, 2, False)
    assert [spot.what for spot in cb.blind_spots] == [way.what]
    assert len(said) == 1
    assert said[0].filename == __file__


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.module)
def test_f131_a_limit_refuses_a_call_through_a_transport_that_is_not_read(way, monkeypatch):
    """Its cost cannot be known, so that no limit on it could hold; a limit on calls counts it."""
    modules.put_in(monkeypatch, way.module, **way.members)

    for limits in ({"max_cost": "0.01"}, {"max_calls": 0}):
        with pytest.raises(BudgetExceededError), meter(**limits):
            _ask(way)


def test_f132_an_answer_of_another_shape_over_dspys_own_sockets_is_no_silent_zero(monkeypatch):
    """With OpenAI too."""
    modules.put_in(monkeypatch, DSPY, StdlibTransport=modules.Lm15)

    with pytest.warns(BlindSpotWarning, match="DSPy"), meter() as cb:
        modules.Lm15().stream(modules.posted())

    assert (cb.unmeasured_calls, cb.is_complete) == (1, False)


WOLVES = [
    ("a host that is no provider's", lambda: modules.Lm15().stream(modules.posted("https://example.com/v1/things"))),
    ("a free path", lambda: modules.Lm15().stream(modules.posted("https://api.openai.com/v1/files"))),
    ("another gRPC service", lambda: RPC["_UnaryUnaryMultiCallable"](b"/helloworld.Greeter/SayHello")(0)),
    ("a list of models", lambda: RPC["_UnaryUnaryMultiCallable"](b"/xai_api.Models/ListLanguageModels")(0)),
]


@pytest.mark.parametrize(("what", "act"), WOLVES, ids=[what for what, _ in WOLVES])
def test_what_is_no_paid_call_is_no_blind_spot(what, act, monkeypatch):
    """A transport carries much else."""
    for way in WAYS:
        modules.put_in(monkeypatch, way.module, **way.members)

    with meter() as cb:
        act()

    assert (cb.blind_spots, cb.unmeasured_calls, cb.is_complete) == ((), 0, True)


def test_a_call_that_failed_is_a_failed_request_and_not_an_unmeasured_one(monkeypatch):
    """Its status says so."""
    modules.put_in(monkeypatch, DSPY, StdlibTransport=modules.Lm15)

    with pytest.warns(BlindSpotWarning), meter() as cb:
        modules.Lm15().stream(modules.posted(status=429))

    assert (cb.failed_requests, cb.unmeasured_calls) == (1, 0)


def test_f131_under_warnings_as_errors_the_call_passes_and_the_log_says_it(monkeypatch, recwarn, caplog):
    """The observer never harms the observed."""
    import warnings

    modules.put_in(monkeypatch, DSPY, StdlibTransport=modules.Lm15)
    with warnings.catch_warnings(), meter() as cb:
        warnings.simplefilter("error")
        modules.Lm15().stream(modules.posted())

    assert cb.unmeasured_calls == 1
    assert "DSPy" in caplog.text


def _error(name: str, **members: Any) -> Exception:
    return type(name, (Exception,), members)()


PLACES: list[Any] = [
    (DSPY, "StdlibTransport", modules.Lm15, "stream", (modules.posted(),)),
    (f"{modules.LM15}._async", "StdlibAsyncTransport", modules.AsyncLm15, "_do_stream", (modules.posted(),)),
]


@pytest.mark.parametrize(
    ("error", "unmeasured"),
    [
        (_error("ClientResponseError", status=503), 0),
        (_error("ReadTimeout"), 1),
        (_error("ServerDisconnectedError", status="none"), 1),
    ],
    ids=repr,
)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place[0])
def test_a_call_that_was_refused_used_no_tokens(place, error, unmeasured, monkeypatch):
    """Its exception says so; any other one leaves open what was paid."""
    module, name, base, method, asked = place

    def fails(*_: Any) -> Any:
        raise error

    async def afails(*_: Any) -> Any:
        raise error

    is_async = inspect.iscoroutinefunction(getattr(base, method))
    cls = type(name, (base,), {method: afails if is_async else fails})
    modules.put_in(monkeypatch, module, **{name: cls})
    with meter() as cb, contextlib.suppress(type(error)):
        _ask(Way("", module, {}, lambda: getattr(cls(), method)(*asked)))

    assert (cb.failed_requests, cb.unmeasured_calls) == (1, unmeasured)


class Moody:
    """An answer that does not like to be looked at."""

    @property
    def status(self) -> int:
        raise RuntimeError("not yet")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.module)
@pytest.mark.parametrize("harm", ["answer", "note"])
def test_a_failure_of_ours_at_a_transport_that_is_not_read_changes_nothing_for_the_caller(way, harm, monkeypatch):
    """It costs a count or a word at most."""
    modules.put_in(monkeypatch, way.module, **way.members)
    with contextlib.suppress(BlindSpotWarning), meter() as cb:
        if harm == "answer":
            monkeypatch.setattr(modules, "answers", lambda *_: Moody())
        else:
            monkeypatch.setattr(Meter, "note_blind_spot", lambda *_, **__: 1 / 0)
        _ask(way)
        monkeypatch.undo()

    assert cb.unmeasured_calls == 1
    HUB.internal_errors.clear()


def test_f131_an_exception_of_the_transport_is_the_callers_own(monkeypatch):
    """And the call may have been paid."""

    class Broken:
        def stream(self, request: Any) -> Any:
            raise ConnectionResetError("gone")

    modules.put_in(monkeypatch, DSPY, StdlibTransport=Broken)
    with meter() as cb, contextlib.suppress(ConnectionResetError):
        Broken().stream(modules.posted())

    assert (cb.failed_requests, cb.unmeasured_calls) == (1, 1)


def test_outside_of_every_meter_a_watched_call_costs_one_look(monkeypatch):
    """Nothing is read."""
    modules.put_in(monkeypatch, DSPY, StdlibTransport=modules.Lm15)
    with meter():
        pass

    assert modules.Lm15().stream(object()).status == 200
