"""Every route satisfies the real SDK, sync and async, and the bill is what the client was told."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from typing import Any

import pytest
from openai import AsyncAzureOpenAI, AzureOpenAI, OpenAI
from pydantic import BaseModel

from token_meter.simulator import Simulator

HELLO: list[Any] = [{"role": "user", "content": "Say hello to the roses"}]
TOOL = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
    "required": ["city", "days"],
    "additionalProperties": False,
}


class Bouquet(BaseModel):
    """What `.parse` is asked for."""

    flower: str
    stems: int


def sound(seconds: float = 2.5) -> tuple[str, bytes]:
    """A silent WAV file."""
    with io.BytesIO() as out:
        with wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(bytes(int(seconds * 16000)))
        return "silence.wav", out.getvalue()


def picture() -> tuple[str, bytes]:
    """Something that passes as an image."""
    return "picture.png", b"\x89PNG\r\n\x1a\n"


def counts(usage: Any) -> tuple[int, int, int]:
    """Prompt, completion and total of any shape of usage."""
    found = usage.model_dump()
    prompt = found.get("prompt_tokens", found.get("input_tokens"))
    completion = found.get("completion_tokens", found.get("output_tokens", 0))
    return prompt, completion, found["total_tokens"]


# name, the call
ROUTES: list[tuple[str, Callable[[Any], Any]]] = [
    ("chat", lambda c: c.chat.completions.create(model="gpt-4o-mini", messages=HELLO)),
    ("chat n=3", lambda c: c.chat.completions.create(model="gpt-4o-mini", messages=HELLO, n=3)),
    ("chat reasoning", lambda c: c.chat.completions.create(model="o4-mini", messages=HELLO)),
    ("chat cut", lambda c: c.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=5)),
    ("completions", lambda c: c.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once upon a time")),
    ("completions x2", lambda c: c.completions.create(model="gpt-3.5-turbo-instruct", prompt=["One", "Two"], n=2)),
    ("completions tokens", lambda c: c.completions.create(model="gpt-3.5-turbo-instruct", prompt=[1, 2, 3])),
    ("responses", lambda c: c.responses.create(model="gpt-4.1", input="Say hello")),
    ("responses reasoning", lambda c: c.responses.create(model="gpt-5", input="Say hello")),
    ("embeddings", lambda c: c.embeddings.create(model="text-embedding-3-small", input="roses")),
    ("embeddings list", lambda c: c.embeddings.create(model="text-embedding-3-small", input=["roses", "lilies"])),
    ("embeddings tokens", lambda c: c.embeddings.create(model="text-embedding-3-small", input=[[1, 2], [3]])),
    ("images", lambda c: c.images.generate(model="gpt-image-1", prompt="a rose", quality="low")),
    ("edits", lambda c: c.images.edit(model="gpt-image-1", prompt="a red one", image=picture())),
    ("edits x2", lambda c: c.images.edit(model="gpt-image-1", prompt="both", image=[picture(), picture()])),
    ("transcription", lambda c: c.audio.transcriptions.create(model="gpt-4o-transcribe", file=sound())),
]


def check(sim: Simulator, answer: Any) -> None:
    """The bill has one entry, delivered, with the usage that the client sees."""
    bill = sim.bill()
    entry = bill.entries[0]

    assert bill.calls == bill.delivered == bill.requests == 1
    assert counts(answer.usage) == (
        entry.usage.prompt_tokens,
        entry.usage.completion_tokens or 0,
        entry.usage.total_tokens,
    )
    assert entry.usage.total_tokens > 0
    assert not entry.is_open
    assert entry.cost is not None


@pytest.mark.parametrize("call", [call for _, call in ROUTES], ids=[name for name, _ in ROUTES])
def test_each_route_bills_what_it_tells(sim: Simulator, call: Callable[[Any], Any]) -> None:
    """The sync client reads the usage that is on the bill."""
    with sim.client() as client:
        answer = call(client)

    check(sim, answer)


@pytest.mark.parametrize("call", [call for _, call in ROUTES], ids=[name for name, _ in ROUTES])
async def test_each_route_serves_the_async_client(sim: Simulator, call: Callable[[Any], Any]) -> None:
    """The async client reads the same."""
    async with sim.async_client() as client:
        answer = await call(client)

    check(sim, answer)


# name, the call; each gives an iterable of events with the usage somewhere
STREAMS: list[tuple[str, Callable[[Any], Any]]] = [
    (
        "chat",
        lambda c: c.chat.completions.create(
            model="gpt-4o-mini", messages=HELLO, stream=True, stream_options={"include_usage": True}
        ),
    ),
    (
        "completions",
        lambda c: c.completions.create(
            model="gpt-3.5-turbo-instruct", prompt="Once", stream=True, stream_options={"include_usage": True}
        ),
    ),
    ("responses", lambda c: c.responses.create(model="gpt-5-mini", input="Say hello", stream=True)),
    (
        "images",
        lambda c: c.images.generate(model="gpt-image-1", prompt="a rose", stream=True, partial_images=2),
    ),
    (
        "edits",
        lambda c: c.images.edit(model="gpt-image-1", prompt="red", image=picture(), stream=True, partial_images=1),
    ),
    (
        "transcription",
        lambda c: c.audio.transcriptions.create(model="gpt-4o-transcribe", file=sound(), stream=True),
    ),
]


def usages(event: Any) -> list[Any]:
    """The usage in an event, at its top or in its response."""
    found = [getattr(event, "usage", None), getattr(getattr(event, "response", None), "usage", None)]
    return [usage for usage in found if usage is not None]


@pytest.mark.parametrize("call", [call for _, call in STREAMS], ids=[name for name, _ in STREAMS])
def test_each_stream_tells_its_usage_once(sim: Simulator, call: Callable[[Any], Any]) -> None:
    """A stream has one usage, in its last event, and it is on the bill."""
    with sim.client() as client:
        events = list(call(client))

    told = [usage for event in events for usage in usages(event)]
    entry = sim.bill().entries[0]
    assert len(told) == 1
    assert usages(events[-1]) == told
    assert counts(told[0])[2] == entry.usage.total_tokens
    assert entry.streamed
    assert entry.delivered
    assert not entry.aborted


@pytest.mark.parametrize("call", [call for _, call in STREAMS], ids=[name for name, _ in STREAMS])
async def test_each_stream_serves_the_async_client(sim: Simulator, call: Callable[[Any], Any]) -> None:
    """The async client reads the same stream."""
    async with sim.async_client() as client:
        events = [event async for event in await call(client)]

    told = [usage for event in events for usage in usages(event)]
    assert counts(told[-1])[2] == sim.bill().total_tokens


def test_stream_and_body_say_the_same(sim: Simulator) -> None:
    """The deltas of a stream add up to the body's text."""
    with sim.client() as client:
        whole = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, n=2)
        stream = client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, n=2, stream=True)
        said = ["", ""]
        for chunk in stream:
            for choice in chunk.choices:
                said[choice.index] += choice.delta.content or ""

    assert said == [choice.message.content for choice in whole.choices]
    assert said[0] != said[1]


