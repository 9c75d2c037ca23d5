"""Mock libraries and transports that people put below the SDK: who is said to have answered."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.conftest import CHAT_BODY
from token_meter import meter

URL = "https://api.openai.com/v1/chat/completions"
ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
WHY = "a neighbour that `make compat` installs"


async def sources_of(**how: Any) -> list[str]:
    """What a call of each colour is recorded as."""
    with meter(keep_calls=True) as cb:
        with httpx.Client(**how) as client:
            client.post(URL, json=ASK)
        async with httpx.AsyncClient(**how) as asyn:
            await asyn.post(URL, json=ASK)
    assert cb.total_tokens == 30
    return [call.source for call in cb.calls]


async def test_f167_pytest_httpx_is_mocked(request: pytest.FixtureRequest) -> None:
    """Its answers tell the HTTP version, and of no socket."""
    pytest.importorskip("pytest_httpx", reason=WHY)
    mock = request.getfixturevalue("httpx_mock")
    mock.add_response(url=URL, json=CHAT_BODY)
    mock.add_response(url=URL, json=CHAT_BODY)

    assert await sources_of() == ["mock", "mock"]


async def test_f167_retries_of_a_mock_are_mocked(request: pytest.FixtureRequest) -> None:
    """httpx-retries passes on what the transport below it gave."""
    retries = pytest.importorskip("httpx_retries", reason=WHY)
    pytest.importorskip("pytest_httpx", reason=WHY)
    mock = request.getfixturevalue("httpx_mock")
    mock.add_response(url=URL, json=CHAT_BODY)
    mock.add_response(url=URL, json=CHAT_BODY)

    assert await sources_of(transport=retries.RetryTransport()) == ["mock", "mock"]


@pytest.mark.parametrize("library", ["pook", "mocket"])
def test_f167_what_a_library_answers_below_the_client_is_mocked(library: str) -> None:
    """pook puts a transport of its own in the place of the client's, mocket a socket. Both know the legacy library."""
    pytest.importorskip(library, reason=WHY)
    if library == "pook":
        import pook

        pook.post(URL, response_json=CHAT_BODY)
        mock = pook.use()
    else:
        from mocket import Mocketizer
        from mocket.mocks.mockhttp import Entry

        mock = Mocketizer()
    with mock, meter(keep_calls=True) as cb, httpx.Client(verify=False) as client:
        if library == "mocket":
            Entry.single_register(
                Entry.POST, URL, body=json.dumps(CHAT_BODY), headers={"content-type": "application/json"}
            )
        client.post(URL, json=ASK)

    assert (cb.total_tokens, [call.source for call in cb.calls]) == (15, ["mock"])
