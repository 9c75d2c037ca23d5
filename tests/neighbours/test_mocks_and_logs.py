"""Neighbours of every test suite: respx with the legacy library, cassettes, and the HTTP libraries' own log."""

from __future__ import annotations

import logging

import httpx
import pytest
import respx
from openai import OpenAI

from tests.conftest import CHAT_BODY, sdk_http
from tests.contract import shapes
from token_meter import meter

URL = "https://api.openai.com/v1/chat/completions"


def test_respx_answers_are_counted_once():
    """respx stands below `send`; it knows the legacy library only."""
    with respx.mock() as mock, httpx.Client() as http:
        route = mock.post(URL).respond(json=CHAT_BODY)
        client = OpenAI(api_key="sk-x", http_client=http)
        with meter() as cb:
            client.chat.completions.create(**shapes.CHAT)
        with meter() as inner:
            client.chat.completions.create(**shapes.CHAT)

    assert route.call_count == 2
    assert (cb.successful_requests, cb.total_tokens) == (1, 15)
    assert (inner.successful_requests, inner.total_tokens) == (1, 15)


def test_respx_started_inside_the_block_works_too():
    """In either order."""
    with meter() as cb, respx.mock() as mock, httpx.Client() as http:
        mock.post(URL).respond(json=CHAT_BODY)
        OpenAI(api_key="sk-x", http_client=http).chat.completions.create(**shapes.CHAT)

    assert (cb.successful_requests, cb.total_tokens) == (1, 15)


def test_the_librarys_log_has_one_line_a_call_as_without_a_meter(simulator, caplog):
    """No line for the self-test at installation, none doubled."""
    caplog.set_level(logging.INFO)
    with OpenAI(base_url=simulator.base_url, api_key="sim-log", max_retries=0) as client:
        client.chat.completions.create(**shapes.CHAT)
        bare = [(r.name, r.getMessage()) for r in caplog.records if r.name == sdk_http.__name__]
        caplog.clear()
        with meter():
            client.chat.completions.create(**shapes.CHAT)
    metered = [(r.name, r.getMessage()) for r in caplog.records if r.name == sdk_http.__name__]

    assert len(bare) == 1
    assert metered == bare


@pytest.mark.parametrize("library", sorted({httpx.__name__, sdk_http.__name__}))
def test_replays_are_counted_and_the_server_is_not_asked(simulator, tmp_path, library):
    """F43: a cassette recorded without a meter and replayed under one."""
    vcr = pytest.importorskip("vcr", reason="a neighbour that `make compat` installs")
    module = {httpx.__name__: httpx, sdk_http.__name__: sdk_http}[library]
    tape = str(tmp_path / "tape.yaml")
    options = {"base_url": simulator.base_url, "api_key": "sim-vcr", "max_retries": 0}
    with OpenAI(http_client=module.Client(verify=False), **options) as client, vcr.use_cassette(tape):
        answer = client.chat.completions.create(**shapes.CHAT)
    with OpenAI(http_client=module.Client(verify=False), **options) as client:
        with vcr.use_cassette(tape, record_mode="none"), meter(keep_calls=True) as cb:
            again = client.chat.completions.create(**shapes.CHAT)

    assert simulator.bill("sim-vcr").calls == 1
    assert (cb.successful_requests, cb.total_tokens) == (1, answer.usage.total_tokens)
    assert again.choices[0].message.content == answer.choices[0].message.content
    assert cb.calls[0].source == "replay"


def test_a_call_that_the_cassette_does_not_know_fails_as_without_a_meter(simulator, tmp_path):
    """The caller gets the error that it got before; the meter a failed request, and no tokens."""
    vcr = pytest.importorskip("vcr", reason="a neighbour that `make compat` installs")
    tape = str(tmp_path / "empty.yaml")

    def ask(client: OpenAI) -> list[type[BaseException] | None]:
        with vcr.use_cassette(tape, record_mode="none"), pytest.raises(Exception, match=r".") as caught:
            client.chat.completions.create(**shapes.CHAT)
        return [type(caught.value), type(caught.value.__cause__)]

    with OpenAI(base_url=simulator.base_url, api_key="sim-vcr", max_retries=0) as client:
        bare = ask(client)
        with meter() as cb:
            metered = ask(client)

    assert metered == bare
    assert (cb.failed_requests, cb.successful_requests, cb.total_tokens) == (1, 0, 0)
    assert simulator.bill("sim-vcr").calls == 0
