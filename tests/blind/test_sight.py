"""What a meter says of what it does not see: SDKs, children, clients, blocks that end elsewhere, blocks that never were."""

from __future__ import annotations

import asyncio
import contextvars
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import openai
import pytest

from tests.blind import modules
from tests.conftest import CHAT_BODY, sdk_http
from token_meter import BlindSpot, BlindSpotWarning, BudgetExceededError, Meter, meter
from token_meter.ledger import read_run
from token_meter.providers.unseen import UNSEEN_SDKS
from token_meter.report import parse_target, render, summarise

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")


def whats(cb: Meter) -> list[str]:
    return [spot.what for spot in cb.blind_spots]


# SDKs.

UNSEEN = [
    "xai_sdk", "google.generativeai", "vertexai.generative_models", "dspy._vendor.lm15.transports",
]  # fmt: skip


@pytest.fixture
def no_carriers(monkeypatch):
    """No transport that is watched is imported; other tests of this process may have imported some."""
    for sdk in UNSEEN_SDKS:
        for carrier in sdk.carriers:
            monkeypatch.delitem(sys.modules, carrier, raising=False)


@pytest.mark.usefixtures("no_carriers")
@pytest.mark.parametrize("name", UNSEEN)
def test_f131_an_sdk_whose_transport_cannot_be_seen_is_a_blind_spot(name, monkeypatch):
    """Its import is enough where its transport is not watched."""
    modules.put_in(monkeypatch, name)

    with pytest.warns(BlindSpotWarning, match=name) as said, meter() as cb:
        pass
    with meter():
        pass

    assert (whats(cb), cb.is_complete) == ([name], False)
    assert cb.to_dict()["is_complete"] is False
    assert [spot["what"] for spot in cb.to_dict()["blind_spots"]] == [name]
    assert f"not seen: {name}" in repr(cb)
    assert "cb.record(...)" in str(cb)
    assert all(len(line) <= 80 for line in str(cb).splitlines()[6:])
    assert f"not seen: {name}" in cb._repr_html_()
    assert (len(said), said[0].filename) == (1, __file__)


@pytest.mark.usefixtures("no_carriers")
@pytest.mark.parametrize("name", UNSEEN)
def test_f131_an_sdk_that_is_imported_while_the_block_is_open_is_one_too(name, monkeypatch):
    """It may be imported by the function that calls it."""
    inside: list[str] = []

    def act(cb: Meter) -> None:
        modules.put_in(monkeypatch, name)
        inside.extend(whats(cb))

    with pytest.warns(BlindSpotWarning, match=name), meter() as cb:
        act(cb)

    assert (inside, whats(cb)) == ([name], [name])


def test_an_sdk_whose_transport_is_watched_is_no_blind_spot_until_it_is_called(monkeypatch):
    """Else every program that imports one would be incomplete."""
    modules.put_in(monkeypatch, "grpc._channel", **{
        name: type(name, (modules.Rpc,), dict(vars(modules.Rpc)))
        for name in ("_UnaryUnaryMultiCallable", "_UnaryStreamMultiCallable", "_SingleThreadedUnaryStreamMultiCallable")
    })  # fmt: skip
    modules.put_in(monkeypatch, "xai_sdk")

    with meter() as cb:
        pass

    assert (cb.blind_spots, cb.is_complete) == ((), True)


@pytest.mark.parametrize("name", ["botocore", "boto3", "aiohttp", "requests", "google.genai", "litellm", "cohere"])
def test_what_is_no_sdk_of_models_or_can_be_seen_is_no_blind_spot_by_its_import(name, monkeypatch):
    """An imported botocore says nothing."""
    modules.put_in(monkeypatch, name)

    with meter() as cb:
        pass

    assert (cb.blind_spots, cb.is_complete) == ((), True)


def test_f131_a_transport_of_another_shape_makes_its_sdk_a_blind_spot(monkeypatch, caplog):
    """A newer release has moved the class: what was watched is no longer."""
    from tests.conftest import take_internal_errors

    modules.put_in(monkeypatch, "grpc._channel")
    modules.put_in(monkeypatch, "xai_sdk")

    with pytest.warns(BlindSpotWarning, match="xai_sdk"), meter() as cb:
        pass

    assert whats(cb) == ["xai_sdk"]
    assert take_internal_errors() == {"install grpc": 1}


