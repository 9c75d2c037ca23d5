"""What the simulator does with requests that are wrong or rare, so that a test's mistake is not a mystery."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from openai import OpenAI

from token_meter.exceptions import ConfigError
from token_meter.simulator import Simulator, server
from token_meter.simulator.answers import answer
from token_meter.simulator.embeddings import decisions_reply
from token_meter.simulator.generation import Ask, PromptCache, generate
from token_meter.simulator.options import Options
from token_meter.simulator.responses import Archive
from token_meter.simulator.routes import World
from token_meter.simulator.sse import Packer
from token_meter.simulator.tokens import message_tokens, text_of


@pytest.fixture
def web(sim: Simulator) -> Iterator[httpx2.Client]:
    """A plain client, for what the SDK would not send."""
    with httpx2.Client(base_url=sim.base_url, headers={"authorization": "Bearer sim-test"}) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/responses", {"model": "gpt-5", "input": 3}, 400, "expected a string or an array"),
        ("/decisions", {"model": "gpt-5", "questions": "why"}, 400, "expected an array of objects"),
        ("/chat/completions", [1], 400, "expected a JSON object"),
        ("/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": {}}, 400, "expected text"),
        ("/audio/transcriptions", {"model": "whisper-1"}, 400, "multipart/form-data"),
        ("/nowhere", {}, 404, "no route POST"),
    ],
)
def test_a_wrong_request_is_told_what_was_expected(web: httpx2.Client, path: str, body: Any, status: int, says: str):
    """With the provider's status."""
    answered = web.post(path, json=body)

    assert answered.status_code == status
    assert says in answered.json()["error"]["message"]


def test_a_form_without_its_file_or_in_pieces_is_refused(web: httpx2.Client):
    """As the provider would."""
    without = web.post("/audio/transcriptions", data={"model": "whisper-1"}, files={"other": b"x"})
    broken = web.post("/audio/transcriptions", content=b"--x", headers={"content-type": "multipart/form-data"})

    assert "Missing required field 'file'" in without.json()["error"]["message"]
    assert "cannot be read" in broken.json()["error"]["message"]


def test_a_chat_that_was_never_stored_is_not_found(sim: Simulator):
    """Nor a response that was deleted."""
    with sim.client(max_retries=0) as client:
        with pytest.raises(Exception, match="'nope' not found"):
            client.chat.completions.retrieve("nope")
        made = client.responses.create(model="gpt-5", input="hi", instructions="Be kind.")
        client.responses.delete(made.id)
        with pytest.raises(Exception, match="not found"):
            client.responses.retrieve(made.id)


def test_a_response_that_has_ended_cannot_be_cancelled_any_more(sim: Simulator):
    """Its bill stays."""
    with sim.client() as client:
        made = client.responses.create(model="gpt-5", input="hi", background=True)
        while client.responses.retrieve(made.id).status != "completed":
            pass
        assert client.responses.cancel(made.id).status == "completed"

    assert (sim.bill().calls, sim.bill().aborted) == (1, 0)


def test_a_search_on_the_web_is_billed_beside_the_tokens(sim: Simulator):
    """And told in `tool_usage`."""
    with sim.client() as client:
        made = client.responses.create(model="gpt-5", input="hi", tools=[{"type": "web_search"}])

    assert sim.bill().usage.web_searches == 1
    assert made.to_dict()["tool_usage"] == {"web_search": {"num_requests": 1}}
    assert [item.type for item in made.output][1] == "web_search_call"


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
@pytest.mark.parametrize(("style", "has"), [("verbose_json", "segments"), ("text", "Transcript"), ("json", "text")])
def test_translations_in_every_form(web: httpx2.Client, style: str, has: str):
    """JSON, more JSON, and text."""
    answered = web.post(
        "/audio/translations", data={"model": "whisper-1", "response_format": style}, files={"file": b"sound"}
    )

    assert has in answered.text