def test_stream_without_include_usage_tells_none(sim: Simulator) -> None:
    """As OpenAI does: no usage field unless asked for; the bill has it all the same."""
    with sim.client() as client:
        chunks = list(client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, stream=True))

    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert sim.bill().completion_tokens > 0
    assert sim.bill().delivered == 0


def test_chat_parse_gets_an_instance(sim: Simulator) -> None:
    """`.parse` reads a model whose fields fit."""
    with sim.client() as client:
        parse = getattr(client.chat.completions, "parse", None) or client.beta.chat.completions.parse
        parsed = parse(model="gpt-4o", messages=HELLO, response_format=Bouquet).choices[0].message.parsed

    assert parsed == Bouquet(flower="text", stems=1)


def test_responses_parse_gets_an_instance(sim: Simulator) -> None:
    """The same for Responses."""
    with sim.client() as client:
        assert client.responses.parse(model="gpt-4o", input="x", text_format=Bouquet).output_parsed == Bouquet(
            flower="text", stems=1
        )


def test_chat_stream_helper_reaches_its_final_completion(sim: Simulator) -> None:
    """`.stream()` accumulates the chunks to a whole completion."""
    with sim.client() as client:
        helper = getattr(client.chat.completions, "stream", None) or client.beta.chat.completions.stream
        with helper(model="gpt-4o", messages=HELLO, stream_options={"include_usage": True}) as stream:
            final = stream.get_final_completion()

    assert final.usage is not None
    assert final.usage.total_tokens == sim.bill().total_tokens