@pytest.mark.parametrize("format", ["table", "json", "md", "summary", "github"])
def test_f131_a_report_says_what_the_run_did_not_see(format, tmp_path, monkeypatch):
    """Each format that has room for a sentence; the record is not complete."""
    modules.put_in(monkeypatch, "xai_sdk")
    with pytest.warns(BlindSpotWarning), meter(ledger=tmp_path):
        pass
    reader = read_run(tmp_path)
    summary = summarise(reader)

    text = render(summary, parse_target(format))

    assert reader.facts.blind_spots[0].what == "xai_sdk"
    assert not reader.facts.is_complete
    assert "xai_sdk" in " ".join(text.split())
    if format == "json":
        assert json.loads(text)["run"]["complete"] is False
        assert [warning["code"] for warning in json.loads(text)["warnings"]] == ["blind-spot"]


def test_a_sink_of_ones_own_is_told_of_blind_spots(monkeypatch):
    """By a method that it may have."""

    class Sink:
        def __init__(self) -> None:
            self.told: list[BlindSpot] = []

        def on_blind_spot(self, spot: BlindSpot) -> None:
            self.told.append(spot)

        def on_start(self, *_: Any) -> None: ...
        def on_end(self, *_: Any) -> None: ...
        def on_discard(self, *_: Any) -> None: ...
        def on_refused(self, *_: Any) -> None: ...
        def close(self) -> None: ...

    modules.put_in(monkeypatch, "xai_sdk")
    sink = Sink()
    with pytest.warns(BlindSpotWarning), meter(ledger=sink):
        pass

    assert [spot.what for spot in sink.told] == ["xai_sdk"]


# Clients whose requests pass us by.


def aside() -> Any:
    """A client that answers in the place of a server; made anew, so that its class is gone after the test."""

    class Aside(sdk_http.Client):  # type: ignore[misc]
        def send(self, request: Any, **_: Any) -> Any:
            return sdk_http.Response(200, json=CHAT_BODY, request=request)

    return Aside()


def aside_async() -> Any:
    class Aside(sdk_http.AsyncClient):  # type: ignore[misc]
        async def send(self, request: Any, **_: Any) -> Any:
            return sdk_http.Response(200, json=CHAT_BODY, request=request)

    return Aside()


ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def _sync(calls: int) -> None:
    with openai.OpenAI(api_key="k", http_client=aside()) as client:
        for _ in range(calls):
            client.chat.completions.create(**ASK)


def _async(calls: int) -> None:
    async def ask() -> None:
        async with openai.AsyncOpenAI(api_key="k", http_client=aside_async()) as client:
            for _ in range(calls):
                await client.chat.completions.create(**ASK)

    asyncio.run(ask())


@pytest.mark.parametrize("options", [{}, {"max_calls": 9}, {"max_cost": 1}, {"handlers": [lambda call: None]}])
@pytest.mark.parametrize("act", [_sync, _async])
def test_f133_a_call_that_only_the_gate_saw_is_unmeasured_and_named(act, options):
    """With a limit, a handler, or nothing at all."""
    with pytest.warns(BlindSpotWarning, match="http_client Aside"), meter(keep_calls=True, **options) as cb:
        act(2)

    assert (cb.unmeasured_calls, cb.is_complete) == (2, False)
    assert [call.request_model for call in cb.calls] == ["gpt-4o-mini"] * 2


@pytest.mark.parametrize("act", [_sync, _async])
def test_f133_a_limit_on_calls_holds_for_calls_that_only_the_gate_sees(act):
    """The third is refused."""
    with pytest.warns(BlindSpotWarning), meter(max_calls=2, warn_at=None) as cb, pytest.raises(BudgetExceededError):
        act(6)

    assert (cb.successful_requests, cb.remaining.calls) == (2, 0)


