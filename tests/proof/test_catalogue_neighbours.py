"""The fault catalogue, F100 to F114: handlers, other people's patches, moved seams, and what we leave behind."""

from __future__ import annotations

import copy
import gc
import logging
import pickle
import subprocess
import sys
import threading
import weakref
from typing import Any

import httpx2
import pytest

import token_meter
from tests.contract import shapes
from tests.contract.shapes import result
from tests.proof.canned import DONE, USAGE, ask, event, json_body, read, streaming, telling
from token_meter import BlindSpotWarning, Call, CallbackHandler, meter
from token_meter.runtime.hub import HUB


def test_f103_a_handler_cannot_change_what_others_read():
    """It gets a frozen record."""
    attempts: list[str] = []

    def vandal(call: Call) -> None:
        for change in (lambda: setattr(call, "usage", None), lambda: setattr(call.usage, "total_tokens", 0)):
            try:
                change()
            except AttributeError:
                attempts.append("refused")

    with telling(json_body(USAGE)) as client, meter(handlers=[vandal], keep_calls=True) as cb:
        ask(client)

    assert attempts == ["refused", "refused"]
    assert cb.total_tokens == 15


async def test_f106_the_first_piece_is_there_before_the_last_was_sent(make, simulator):
    """Nothing is read ahead."""
    client = make.openai(base_url=simulator.base_url_with(delay=0.03, words=30), api_key="sim-test")
    with meter():
        events = await result(client.chat.completions.create(**shapes.CHAT, stream=True))
        async for _ in shapes.each(events):
            assert simulator.app.books.open("sim-test") == 1
            break
        await result(events.close())


async def test_f107_answers_pickle_and_copy_as_without_a_meter(make, simulator):
    """Nothing of ours is on the caller's objects."""
    client = make.openai(base_url=simulator.base_url, api_key="sim-test")
    with meter():
        raw = await result(client.chat.completions.with_raw_response.create(**shapes.CHAT))
        parsed = await result(client.chat.completions.create(**shapes.CHAT))
    response = raw.http_response

    assert copy.deepcopy(parsed) == parsed
    assert pickle.loads(pickle.dumps(response)).content == response.content
    assert not [name for name in vars(response) if "meter" in name]


@pytest.mark.parametrize("shape", ["stream", "streaming_response_lines", "responses_stream"])
async def test_f109_an_answer_iterated_twice_counts_once(make, simulator, shape):
    """The SDK drains an async stream a second time after `[DONE]`."""
    client = make.openai(base_url=simulator.base_url, api_key="sim-test")
    with meter() as cb:
        await shapes.MEASURED[shape](client)

    assert (cb.successful_requests, cb.total_tokens) == (1, simulator.bill("sim-test").total_tokens)


def test_f110_a_send_that_never_reaches_ours_is_told(monkeypatch):
    """A library whose client no longer passes `send`: the self-test at install says so."""

    class Moved(httpx2.AsyncClient):
        def __getattribute__(self, name: str) -> Any:
            if name == "send":
                return None
            return super().__getattribute__(name)

    monkeypatch.setattr(httpx2, "AsyncClient", Moved)
    with pytest.warns(BlindSpotWarning, match="httpx2"), meter():
        pass
    HUB.internal_errors.clear()


def test_f112_a_meter_works_where_the_sdk_is_missing():
    """No openai, no httpx: a meter that reads 0."""
    code = (
        "import sys\nfor name in ('openai', 'httpx', 'httpx2'): sys.modules[name] = None\n"
        "from token_meter import meter\nwith meter() as cb: pass\nprint(cb.total_tokens, cb.is_complete)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)

    assert (done.stdout, done.returncode) == ("0 True\n", 0), done.stderr


@pytest.mark.parametrize("kind", ["meter", "client", "answer", "stream"])
def test_f114_what_was_used_dies(kind):
    """Weak references of meters, clients, answers and streams are dead after a collection."""
    found: list[weakref.ref[Any]] = []

    def use() -> None:
        with meter(handlers=[CallbackHandler()]) as cb, streaming(event(USAGE), DONE) as client:
            events = ask(client, stream=True)
            list(events)
            with telling(json_body(USAGE)) as other:
                answer = ask(other)
            found.append(weakref.ref({"meter": cb, "client": client, "answer": answer, "stream": events}[kind]))

    for _ in range(3):
        use()
    with meter():  # what a closed meter was the last to hold
        pass
    gc.collect()

    assert [reference() for reference in found] == [None] * 3


def test_f114_no_thread_of_ours_is_ever_started():
    """Sync calls, streams and handlers run where the caller runs."""
    before = set(threading.enumerate())
    with meter(handlers=[CallbackHandler()]), streaming(event(USAGE), DONE) as client:
        read(client)

    assert set(threading.enumerate()) <= before


def test_f113_without_a_meter_a_call_passes_one_check(monkeypatch):
    """The observer is not even asked."""
    with meter():
        pass
    asked: list[Any] = []
    monkeypatch.setattr(HUB, "on_request", lambda *given: asked.append(given))
    with telling(json_body(USAGE)) as client:
        ask(client)

    assert asked == []


def test_f02_an_internal_error_is_logged_once_and_without_its_text(monkeypatch, caplog):
    """The text of an exception may quote a body."""

    def fail(*_: Any) -> Any:
        raise ValueError("secret of a body")

    monkeypatch.setattr(HUB, "_on_request", fail)
    with caplog.at_level(logging.DEBUG, "token_meter"), telling(json_body(USAGE)) as client, meter() as cb:
        ask(client)
        ask(client)
    assert sum(HUB.internal_errors.values()) == 2
    HUB.internal_errors.clear()

    assert sum("internal error" in record.message for record in caplog.records) == 1
    assert "secret" not in caplog.text
    assert cb.total_tokens == 0
    assert token_meter.unattributed() >= 0