async def test_responses_stream_helper_reaches_its_final_response(sim: Simulator) -> None:
    """`.stream()` of Responses accumulates the whole event sequence."""
    async with sim.async_client() as client, client.responses.stream(model="gpt-5", input="Say hello") as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()

    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert final.output_text.startswith("Answer ")
    assert final.usage is not None
    assert final.usage.output_tokens_details.reasoning_tokens > 0
    assert final.usage.total_tokens == sim.bill().total_tokens


def test_chat_calls_the_tool_that_is_asked_for(sim: Simulator) -> None:
    """A user message that names the tool's matter gets a call whose arguments fit the schema."""
    tools: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": TOOL}}]
    asked: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
    with sim.client() as client:
        choice = client.chat.completions.create(model="gpt-4o", messages=asked, tools=tools).choices[0]
        call = (choice.message.tool_calls or [])[0]
        after = [*asked, choice.message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
        last = client.chat.completions.create(model="gpt-4o", messages=after, tools=tools).choices[0]

    assert choice.finish_reason == "tool_calls"
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"text","days":2}')
    assert last.message.content


def test_chat_answers_in_text_when_no_tool_is_asked_for(sim: Simulator) -> None:
    """A tool that has nothing to do with the message is not called."""
    tools: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": TOOL}}]
    with sim.client() as client:
        choice = client.chat.completions.create(model="gpt-4o", messages=HELLO, tools=tools).choices[0]
        must = client.chat.completions.create(model="gpt-4o", messages=HELLO, tools=tools, tool_choice="required")

    assert choice.finish_reason == "stop"
    assert must.choices[0].finish_reason == "tool_calls"


def test_chat_streams_a_tool_call(sim: Simulator) -> None:
    """The SDK's helper puts the argument deltas together."""
    tools: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": TOOL, "strict": True}}]
    asked: Any = [{"role": "user", "content": "weather?"}]
    with sim.client() as client:
        helper = getattr(client.chat.completions, "stream", None) or client.beta.chat.completions.stream
        with helper(model="gpt-4o", messages=asked, tools=tools) as stream:
            final = stream.get_final_completion()

    call = (final.choices[0].message.tool_calls or [])[0]
    assert call.function.parsed_arguments == {"city": "text", "days": 2}


@pytest.mark.parametrize("streamed", [False, True])
def test_responses_call_a_function(sim: Simulator, streamed: bool) -> None:
    """A function call of Responses, whole and streamed, and the round after it."""
    tools: Any = [{"type": "function", "name": "get_weather", "parameters": TOOL, "strict": True}]
    with sim.client() as client:
        if streamed:
            with client.responses.stream(model="gpt-4o", input="weather?", tools=tools) as stream:
                first = stream.get_final_response()
        else:
            first = client.responses.create(model="gpt-4o", input="weather?", tools=tools)  # type: ignore[assignment]
        call: Any = first.output[0]
        output: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "rain"}]
        last = client.responses.create(model="gpt-4o", input=output, previous_response_id=first.id, tools=tools)

    assert (call.type, call.name, call.arguments) == ("function_call", "get_weather", '{"city":"text","days":2}')
    assert last.output_text


def test_previous_response_is_part_of_the_prompt(sim: Simulator) -> None:
    """`previous_response_id` sends the history again, and bills it."""
    with sim.client() as client:
        first = client.responses.create(model="gpt-4o", input="Remember the word petunia")
        plain = client.responses.create(model="gpt-4o", input="Which word?")
        second = client.responses.create(model="gpt-4o", input="Which word?", previous_response_id=first.id)

    assert first.usage is not None
    assert plain.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > plain.usage.input_tokens + first.usage.output_tokens