@pytest.mark.parametrize("limit", [{"max_cost": "0.0010"}, {"max_tokens": 1500}], ids=lambda limit: next(iter(limit)))
@pytest.mark.parametrize("act", [_sync, _async])
def test_f133_limits_on_money_and_tokens_hold_by_what_such_a_call_may_have_used(act, limit):
    """A call reserves its prompt and 1,024 tokens, about $0.0006; of that nothing comes back."""
    with pytest.warns(BlindSpotWarning), meter(warn_at=None, **limit) as cb, pytest.raises(BudgetExceededError):
        act(6)

    assert (cb.unmeasured_calls, cb.is_complete) == (1, False)


def test_f133_what_is_counted_by_hand_is_counted_once():
    """As the warning advises: the limit is suspended, and `record` says what the calls used."""
    with meter(max_tokens=2000) as cb:
        with pytest.warns(BlindSpotWarning, match=r"cb\.record"), cb.suspended():
            _sync(2)
        cb.record(model="gpt-4o-mini", prompt_tokens=10, completion_tokens=5)

    assert cb.remaining.tokens == 2000 - 15


def test_a_client_that_hands_its_requests_on_counts_once():
    """A `send` of one's own is no blind spot if it reaches ours."""

    class Through(sdk_http.Client):  # type: ignore[misc]
        def send(self, request: Any, **more: Any) -> Any:
            return super().send(request, **more)

    transport = sdk_http.MockTransport(lambda _: sdk_http.Response(200, json=CHAT_BODY))
    with openai.OpenAI(api_key="k", http_client=Through(transport=transport)) as client, meter(max_calls=5) as cb:
        client.chat.completions.create(**ASK)

    assert (cb.successful_requests, cb.total_tokens, cb.blind_spots) == (1, 15, ())


def test_a_call_that_failed_before_it_was_sent_is_no_missed_one():
    """Nothing came back from it."""

    class Broken(sdk_http.Client):  # type: ignore[misc]
        def send(self, request: Any, **_: Any) -> Any:
            raise RuntimeError("no")

    client = openai.OpenAI(api_key="k", http_client=Broken(), max_retries=0)
    with client, meter(max_calls=5) as cb, pytest.raises((RuntimeError, openai.APIConnectionError)):
        client.chat.completions.create(**ASK)

    assert (cb.unmeasured_calls, cb.blind_spots) == (0, ())


# Children.


def _nothing() -> None:
    """What a child does."""


def _pool() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(_nothing).result()


def _process(kind: str) -> None:
    process = multiprocessing.get_context(kind).Process(target=_nothing)
    process.start()
    process.join()


def _fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


STARTS: list[Callable[[], Any]] = [
    lambda: subprocess.run([sys.executable, "-c", ""], check=True),
    lambda: subprocess.run(f"{sys.executable} -c ''", shell=True, check=True),
    lambda: asyncio.run(_async_child()),
    _pool,
    lambda: _process("spawn"),
    pytest.param(lambda: _process("fork"), marks=needs_fork),
    pytest.param(_fork, marks=needs_fork),
]  # type: ignore[list-item]


async def _async_child() -> None:
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await child.wait()


@pytest.mark.parametrize("start", STARTS)
def test_f135_a_child_that_is_started_in_a_block_is_named(start):
    """By one warning that says what to do."""
    with pytest.warns(BlindSpotWarning, match=r"token-meter run.*ledger=") as said, meter() as cb:
        start()

    assert (whats(cb), cb.is_complete) == (["child processes"], False)
    assert (len(said), said[0].filename) == (1, __file__)


QUIET: list[Callable[[], Any]] = [
    lambda: subprocess.run(["true"], check=True),
    lambda: subprocess.run("true", shell=True, check=True),
    lambda: subprocess.run([sys.executable, "-m", "pip", "--version"], check=True, capture_output=True),
    lambda: subprocess.run([sys.executable, "--version"], check=True, capture_output=True),
    lambda: subprocess.run(["true"], check=True, preexec_fn=_nothing),
    lambda: subprocess.run(map(str, ["true"]), check=True),  # it can be read once, and that is for `Popen`
    lambda: subprocess.run(args=iter([sys.executable, "--version"]), check=True, capture_output=True),
]


@pytest.mark.parametrize("start", QUIET)
@pytest.mark.skipif(sys.platform == "win32", reason="it has no `true`")
def test_a_child_that_can_call_no_model_is_no_blind_spot(start):
    """Most children are other programs."""
    with meter() as cb:
        start()

    assert (cb.blind_spots, cb.is_complete) == ((), True)


