"""The pieces of the heart where their corners are: estimates, limits, subscribers, prompts, the helper loop, returns."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import openai
import pytest

import token_meter
from tests.conftest import CHAT_BODY, sdk_http
from tests.handlers.conftest import MESSAGES, Chunks
from token_meter import BudgetExceededError, UnpricedModelError, callbacks, meter
from token_meter.call import background, pending_estimate
from token_meter.call.pending_estimate import PendingEstimate
from token_meter.context.subscriber import Subscriber
from token_meter.events.helper_loop import HelperLoop
from token_meter.events.prompts import messages_of, prompts_of
from token_meter.exceptions import BudgetWarning
from token_meter.providers.openai.chat import CHAT
from token_meter.providers.stainless import read_options
from token_meter.runtime.hub import HUB
from token_meter.transports.httpx import HttpxRequest
from token_meter.types import Answer, Call, Usage
from token_meter.wire import read_request

URL = "https://api.openai.com/v1/chat/completions"


def pending(text: str, *, size: int | None = None) -> PendingEstimate:
    """A call without usage whose answer was *text*."""
    request = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}).encode()
    call = Call("1", 0.0, 0.1, "api.openai.com", "chat", "gpt-4o", certainty="unmeasured", status=200)
    return PendingEstimate(
        call, CHAT.rules, request, lambda: Answer((text,), (("f", '{"a": 1}'),), finish="stop"),
        size=len(request) + len(text) if size is None else size, is_stream=True, is_ended=True, is_untruncated=True,
    )  # fmt: skip


@pytest.fixture
def little_room(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing may wait."""
    monkeypatch.setattr(pending_estimate, "HELD_LIMIT", 0)
    held = pending_estimate._memory.held
    yield
    assert pending_estimate._memory.held == held, "bytes were taken for held that are not"


def test_a_small_call_that_cannot_wait_is_estimated_at_once(little_room):
    """Whole."""
    made = pending("a rose")

    assert made.call.certainty == "estimated"


def test_a_large_call_that_cannot_wait_is_cut(little_room):
    """What it used at least, and it says so."""
    made = pending("a rose " * 40_000)

    assert made.call.certainty == "lower_bound"
    assert made.call.tokens.prompt_tokens > 1000
    assert made.call.tokens.total_tokens == made.call.tokens.prompt_tokens + made.call.tokens.completion_tokens


def test_a_guess_that_nobody_reads_gives_its_room_back():
    """Dropped with its meter."""
    held = pending_estimate._memory.held
    made = pending("a rose " * 40_000)
    assert pending_estimate._memory.held > held
    del made

    assert pending_estimate._memory.held == held


# Limits.


def answering(body: Any = CHAT_BODY) -> Any:
    return sdk_http.Client(transport=sdk_http.MockTransport(lambda _: sdk_http.Response(200, json=body)))


@pytest.mark.parametrize(
    ("path", "model", "outcome"),
    [
        ("chat/completions", "gpt-4o-mini", "passes"),
        # These are free for every model.
        ("moderations", "acme", "passes"),
        # Its answer never says what it used, so no limit in dollars could hold.
        ("audio/translations", "whisper-1", "is refused"),
        # Nobody can say how much it will use; its model has a price all the same.
        ("images/generations", "gpt-image-1", "passes"),
        ("images/generations", "acme", "is refused"),
    ],
)
def test_a_limit_in_dollars_and_calls_of_other_kinds(path, model, outcome):
    """What has a price may pass, what cannot have one may not."""
    body = {**CHAT_BODY, "usage": None} if path != "chat/completions" else CHAT_BODY
    with meter(max_cost=1, warn_at=None) as cb, answering(body) as client:
        if outcome == "passes":
            client.post(f"https://api.openai.com/v1/{path}", json={"model": model, "messages": MESSAGES})
        else:
            with pytest.raises(UnpricedModelError, match=model):
                client.post(f"https://api.openai.com/v1/{path}", json={"model": model})

    assert cb.successful_requests == (outcome == "passes")


def test_a_call_without_a_price_is_let_pass_with_a_word_where_limits_only_warn():
    """Once."""
    with meter(max_cost=1, on_exceed="warn", warn_at=None, on_unpriced="raise") as cb, answering() as client:
        with pytest.warns(BudgetWarning, match="was sent anyway"):
            client.post(URL, json={"model": "acme", "messages": MESSAGES})
        client.post(URL, json={"model": "acme", "messages": MESSAGES})  # a second warning would be an error here

    assert cb.successful_requests == 2


