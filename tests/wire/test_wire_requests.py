"""Which requests are ours, and what they ask for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from token_meter.providers import PROVIDERS, Route, api_named, route_of
from token_meter.wire import RequestInfo, read_request


@pytest.mark.parametrize(
    ("path", "api", "prefix", "deployment"),
    [
        ("/v1/chat/completions", "chat", "/v1", None),
        ("/chat/completions", "chat", "", None),
        ("/chat/completions/", "chat", "", None),
        ("/compatible-mode/v1/chat/completions", "chat", "/compatible-mode/v1", None),
        ("/openai/v1/chat/completions", "chat", "/openai/v1", None),
        ("/openai/deployments/prod/chat/completions", "chat", "/openai", "prod"),
        ("/gw/openai/deployments/prod-4o/embeddings", "embeddings", "/gw/openai", "prod-4o"),
        ("/usage/v1/chat/completions", "chat", "/usage/v1", None),
        ("/v1/completions", "completions", "/v1", None),
        ("/v1/engines/davinci/completions", "completions", "/v1/engines/davinci", None),
        ("/v1/responses", "responses", "/v1", None),
        ("/v1/responses/compact", "compaction", "/v1", None),
        ("/v1/embeddings", "embeddings", "/v1", None),
        ("/v1/images/generations", "images", "/v1", None),
        ("/v1/images/edits", "images", "/v1", None),
        ("/v1/images/variations", "images", "/v1", None),
        ("/v1/audio/transcriptions", "transcriptions", "/v1", None),
        ("/v1/decisions", "decisions", "/v1", None),
        ("/v1/threads/runs", "runs", "/v1", None),
        ("/v1/threads/thread_1/runs", "runs", "/v1", None),
    ],
)
def test_creating_posts_are_ours(path: str, api: str, prefix: str, deployment: str | None) -> None:
    """The suffix tells the api under any prefix; Azure's deployment stands apart."""
    assert route_of("POST", path) == Route(api_named(api), "openai", "create", prefix, deployment)
    assert route_of("post", path) == route_of("POST", path)
    assert route_of("GET", path) is None


@pytest.mark.parametrize(
    "path",
    [
        "/v1/audio/speech",
        "/v1/audio/translations",
        "/v1/moderations",
        "/v1/videos",
        "/v1/videos/edits",
        "/v1/videos/extensions",
        "/v1/videos/video_1/remix",
    ],
)
def test_some_apis_never_report(path: str) -> None:
    """They are metered calls, but their usage must not be waited for."""
    route = route_of("POST", path)

    assert route is not None
    assert (route.action, route.prefix, route.api.is_metered) == ("create", "/v1", False)


@pytest.mark.parametrize(
    ("method", "path", "api"),
    [
        ("GET", "/v1/responses/resp_1", "responses"),
        ("POST", "/v1/responses/resp_1/cancel", "responses"),
        ("GET", "/v1/threads/t_1/runs/run_1", "runs"),
        ("POST", "/v1/threads/t_1/runs/run_1/submit_tool_outputs", "runs"),
        ("POST", "/v1/threads/t_1/runs/run_1/cancel", "runs"),
    ],
)
def test_f33_asking_again_is_no_new_call(method: str, path: str, api: str) -> None:
    """What was created before may only now be over."""
    assert route_of(method, path) == Route(api_named(api), "openai", "retrieve", "/v1")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/responses/input_tokens"),
        ("GET", "/v1/responses/input_tokens"),
        ("GET", "/v1/responses"),
        ("GET", "/v1/responses/"),
        ("GET", "/v1/responses/resp_1/input_items"),
        ("DELETE", "/v1/responses/resp_1"),
        ("GET", "/v1/chat/completions"),
        ("GET", "/v1/chat/completions/chatcmpl-1"),
        ("POST", "/v1/chat/completions/chatcmpl-1"),
        ("GET", "/v1/chat/completions/chatcmpl-1/messages"),
        ("GET", "/v1/organization/usage/completions"),
        ("POST", "/v1/organization/usage/completions"),
        ("POST", "/v1/organization/usage/embeddings"),
        ("POST", "/v1/evals/eval_1/runs"),
        ("GET", "/v1/evals/eval_1/runs/run_1"),
        ("GET", "/v1/videos"),
        ("GET", "/v1/videos/video_1"),
        ("GET", "/v1/videos/video_1/content"),
        ("DELETE", "/v1/videos/video_1"),
        ("POST", "/v1/videos/characters"),
        ("POST", "/youtube/v3/videos"),
        ("GET", "/v1/batches"),
        ("GET", "/v1/files/f_1"),
        ("GET", "/v1/threads/t_1/runs"),
        ("GET", "/v1/threads/t_1/runs/run_1/steps"),
        ("POST", "/v1/threads/t_1/messages"),
        ("POST", "/v1/fine_tuning/alpha/graders/run"),
        ("POST", "/x/not-embeddings"),
        ("POST", "/x/embeddings-v2"),
        ("POST", "/v1/chat-completions"),
        ("POST", "/"),
        ("POST", ""),
        ("POST", "//"),
    ],
)
def test_f34_estimates_and_reports_of_spending_are_not_ours(method: str, path: str) -> None:
    """Lists, estimates, reports of other spending, and words that only resemble a suffix."""
    assert route_of(method, path) is None


