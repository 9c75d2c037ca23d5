"""F167: a test suite that mocks in the ways of its libraries' docs, run with `--meter`: it has spent nothing."""

from __future__ import annotations

import json

import pytest

from tests.neighbours.test_mock_libraries import WHY

SUITE = """
import json, re
import anthropic, httpx, openai, pytest

URL = "https://api.openai.com/v1/chat/completions"
CLAUDE = "https://api.anthropic.com/v1/messages"
CHAT = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 5, "total_tokens": 1_000_005},
}
MESSAGE = {
    "id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-5", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 1_000_000, "output_tokens": 5},
}
HI = [{"role": "user", "content": "hi"}]
web = pytest.importorskip("httpx2" if int(openai.__version__.partition(".")[0]) >= 3 else "httpx")


def ask_openai(**how):
    return openai.OpenAI(api_key="sk-x", max_retries=0, **how).chat.completions.create(model="gpt-4o-mini", messages=HI)


def ask_anthropic(**how):
    client = anthropic.Anthropic(api_key="sk-x", max_retries=0, **how)
    return client.messages.create(model="claude-sonnet-5", max_tokens=9, messages=HI)


def test_openai_over_a_mock_transport():
    transport = web.MockTransport(lambda _: web.Response(200, json=CHAT))
    assert ask_openai(http_client=web.Client(transport=transport)).usage.total_tokens == 1_000_005


async def test_async_openai_over_a_mock_transport():
    async def answer(_):
        return web.Response(200, json=CHAT)

    http = web.AsyncClient(transport=web.MockTransport(answer))
    async with openai.AsyncOpenAI(api_key="sk-x", http_client=http) as client:
        await client.chat.completions.create(model="gpt-4o-mini", messages=HI)


def test_openai_streamed():
    piece = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini", "choices": []}
    body = f"data: {json.dumps({**piece, 'usage': CHAT['usage']})}\\n\\ndata: [DONE]\\n\\n"
    kind = {"content-type": "text/event-stream"}
    transport = web.MockTransport(lambda _: web.Response(200, headers=kind, content=body))
    client = openai.OpenAI(api_key="sk-x", http_client=web.Client(transport=transport))
    assert list(client.chat.completions.create(model="gpt-4o-mini", messages=HI, stream=True))


def test_anthropic_over_a_mock_transport():
    below = getattr(anthropic._base_client, "httpx2", httpx)
    transport = below.MockTransport(lambda _: below.Response(200, json=MESSAGE))
    assert ask_anthropic(http_client=below.Client(transport=transport)).usage.output_tokens == 5


def test_by_the_fixture_of_respx(respx_mock):
    respx_mock.post(CLAUDE).respond(json=MESSAGE)
    httpx.post(CLAUDE, json={"model": "claude-sonnet-5", "max_tokens": 9, "messages": HI})


async def test_by_pytest_httpx(httpx_mock):
    httpx_mock.add_response(url=URL, json=CHAT)
    async with httpx.AsyncClient() as client:
        await client.post(URL, json={"model": "gpt-4o-mini", "messages": HI})


def test_by_responses():
    import requests, responses
    with responses.RequestsMock() as mock:
        mock.post(URL, json=CHAT)
        requests.post(URL, json={"model": "gpt-4o-mini", "messages": HI})


def test_by_the_fixture_of_requests_mock(requests_mock):
    import requests
    requests_mock.post(URL, json=CHAT)
    requests.post(URL, json={"model": "gpt-4o-mini", "messages": HI})


async def test_by_aioresponses():
    import aiohttp, aioresponses
    from types import SimpleNamespace
    def made(*args, **kwargs):  # 0.7.9 does not know aiohttp 3.14
        return aiohttp.ClientResponse(*args, stream_writer=SimpleNamespace(output_size=0), **kwargs)
    with aioresponses.aioresponses() as mock:
        mock.post(URL, payload=CHAT, response_class=made)
        async with aiohttp.ClientSession() as session, session.post(URL, json={"model": "gpt-4o-mini"}) as found:
            await found.json()


@pytest.mark.vcr
def test_by_pytest_recording():
    ask_anthropic()
"""
CASSETTE = """
version: 1
interactions:
- request: {method: POST, uri: "https://api.anthropic.com/v1/messages", body: null, headers: {}}
  response:
    status: {code: 200, message: OK}
    headers: {content-type: [application/json], date: ["Fri, 01 Aug 2025 10:00:00 GMT"]}
    body: {string: '%s'}
"""
MESSAGE = {
    "id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-5", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 1_000_000, "output_tokens": 5},
}  # fmt: skip
MOCKED, REPLAYED = 9, 1
PLUGINS = (
    "token_meter.pytest_plugin", "respx.plugin", "pytest_httpx", "pytest_recording.plugin", "pytest_asyncio.plugin",
    "requests_mock.contrib._pytest_plugin",
)  # fmt: skip


def test_f167_a_mocked_suite_has_spent_nothing(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit on spending holds, though one answer says a million tokens; each is counted, as mocked or replayed."""
    for library in ("pytest_httpx", "pytest_recording", "responses", "requests_mock", "aioresponses"):
        pytest.importorskip(library, reason=WHY)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(test_mocked=SUITE)
    pytester.makeini("[pytest]\nasyncio_mode = auto")
    tape = pytester.mkdir("cassettes") / "test_mocked" / "test_by_pytest_recording.yaml"
    tape.parent.mkdir()
    tape.write_text(CASSETTE % json.dumps(MESSAGE))

    done = pytester.runpytest_subprocess(
        *[word for plugin in PLUGINS for word in ("-p", plugin)],
        "--meter", "--meter-max-spend=0.01", "--meter-report=json:r.json",
    )  # fmt: skip

    assert done.ret == 0
    done.stdout.fnmatch_lines([f"spent $0.00 (0 live calls, {REPLAYED} replayed, {MOCKED} mocked)"])
    totals = json.loads((pytester.path / "r.json").read_text())["totals"]
    assert (totals["calls"], totals["live"], totals["mocked"], totals["replayed"]) == (
        MOCKED + REPLAYED,
        0,
        MOCKED,
        REPLAYED,
    )
    assert (totals["unmeasured"], totals["estimated"]) == (0, 0)