@pytest.mark.parametrize("usage", ["openai", "none"])
def test_speech_in_events_tells_its_usage_unless_told_not_to(sim: Simulator, usage: str):
    """The one form of speech that does."""
    with httpx2.Client(base_url=sim.base_url_with(usage=usage)) as web:
        answered = web.post("/audio/speech", json={"model": "tts-1", "input": "Hi", "stream_format": "sse"})

    assert ('"usage"' in answered.text) is (usage == "openai")


def test_the_first_page_says_what_this_is(sim: Simulator):
    """Base URL, bill and options."""
    text = httpx2.get(sim.url + "/").text

    assert "Base URL: /v1. Bill: /__bill." in text
    assert "latency" in text


def test_a_bug_of_ours_does_not_look_like_a_silent_provider(web, monkeypatch, caplog):
    """The client gets a 500 that says so, the log the rest."""

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr("token_meter.simulator.routes.chat_reply", fail)
    answered = web.post("/chat/completions", json={"model": "m", "messages": []})

    assert answered.status_code == 500
    assert answered.json()["error"]["message"] == "the simulator failed: RuntimeError"
    assert "the simulator failed on POST" in caplog.text


@pytest.mark.parametrize("options", [{}, {"chunk": 100}, {"slow": 0.01}])
def test_a_compressed_answer_is_whole(sim: Simulator, options: dict[str, Any]):
    """As a body and as a stream, in pieces and slowly."""
    url = sim.base_url_with(compress="gzip", **options)
    ask: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    with sim.client(base_url=url) as client:
        whole = client.chat.completions.create(**ask).choices[0].message.content
        pieces = client.chat.completions.create(**ask, stream=True)

        assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == whole != ""


def test_a_body_is_cut_after_so_many_pieces(sim: Simulator):
    """The socket dies in the middle of JSON."""
    with sim.client(base_url=sim.base_url_with(chunk=20, cut=2), max_retries=0) as client:
        with pytest.raises(Exception, match="Connection error"):
            client.embeddings.create(model="text-embedding-3-small", input="hi")

    assert sim.bill().aborted == 1


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/nowhere", "/__opt/no=1/v1/responses"])
@pytest.mark.filterwarnings(r"ignore:connect\(\) must be used as a context manager:DeprecationWarning")
def test_a_websocket_that_leads_nowhere_is_turned_away(sim: Simulator, path: str):
    """Before it is accepted."""
    from websockets.sync.client import connect

    with pytest.raises(Exception, match="403"), connect(sim.url.replace("http", "ws") + path):
        pass


def test_what_is_no_event_of_a_websocket_is_told(sim: Simulator, monkeypatch, caplog):
    """A wrong event is an error event; a bug of ours closes the connection."""
    from websockets.exceptions import ConnectionClosedError
    from websockets.sync.client import connect

    where = sim.url.replace("http", "ws") + "/v1"
    with connect(where + "/responses") as wire:
        wire.send('{"type": "response.steer"}')
        assert json.loads(wire.recv())["error"]["message"].startswith("Unknown event type")
        monkeypatch.setattr("token_meter.simulator.connections.create_response", lambda *_: 1 / 0)
        wire.send('{"type": "response.create"}')
        with pytest.raises(ConnectionClosedError):
            wire.recv()
    with connect(where + "/realtime?model=gpt-realtime") as wire:
        wire.recv()
        wire.send('{"type": "session.update", "session": {"output_modalities": ["text"]}}')
        wire.send('{"type": "input_audio_buffer.append", "audio": "%%%"}')
        wire.send('{"type": "nonsense"}')
        wire.send('{"type": "response.create"}')
        kinds = []
        while "response.done" not in kinds:
            kinds.append(json.loads(wire.recv())["type"])

    assert kinds[:3] == ["session.updated", "error", "response.created"]
    assert "response.output_text.delta" in kinds
    assert "the simulator failed on a websocket" in caplog.text


def test_a_server_that_does_not_start_is_an_error(monkeypatch):
    """And leaves nothing running."""
    monkeypatch.setattr(server, "_START_S", 0.01)
    monkeypatch.setattr(server._Server, "run", lambda self, sockets: None)
    sim = Simulator()
    with pytest.raises(RuntimeError, match="did not start within 0.01 s"):
        sim.start()

    assert sim._thread is None