def test_a_name_in_a_record_leads_to_one_reader() -> None:
    """Providers that serve an api under another path, or each other's, share its layout."""
    formats: dict[str, Any] = {}
    for provider in PROVIDERS.providers.values():
        for api in provider.apis:
            assert formats.setdefault(api.name, api.format) == api.format, (provider.id, api.name)


def _body(**keys: Any) -> bytes:
    return json.dumps(keys, separators=(",", ":")).encode()


LONG = [{"role": "user", "content": 'the "model":"decoy" and "stream":true ' * 5_000}]
TOOLS = [{"function": {"parameters": {"properties": {"model": {"type": "string"}, "stream": True}}}}]
MANY = TOOLS * 2_000


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        (_body(messages=[], model="m"), RequestInfo("m")),
        (_body(messages=[], model="m", stream=True), RequestInfo("m", stream=True)),
        (_body(messages=[], model="m", stream=False), RequestInfo("m")),
        (_body(messages=[], model="m", stream="yes"), RequestInfo("m")),
        (_body(background=True, input="x", model="m", stream=True), RequestInfo("m", True, True)),
        (_body(messages=LONG, model="m", stream=True), RequestInfo("m", stream=True)),
        (_body(model="m", stream=True, messages=LONG), RequestInfo("m", stream=True)),
        (_body(model="m", messages=LONG, tools=TOOLS), RequestInfo("m")),
        (_body(messages=LONG, model="m", stream=True, tools=TOOLS), RequestInfo("m", stream=True)),
        (_body(messages=LONG, model="m", stream=True, tools=MANY), RequestInfo("m", stream=True)),
        (_body(messages=LONG, tools=MANY), RequestInfo()),
        (_body(tools=MANY, model="m", messages=LONG), RequestInfo("m")),
        (_body(metadata={"model": "no", "stream": True}, messages=LONG), RequestInfo()),
        (_body(messages=[{"content": '"model":"no"'}]), RequestInfo()),
        (_body(model=7), RequestInfo()),
        (
            json.dumps({"messages": LONG, "model": "m", "stream": True}, indent=2).encode(),
            RequestInfo("m", stream=True),
        ),
        (b"", RequestInfo()),
        (b"[]", RequestInfo()),
        (b'{"model":"m"', RequestInfo()),
        (b'{"model":' * 50_000, RequestInfo()),
        (b'"model":"m"', RequestInfo()),
    ],
)
def test_json_requests_say_what_they_want(content: bytes, asked: RequestInfo) -> None:
    """The outer keys only, wherever they stand and however long the prompt is."""
    assert read_request(content) == asked


def _form(fields: dict[str, str], file: bytes, *, file_first: bool = False) -> bytes:
    parts = [f'--b0\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()]
    audio = b'--b0\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + file + b"\r\n"
    return b"".join([audio, *parts] if file_first else [*parts, audio]) + b"--b0--\r\n"


@pytest.mark.parametrize("file_first", [False, True])
@pytest.mark.parametrize("size", [10, 1_000_000])
def test_forms_say_what_they_want(file_first: bool, size: int) -> None:
    """Transcriptions and edits are sent as forms: the fields stand before or behind the file."""
    decoy = b'Content-Disposition: form-data; name="model"\r\n\r\ndecoy\r\n'
    fields = {"model": "gpt-4o-transcribe", "stream": "true"}

    asked = read_request(_form(fields, decoy + b"\x00" * size, file_first=file_first))

    assert asked == RequestInfo("gpt-4o-transcribe", stream=True)


def test_a_form_as_the_client_library_writes_it() -> None:
    """The layout is httpx2's own."""
    httpx2 = pytest.importorskip("httpx2")
    files = {"file": ("a.wav", b"\x00\x01", "audio/wav")}
    request = httpx2.Request("POST", "http://x/audio/transcriptions", data={"model": "whisper-1"}, files=files)

    assert read_request(request.read()) == RequestInfo("whisper-1")
    assert read_request(b"--") == RequestInfo()
