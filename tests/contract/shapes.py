"""The call shapes of the openai SDK, each once for both colours: a shape is told a client and says what it saw.

A shape returns a description of what the caller got (types and texts), so that two runs can be compared.
"""

from __future__ import annotations

import inspect
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pydantic

MESSAGES: list[Any] = [{"role": "user", "content": "Which rose is the pinkest?"}]
CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": MESSAGES}
WITH_USAGE = {"include_usage": True}


class Rose(pydantic.BaseModel):
    name: str
    petals: int


async def result(value: Any) -> Any:
    """The value of a call of either colour."""
    return await value if inspect.isawaitable(value) else value


async def each(items: Any) -> AsyncIterator[Any]:
    """The items of an iterable of either colour; a peer's wrapper that has both is one of the plain colour."""
    if hasattr(items, "__iter__"):
        for item in items:
            yield item
    else:
        async for item in items:
            yield item


@asynccontextmanager
async def entered(manager: Any) -> AsyncIterator[Any]:
    """A context manager of either colour."""
    if hasattr(manager, "__enter__"):
        with manager as value:
            yield value
    else:
        async with manager as value:
            yield value


def kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


async def chat(client: Any) -> list[str]:
    answer = await result(client.chat.completions.create(**CHAT))
    return [kind(answer), answer.choices[0].message.content]


async def parse(client: Any) -> list[str]:
    completions = client.chat.completions if hasattr(client.chat.completions, "parse") else client.beta.chat.completions
    answer = await result(completions.parse(**CHAT, response_format=Rose))
    return [kind(answer), kind(answer.choices[0].message.parsed)]


async def stream(client: Any) -> list[str]:
    events = await result(client.chat.completions.create(**CHAT, stream=True, stream_options=WITH_USAGE))
    return [kind(events)] + [repr(event) async for event in each(events)]


async def stream_as_manager(client: Any) -> list[str]:
    events = await result(client.chat.completions.create(**CHAT, stream=True, stream_options=WITH_USAGE))
    async with entered(events) as opened:
        return [kind(opened)] + [repr(event) async for event in each(opened)]


async def stream_helper(client: Any) -> list[str]:
    chat = client.chat if hasattr(client.chat.completions, "stream") else client.beta.chat
    seen = []
    async with entered(chat.completions.stream(**CHAT, stream_options=WITH_USAGE)) as events:
        async for event in each(events):
            seen.append(event.type)
        final = await result(events.get_final_completion())
    return [*seen, kind(final), str(final.usage)]


async def raw(client: Any) -> list[str]:
    answer = await result(client.chat.completions.with_raw_response.create(**CHAT))
    parsed, again = await result(answer.parse()), await result(answer.parse())
    return [kind(answer), kind(parsed), str(parsed.usage), str(again.usage), str(answer.http_response.status_code)]


async def raw_stream(client: Any) -> list[str]:
    answer = await result(
        client.chat.completions.with_raw_response.create(**CHAT, stream=True, stream_options=WITH_USAGE)
    )
    events = await result(answer.parse())
    return [kind(answer), kind(events)] + [repr(event) async for event in each(events)]


async def streaming_response(client: Any) -> list[str]:
    async with entered(client.chat.completions.with_streaming_response.create(**CHAT)) as answer:
        parsed = await result(answer.parse())
    return [kind(answer), kind(parsed), str(parsed.usage)]


async def streaming_response_lines(client: Any) -> list[str]:
    manager = client.chat.completions.with_streaming_response.create(**CHAT, stream=True, stream_options=WITH_USAGE)
    async with entered(manager) as answer:
        return [kind(answer)] + [line async for line in each(answer.iter_lines())]


async def responses(client: Any) -> list[str]:
    answer = await result(client.responses.create(model="gpt-4o-mini", input="Which rose?"))
    return [kind(answer), answer.output_text]


async def responses_parse(client: Any) -> list[str]:
    answer = await result(client.responses.parse(model="gpt-4o-mini", input="Which rose?", text_format=Rose))
    return [kind(answer), kind(answer.output_parsed)]


async def responses_stream(client: Any) -> list[str]:
    events = await result(client.responses.create(model="gpt-4o-mini", input="Which rose?", stream=True))
    return [kind(events)] + [kind(event) async for event in each(events)]


async def responses_helper(client: Any) -> list[str]:
    async with entered(client.responses.stream(model="gpt-4o-mini", input="Which rose?")) as events:
        seen = [event.type async for event in each(events)]
        final = await result(events.get_final_response())
    return [*seen, kind(final)]


async def embeddings(client: Any) -> list[str]:
    answer = await result(client.embeddings.create(model="text-embedding-3-small", input=["a rose", "two roses"]))
    return [kind(answer), str(len(answer.data))]


async def completions(client: Any) -> list[str]:
    answer = await result(client.completions.create(model="gpt-3.5-turbo-instruct", prompt="A rose is"))
    return [kind(answer), answer.choices[0].text]


async def images(client: Any) -> list[str]:
    answer = await result(client.images.generate(model="gpt-image-1", prompt="a pink rose"))
    return [kind(answer), str(len(answer.data))]


async def transcription(client: Any) -> list[str]:
    sound = ("rose.wav", io.BytesIO(b"RIFF" + bytes(64)))
    answer = await result(client.audio.transcriptions.create(model="gpt-4o-transcribe", file=sound))
    return [kind(answer), answer.text]


async def transcription_by_duration(client: Any) -> list[str]:
    sound = ("rose.wav", io.BytesIO(b"RIFF" + bytes(64)))
    answer = await result(client.audio.transcriptions.create(model="whisper-1", file=sound))
    return [kind(answer), answer.text]


MEASURED: dict[str, Callable[[Any], Awaitable[list[str]]]] = {
    f.__name__: f
    for f in (
        chat, parse, stream, stream_as_manager, stream_helper, raw, raw_stream, streaming_response,
        streaming_response_lines, responses, responses_parse, responses_stream, responses_helper, embeddings,
        completions, images, transcription, transcription_by_duration,
    )
}  # fmt: skip
"""Shapes whose tokens the provider always reports."""

NEEDS_RESPONSES = ("responses", "responses_parse", "responses_stream", "responses_helper")


async def stream_without_usage(client: Any) -> list[str]:
    events = await result(client.chat.completions.create(**CHAT, stream=True))
    return [kind(events)] + [repr(event) async for event in each(events)]


async def stream_left_early(client: Any) -> list[str]:
    # More than a client reads at once: of a short answer the end, with its usage, may be there already.
    long = {"x-sim-words": "2000"}
    asked = client.chat.completions.create(**CHAT, stream=True, stream_options=WITH_USAGE, extra_headers=long)
    events = await result(asked)
    seen = []
    async for event in each(events):
        seen.append(repr(event))
        if len(seen) == 3:
            break
    await result(events.close())
    return seen


UNREPORTED = {f.__name__: f for f in (stream_without_usage, stream_left_early)}
"""Shapes whose answers report no usage."""