def test_background_response_is_billed_once_and_told_when_complete(sim: Simulator) -> None:
    """queued, in progress, completed; further looks tell the usage again and bill nothing."""
    with sim.client() as client:
        made = client.responses.create(model="gpt-5", input="Think", background=True)
        before = sim.bill()
        seen = [client.responses.retrieve(made.id) for _ in range(3)]

    assert (made.status, made.usage) == ("queued", None)
    assert (before.calls, before.delivered) == (1, 0)
    assert [response.status for response in seen] == ["in_progress", "completed", "completed"]
    assert [response.usage is None for response in seen] == [True, False, False]
    assert (sim.bill().calls, sim.bill().delivered) == (1, 1)


def test_stored_completion_is_told_again_and_billed_once(sim: Simulator) -> None:
    """`store=True`, then retrieve: the same usage, one entry."""
    with sim.client() as client:
        made = client.chat.completions.create(model="gpt-4o", messages=HELLO, store=True)
        again = client.chat.completions.retrieve(made.id)

    assert again.usage == made.usage
    assert sim.bill().calls == 1


def test_old_models_cache_nothing(sim: Simulator) -> None:
    """A model without a price for cached tokens has no cache."""
    messages: Any = [{"role": "user", "content": "rose lily tulip " * 800}]
    with sim.client() as client:
        for _ in range(2):
            client.chat.completions.create(model="gpt-3.5-turbo", messages=messages)

    assert sim.bill().usage.cached_tokens == 0


def test_cancelled_background_response_bills_less(sim: Simulator) -> None:
    """What was not generated is not billed."""
    with sim.client() as client:
        made = client.responses.create(model="gpt-4o", input="Think", background=True)
        full = sim.bill().completion_tokens
        cancelled = client.responses.cancel(made.id)

    assert cancelled.status == "cancelled"
    assert sim.bill().completion_tokens == 0 < full
    assert sim.bill().aborted == 1


def test_free_routes_bill_nothing(sim: Simulator) -> None:
    """Moderations, models and counts cost nothing."""
    with sim.client() as client:
        assert not client.moderations.create(input=["fine", "also fine"]).results[1].flagged
        assert "gpt-4o" in [model.id for model in client.models.list()]
        assert client.models.retrieve("gpt-4o").id == "gpt-4o"
        if hasattr(client.responses, "input_tokens"):
            counted = client.responses.input_tokens.count(model="gpt-4o", input="Say hello").input_tokens
            assert sim.bill().calls == 0
            told = client.responses.create(model="gpt-4o", input="Say hello").usage
            assert told is not None
            assert told.input_tokens == counted
            sim.reset()

    assert sim.bill().calls == 0


def test_compaction_tells_its_usage(sim: Simulator) -> None:
    """Compaction is a generation."""
    with sim.client() as client:
        made = client.responses.compact(model="gpt-5", input="A long talk")

    assert made.output[-1].type == "compaction"
    assert made.usage.total_tokens == sim.bill().total_tokens


def test_decisions_answer_every_question(sim: Simulator) -> None:
    """One answer for each question, and a usage."""
    questions: Any = [
        {"type": "predicate", "name": "rose", "question": "Is it a rose?"},
        {"type": "choice", "question": "Which?", "choices": [{"value": "a"}, {"value": "b"}]},
        {"type": "score", "question": "How nice?"},
    ]
    with sim.client() as client:
        made = client.decisions.create(model="gpt-5", input="a flower", questions=questions)

    assert [answer.type for answer in made.answers] == ["predicate", "choice", "score"]
    assert made.usage.total_tokens == sim.bill().total_tokens


def test_whisper_tells_seconds(sim: Simulator) -> None:
    """whisper-1 bills by duration, which a WAV file states."""
    with sim.client() as client:
        made = client.audio.transcriptions.create(model="whisper-1", file=sound(2.5), response_format="verbose_json")

    assert made.duration == 2.5
    assert getattr(made.usage, "seconds", None) == 3
    assert sim.bill().usage.audio_seconds == 3.0


@pytest.mark.parametrize("style", ["text", "srt", "vtt"])
def test_plain_transcripts_tell_no_usage(sim: Simulator, style: Any) -> None:
    """Text, SRT and VTT have no place for it."""
    with sim.client() as client:
        made = client.audio.transcriptions.create(model="whisper-1", file=sound(), response_format=style)

    assert "Transcript" in str(made)
    assert not sim.bill().entries[0].reports_usage


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # translations, by the SDK
def test_speech_and_translation_are_billed_in_silence(sim: Simulator) -> None:
    """Both cost something, and their answers do not say so."""
    with sim.client() as client:
        assert client.audio.translations.create(model="whisper-1", file=sound()).text
        with client.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input="Hi") as answer:
            sizes = [len(piece) for piece in answer.iter_bytes(512)]

    assert sum(sizes) > 512
    assert [entry.reports_usage for entry in sim.bill().entries] == [False, False]
    assert sim.bill().delivered == 0