@pytest.mark.parametrize(
    ("body", "tier"),
    [(b'{"service_tier": "flex"}', "flex"), (b'{"service_tier": 3}', None), (b'["service_tier"]', None), (b"{}", None)],
)
def test_the_tier_that_a_request_asks_for(body, tier):
    """It decides what a call may cost."""
    assert read_request(body).service_tier == tier


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ({}, b""),
        ({"json_data": {"a": 1}}, b'{"a": 1}'),
        ({"json_data": {"a": 1}, "extra_json": {"b": 2}}, b'{"a": 1, "b": 2}'),
        ({"json_data": [1], "extra_json": {"b": 2}}, b'{"b": 2}'),
        ({"json_data": {"a": Decimal(1)}}, b'{"a": "1"}'),
        ({"json_data": {"a": SimpleNamespace(model_dump=lambda **_: {"c": 3})}}, b'{"a": {"c": 3}}'),
    ],
)
def test_the_body_that_the_sdk_will_send(options, body):
    """As far as its options say before a request is made of them."""
    assert read_options(None, (str, SimpleNamespace(**options)), {}).body() == body


def test_a_path_of_its_own_is_known_by_its_whole_address():
    """`client.post("https://elsewhere/…")` is asked for where it goes."""
    client = SimpleNamespace(base_url=sdk_http.URL("https://api.openai.com/v1/"))
    near = read_options(client, (str, SimpleNamespace(method="post", url="/chat/completions")), {})
    far = read_options(client, (), {"options": SimpleNamespace(method="post", url="https://other.example/x/chat")})

    assert near.key == ("POST", "https", "api.openai.com", None, "/v1/chat/completions")
    assert far.key == ("POST", "https", "other.example", None, "/x/chat")


def test_a_warning_that_is_an_error_gives_the_reservation_back(recwarn):
    """The call is stopped by what the user made of the warning, and holds nothing."""
    import warnings

    with meter(max_calls=10, warn_at=0.1) as cb, answering() as client:
        client.post(URL, json={"model": "gpt-4o-mini", "messages": MESSAGES})
        warnings.simplefilter("error", BudgetWarning)
        with pytest.raises(BudgetWarning):
            client.post(URL, json={"model": "gpt-4o-mini", "messages": MESSAGES})
        assert cb.reserved.calls == 0

    assert cb.successful_requests == 1


# Handlers.


def test_a_listener_is_named_without_a_word_of_its_repr():
    """Which may show anything."""

    class Handler:
        def on_llm_end(self, *_: Any) -> None: ...

        def __repr__(self) -> str:
            return "sk-secret"

    assert repr(Subscriber(Handler())) == (
        "<Subscriber test_a_listener_is_named_without_a_word_of_its_repr.<locals>.Handler>"
    )


def test_functions_of_every_signature_can_be_handlers():
    """Also those without a signature that can be read."""
    seen: list[Any] = []
    partial_like = type("Call", (), {"__call__": lambda self, call, **more: seen.append(more["run_id"])})()
    with (
        meter(handlers=[seen.append, partial_like, lambda call, model: seen.append(model)]) as cb,
        answering() as client,
    ):
        client.post(URL, json={"model": "gpt-4o-mini", "messages": MESSAGES})

    assert isinstance(seen[0], Call)
    assert seen[1:] == [seen[0].id, seen[0].model]
    assert cb.total_tokens == 15


@pytest.mark.parametrize(
    ("body", "messages", "prompts"),
    [
        (b"--form", [[]], [""]),
        (b"[1]", [[]], [""]),
        (b'{"input": "hi"}', [[{"role": "user", "content": "hi"}]], ["user: hi"]),
        (b'{"instructions": "be kind", "input": []}', [[{"role": "system", "content": "be kind"}]], ["system: be kind"]),
        (b'{"messages": ["odd", {"type": "x"}, {"role": "user", "content": [{"text": "a"}, {"type": "image_url"}, 3]}]}',
         None, ["odd\nx: \nuser: a<image_url>3"]),
    ],
)  # fmt: skip
def test_messages_as_handlers_are_given_them(body, messages, prompts):
    """Of what is no text only its kind."""
    assert messages is None or messages_of(body) == messages
    assert prompts_of(body, is_chat=True) == prompts


@pytest.mark.parametrize(
    ("body", "prompts"),
    [
        (b'{"prompt": "a"}', ["a"]), (b'{"input": ["a", "b"]}', ["a", "b"]), (b'{"input": [1, 2, 3]}', ["<3 tokens>"]),
        (b'{"input": [[1, 2], "b"]}', ["<2 tokens>", "b"]), (b"{}", []), (b'{"prompt": null}', []),
    ],
)  # fmt: skip
def test_prompts_as_handlers_are_given_them(body, prompts):
    """One, or several."""
    assert prompts_of(body, is_chat=False) == prompts