def test_a_child_outside_of_every_block_is_no_blind_spot():
    """A closed meter hears nothing."""
    with meter() as cb:
        pass
    subprocess.run([sys.executable, "-c", ""], check=True)

    assert cb.blind_spots == ()


def test_a_child_that_takes_part_in_a_run_is_no_blind_spot(tmp_path):
    """Its calls are in the run."""
    with meter() as cb:
        subprocess.run([sys.executable, "-S", "-c", ""], check=True, env={"TOKEN_METER_RUN_DIR": str(tmp_path)})

    assert cb.blind_spots == ()


@needs_fork
def test_a_fork_of_a_meter_with_a_ledger_is_no_blind_spot(tmp_path):
    """The child writes its calls into it."""
    with meter(ledger=tmp_path) as cb:
        _fork()

    assert cb.blind_spots == ()


# Blocks that end elsewhere, and that never were.


def _depends() -> Iterator[Meter]:
    with meter() as cb:
        yield cb


def _steps_in_contexts() -> Meter:
    steps = _depends()
    cb = contextvars.copy_context().run(next, steps)
    contextvars.copy_context().run(next, steps, None)
    return cb


def _steps_in_threads() -> Meter:
    """As FastAPI runs a plain `def` dependency: each step in a worker thread, with a copy of the context."""
    from anyio import run, to_thread

    async def request() -> Meter:
        steps = _depends()
        cb = await to_thread.run_sync(next, steps)
        await to_thread.run_sync(next, steps, None)
        return cb

    return run(request)


def _by_hand() -> Meter:
    cb = Meter()
    thread = threading.Thread(target=cb.__enter__)
    thread.start()
    thread.join()
    cb.__exit__(None, None, None)
    return cb


@pytest.mark.parametrize("act", [_steps_in_contexts, _steps_in_threads, _by_hand])
def test_f136_a_block_that_is_left_in_another_context_says_what_to_write(act):
    """Zeros of such a block say nothing."""
    with pytest.warns(BlindSpotWarning, match="async def"):
        cb = act()

    assert (cb.total_tokens, cb.is_complete) == (0, False)
    assert whats(cb) == ["a block left in another context"]


def test_f136_no_exception_is_replaced_under_warnings_as_errors(caplog):
    """The block's own exception passes; the log has the warning."""
    steps = _depends()
    contextvars.copy_context().run(next, steps)

    with pytest.raises(KeyError):
        contextvars.copy_context().run(steps.throw, KeyError("own"))

    assert "left in another context" in caplog.text


@pytest.mark.parametrize("options", [{"scope": "process"}, {}])
def test_a_meter_of_the_process_and_a_decorated_generator_may_end_anywhere(options):
    """The one counts everywhere, the other only while it runs."""

    @meter()
    def generator() -> Iterator[int]:
        yield 1

    if options:
        cb = Meter(**options)
        contextvars.copy_context().run(cb.__enter__)
        cb.__exit__(None, None, None)
        assert cb.blind_spots == ()
    else:
        steps = generator()
        contextvars.copy_context().run(next, steps)
        contextvars.copy_context().run(steps.close)


@pytest.mark.parametrize("options", [{}, {"name": "n"}, {"max_calls": 3}, {"scope": "process"}])
def test_f137_a_meter_that_was_never_opened_says_so(options):
    """In each of its texts; its zeros are not complete."""
    cb = meter(**options)

    assert "never opened" in repr(cb)
    assert "never opened" in str(cb)
    assert "never opened" in cb._repr_html_()
    assert cb.is_complete is False
    assert cb.to_dict()["is_complete"] is False


def test_a_meter_that_was_opened_or_told_of_calls_is_not_never_opened():
    """`cb.record` needs no block."""
    with meter() as opened:
        assert "open:" in repr(opened)
    told = meter()
    told.record("gpt-4o-mini", provider="openai", prompt_tokens=1, completion_tokens=1)

    assert ("closed" in repr(opened), opened.is_complete) == (True, True)
    assert ("closed" in repr(told), told.is_complete) == (True, True)