def test_a_port_that_is_taken_is_an_error_and_no_leak():
    """The socket is closed again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            Simulator(port=taken.getsockname()[1]).start()


def test_an_encoding_whose_module_is_missing_says_which(monkeypatch):
    """Instead of an import error in the middle of an answer."""
    monkeypatch.setattr(
        "token_meter.simulator.sse.import_module", lambda name: (_ for _ in ()).throw(ModuleNotFoundError(name))
    )
    with pytest.raises(ConfigError, match="compress=br needs the module"):
        Packer(("br",))


def test_what_the_provider_remembers_is_bounded(monkeypatch):
    """Prompts, responses, stored chats; the oldest go."""
    monkeypatch.setattr("token_meter.simulator.routes._KEPT", 1)
    monkeypatch.setattr("token_meter.simulator.responses._KEPT", 1)
    world, archive, cache = World(), Archive(), PromptCache(size=2)
    for number in range(3):
        world.keep_completion("k", {"id": str(number)})
        archive.put("k", str(number), object())  # type: ignore[arg-type]
        cache.read("k", "m", f"{number}" * 2000, 1500)

    assert world.kept_completion("k", "2") == {"id": "2"}
    assert len(archive._found) == 1
    assert len(cache._seen) == 2


def test_a_tool_call_that_does_not_fit_is_cut_to_nothing():
    """Half a call would be no JSON."""
    tools = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]
    ask = Ask([{"role": "user", "content": "add"}], "gpt-4o", limit=1, tools=tools, tool_choice="required")
    made = generate(ask, Options(), "k", PromptCache())

    assert [(choice.text, choice.call, choice.finish) for choice in made.choices] == [("", None, "length")]


def test_a_vendor_that_charges_for_a_model_without_a_list_price():
    """It says an amount all the same."""
    made = generate(
        Ask([{"role": "user", "content": "hi"}], "acme-7b"), Options(usage="openrouter"), "k", PromptCache()
    )

    assert made.usage.provider_cost is not None
    assert made.usage.provider_cost > 0


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("a", "a"),
        (["a", {"text": "b"}, {"refusal": "c"}, 3], "abc"),
        ({"b": 1, "a": 2}, '{"a": 2, "b": 1}'),
    ],
)
def test_the_text_in_any_content(content: Any, text: str):
    """What has none counts as nothing."""
    assert text_of(content) == text


def test_a_picture_in_a_message_counts():
    """At a fixed price."""
    words = {"role": "user", "content": [{"type": "text", "text": "look"}]}
    picture = {"role": "user", "content": [*words["content"], {"type": "image_url", "image_url": {"url": "x"}}]}

    assert message_tokens(picture, "gpt-4o") > message_tokens(words, "gpt-4o") + 50


def test_a_summary_of_nothing_known_is_short_all_the_same():
    """Memory chains ask for one of any text."""
    made = answer(
        "Progressively summarize the lines of conversation: they talk of trains", "…summarize", seed="", words=None
    )

    assert 0 < len(made) < 500


def test_a_schema_without_a_shape_is_an_answer_in_json(sim: Simulator):
    """`json_object`."""
    with OpenAI(base_url=sim.base_url, api_key="sim-test") as client:
        made = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hi"}], response_format={"type": "json_object"}
        )

    assert isinstance(json.loads(made.choices[0].message.content or ""), dict)
    assert sim.bill().prompt_tokens > 0


def test_decisions_in_silence():
    """`usage: null`, as the option says."""
    body = {
        "model": "gpt-5",
        "input": [{"role": "user", "content": "hi"}],
        "questions": [{"name": "a", "type": "score"}],
    }
    reply = decisions_reply(body, Options(usage="null"))

    assert reply.json is not None
    assert reply.json()["usage"] is None


def test_a_bill_waits_for_answers_that_are_being_sent(sim: Simulator):
    """At most as long as it is told to."""
    with sim.client(base_url=sim.base_url_with(delay=0.05, words=50)) as client:
        stream = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        begun = time.monotonic()
        assert sim.bill(settle_s=0.05).open == 1
        assert time.monotonic() - begun < 2
        stream.close()