def test_embeddings_have_the_asked_size(sim: Simulator) -> None:
    """Base64 (the SDK's default) and floats give the same vectors."""
    with sim.client() as client:
        packed = client.embeddings.create(model="text-embedding-3-small", input="roses", dimensions=8)
        plain = client.embeddings.create(
            model="text-embedding-3-small", input="roses", dimensions=8, encoding_format="float"
        )

    assert len(packed.data[0].embedding) == 8
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding)


@pytest.mark.parametrize("deployment", ["prod-eu", "gpt-4o"])
def test_azure_paths_serve_a_deployment(sim: Simulator, deployment: str) -> None:
    """An Azure client names a deployment, and the answer names the model behind it."""
    with AzureOpenAI(azure_endpoint=sim.url, api_key="sim-azure", api_version="2024-10-21", max_retries=0) as client:
        made = client.chat.completions.create(model=deployment, messages=HELLO)

    entry = sim.bill("sim-azure").entries[0]
    assert made.model == ("gpt-4o-2024-08-06" if deployment == "gpt-4o" else "gpt-4o-mini-2024-07-18")
    assert entry.path == f"/openai/deployments/{deployment}/chat/completions"


async def test_async_azure_client_is_served(sim: Simulator) -> None:
    """Responses keep their path under /openai/."""
    async with AsyncAzureOpenAI(azure_endpoint=sim.url, api_key="sim-azure", api_version="2025-03-01") as client:
        made = await client.responses.create(model="prod", input="Say hello")

    assert made.usage is not None
    assert sim.bill("sim-azure").total_tokens == made.usage.total_tokens


@pytest.mark.parametrize("prefix", ["/compatible-mode/v1", "/openai/v1", "/api/v3", ""])
def test_any_prefix_may_stand_before_the_path(sim: Simulator, prefix: str) -> None:
    """Vendors put their API anywhere."""
    with OpenAI(base_url=sim.url + prefix, api_key="sim-test") as client:
        made = client.chat.completions.create(model="qwen-turbo", messages=HELLO)

    assert made.model == "qwen-turbo"
    assert sim.bill().unpriced == 1
    assert list(sim.bill().by_path) == [f"{prefix}/chat/completions"]


def test_cut_answer_says_length(sim: Simulator) -> None:
    """`max_tokens` cuts the answer, thinking included."""
    with sim.client() as client:
        short = client.chat.completions.create(model="gpt-4o", messages=HELLO, max_tokens=5)
        thought = client.chat.completions.create(model="o3", messages=HELLO, max_completion_tokens=20)
        response = client.responses.create(model="gpt-5", input="Say hello", max_output_tokens=16)

    assert short.choices[0].finish_reason == "length"
    assert short.usage is not None
    assert short.usage.completion_tokens == 5
    assert thought.choices[0].message.content == ""
    assert thought.usage is not None
    assert thought.usage.completion_tokens == 20
    assert response.status == "incomplete"


def test_long_prefix_is_cached_for_the_same_key_only(sim: Simulator) -> None:
    """The second call of a key reads its 1024 tokens or more from the cache."""
    messages: Any = [{"role": "system", "content": "Know all flowers: " + "rose lily tulip " * 700}, *HELLO]
    cached = []
    for key in ("sim-a", "sim-a", "sim-b"):
        with sim.client(api_key=key) as client:
            usage = client.chat.completions.create(model="gpt-4o", messages=messages).usage
            assert usage is not None
            assert usage.prompt_tokens_details is not None
            cached.append(usage.prompt_tokens_details.cached_tokens)

    assert cached[0] == cached[2] == 0
    assert cached[1] is not None
    assert cached[1] >= 1024
    assert cached[1] % 128 == 0
    assert sim.bill("sim-a").entries[1].cost < sim.bill("sim-a").entries[0].cost  # type: ignore[operator]