def test_an_interrupt_while_a_coroutine_runs_for_a_sync_caller_reaches_it():
    """And the coroutine is cancelled, in the loop that is not the caller's."""
    loop = HelperLoop()
    started, gone = threading.Event(), threading.Event()

    async def long() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            gone.set()
            raise

    wait = threading.Event.wait

    def interrupted(event: threading.Event, timeout: float | None = None) -> bool:
        wait(started, 5)
        raise KeyboardInterrupt

    runs = loop._running()
    threading.Event.wait = interrupted  # type: ignore[method-assign, assignment]
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run(long())
    finally:
        threading.Event.wait = wait  # type: ignore[method-assign]

    assert gone.wait(5)
    runs.call_soon_threadsafe(runs.stop)
    assert loop._thread is not None
    loop._thread.join(5)
    runs.close()


def test_a_helper_loop_starts_anew_after_a_fork():
    """The thread stayed with the parent."""
    loop = HelperLoop()
    loop._loop = object()  # type: ignore[assignment]
    loop.forget()

    assert loop._loop is None
    assert not loop._lock.locked()


def test_what_a_late_handler_raises_has_no_caller(caplog):
    """The end of a stream that the collector ends is dispatched with the next event; no caller waits for it."""

    class Raising:
        raise_error = True

        def on_llm_end(self, *_: Any, **__: Any) -> None:
            raise KeyError

        on_llm_error = on_llm_end

    body = Chunks(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
    answer = lambda _: sdk_http.Response(200, headers={"content-type": "text/event-stream"}, stream=body)  # noqa: E731
    with meter(handlers=[Raising()]), sdk_http.Client(transport=sdk_http.MockTransport(answer)) as client:
        response = client.send(client.build_request("POST", URL, json={"model": "m"}), stream=True)
        response.stream.__del__()
        HUB.dispatch_late()

    assert [record.message for record in caplog.records] == [
        "token_meter: a handler raised KeyError after its call was over"
    ]


@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")  # the SDK's; others speak it too
def test_a_video_is_one_call_that_nobody_can_measure():
    """Looks at it while it is made, and its download, are none."""
    made = {"id": "video_1", "object": "video", "status": "completed", "model": "sora-2", "progress": 100}
    http = sdk_http.Client(transport=sdk_http.MockTransport(lambda _: sdk_http.Response(200, json=made)))
    with openai.OpenAI(api_key="sk-x", http_client=http) as client, meter() as cb:
        if not hasattr(client, "videos"):
            pytest.skip("this SDK makes no videos")
        client.videos.create(prompt="a rose opens", model="sora-2")
        client.videos.retrieve("video_1")
        client.videos.download_content("video_1")

    assert (cb.successful_requests, cb.unmeasured_calls, cb.is_complete) == (1, 1, False)
    assert list(cb.by_model) == ["sora-2"]


# Background responses that are looked at again.

PENDING = {"id": "resp_9", "object": "response", "status": "queued", "model": "gpt-5", "output": [], "usage": None}
DONE = {**PENDING, "status": "completed", "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}}


@pytest.mark.parametrize("how", ["body", "stream", "broken stream", "refused"])
async def test_f33_a_background_response_counts_at_its_end_however_it_is_looked_at(how):
    """As a body, as a stream, as a stream that breaks; a refusal says nothing."""
    terminal = f"event: response.completed\ndata: {json.dumps({'type': 'response.completed', 'response': DONE})}\n\n"

    class Breaking(Chunks):
        def __iter__(self) -> Iterator[bytes]:
            yield from self.chunks
            raise sdk_http.ReadError("gone")

    def answer(request: Any) -> Any:
        if request.method == "POST":
            return sdk_http.Response(200, json=PENDING)
        if how == "refused":
            return sdk_http.Response(500, json=DONE)
        if how == "body":
            return sdk_http.Response(200, json=DONE)
        kind = Breaking if how == "broken stream" else Chunks
        return sdk_http.Response(200, headers={"content-type": "text/event-stream"}, stream=kind(terminal.encode()))

    url = "https://api.openai.com/v1/responses"
    with meter() as cb, sdk_http.Client(transport=sdk_http.MockTransport(answer)) as client:
        client.post(url, json={"model": "gpt-5", "background": True})
        try:
            with client.stream("GET", f"{url}/resp_9") as response:
                response.read()
        except sdk_http.ReadError:
            assert how == "broken stream"

        assert cb.total_tokens == (0 if how == "refused" else 3)
        assert cb.open_streams == (how == "refused")
    HUB.uninstall()  # forgets what is parked


@pytest.mark.parametrize("is_given_up", [False, True])
def test_f33_a_background_response_that_outlives_its_block_is_waited_for(is_given_up):
    """Without an open meter, until its end has passed or the meters are uninstalled; then nothing is observed."""
    url = "https://api.openai.com/v1/responses"
    answers = sdk_http.MockTransport(lambda r: sdk_http.Response(200, json=PENDING if r.method == "POST" else DONE))
    with sdk_http.Client(transport=answers) as client:
        with meter() as cb:
            client.post(url, json={"model": "gpt-5", "background": True})
        assert (cb.open_streams, HUB.is_listening) == (1, True)

        if is_given_up:
            HUB.uninstall()
        client.get(f"{url}/resp_9")
        client.get(f"{url}/resp_9")

    assert (cb.total_tokens, cb.open_streams) == ((0, 0) if is_given_up else (3, 0))
    assert HUB.is_listening is False


def test_an_id_that_is_given_twice_leaves_nothing_open():
    """A gateway that repeats an answer: the first call is waited for no longer, and holds nothing of a limit."""
    url = "https://api.openai.com/v1/responses"
    answers = sdk_http.MockTransport(lambda r: sdk_http.Response(200, json=PENDING if r.method == "POST" else DONE))
    with sdk_http.Client(transport=answers) as client, meter(max_calls=9, warn_at=None) as cb:
        for _ in range(2):
            client.post(url, json={"model": "gpt-5", "background": True})
        client.get(f"{url}/resp_9")

    assert (cb.total_tokens, cb.open_streams, cb.unmeasured_calls) == (3, 0, 1)
    assert cb.reserved == (0, 0, 0)


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_run_of_an_assistant_counts_at_its_end(is_stream):
    """Seen by who asks for it again, or who hands in what its tools gave; each run is one call."""
    run = {"id": "run_1", "object": "thread.run", "model": "gpt-4o", "status": "queued", "usage": None}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    states = iter([run, {**run, "status": "requires_action"}, {**run, "status": "completed", "usage": usage}])

    def answer(_: Any) -> Any:
        state = next(states)
        if not is_stream:
            return sdk_http.Response(200, json=state)
        events = f"event: thread.run.{state['status']}\ndata: {json.dumps(state)}\n\nevent: done\ndata: [DONE]\n\n"
        return sdk_http.Response(200, headers={"content-type": "text/event-stream"}, stream=Chunks(events.encode()))

    url = "https://api.openai.com/v1/threads/t_1/runs"
    with meter() as cb, sdk_http.Client(transport=sdk_http.MockTransport(answer)) as client:
        for method, path in (("POST", url), ("GET", f"{url}/run_1"), ("POST", f"{url}/run_1/submit_tool_outputs")):
            assert (cb.total_tokens, cb.open_streams) == (0, path != url)
            with client.stream(method, path) as response:
                response.read()

    assert (cb.total_tokens, cb.successful_requests, cb.open_streams) == (3, 1, 0)
    assert cb.is_complete


def test_streams_that_nobody_asks_for_again_are_given_up_for_good(monkeypatch):
    """Beyond the bound the oldest counts as abandoned, though the last that was seen of it is that it goes on."""
    monkeypatch.setattr(background, "_LIMIT", 1)
    ids = iter(["run_1", "run_2", "run_3"])

    def answer(_: Any) -> Any:
        event = f"data: {json.dumps({'id': next(ids), 'object': 'thread.run', 'status': 'in_progress'})}\n\n"
        return sdk_http.Response(200, headers={"content-type": "text/event-stream"}, stream=Chunks(event.encode()))

    with meter(keep_calls=True) as cb, sdk_http.Client(transport=sdk_http.MockTransport(answer)) as client:
        for _ in range(3):
            with client.stream("POST", "https://api.openai.com/v1/threads/t_1/runs", json={"stream": True}) as response:
                response.read()

    assert (cb.open_streams, [call.outcome for call in cb.calls]) == (1, ["abandoned", "abandoned"])


def test_a_form_that_cannot_be_looked_into_has_no_fields():
    """A stream of bytes, say."""
    assert HttpxRequest(SimpleNamespace(stream=object()), None).body() == b""


def test_callbacks_without_a_meter_hear_of_the_end():
    """Priced by the public book."""
    subscribers: list[Call] = []
    with callbacks(subscribers.append), answering() as client:
        client.post(URL, json={"model": "gpt-4o-mini", "messages": MESSAGES})

    assert subscribers[0].cost == Decimal("0.0000045")
    assert token_meter.current() is None


def test_a_refusal_is_never_retried_by_an_sdk_that_hides_it():
    """`BudgetExceededError` itself reaches the caller."""
    http = answering()
    with openai.OpenAI(api_key="x", http_client=http) as client, meter(max_calls=0) as cb:
        with pytest.raises(BudgetExceededError):
            client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)

    assert cb.successful_requests == cb.failed_requests == 0
    assert Usage() + Usage() == Usage()
