"""The routes: one row for each, with its method, path and function."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from token_meter.simulator.batches import Jobs
from token_meter.simulator.chat import chat_reply, completions_reply
from token_meter.simulator.embeddings import decisions_reply, embeddings_reply, moderations_reply
from token_meter.simulator.forms import read_form
from token_meter.simulator.gemini import content_reply
from token_meter.simulator.generation import PromptCache
from token_meter.simulator.media import images_reply, speech_reply, transcription_reply, translation_reply
from token_meter.simulator.messages import messages_reply
from token_meter.simulator.options import Options
from token_meter.simulator.rates import RATES
from token_meter.simulator.reply import RefusedError, Reply
from token_meter.simulator.responses import (
    Archive,
    cancel_response,
    compact,
    count_input,
    create_response,
    delete_response,
    retrieve_response,
)

_KEPT = 2000


class World:
    """The provider's data between requests."""

    def __init__(self) -> None:
        self.cache = PromptCache()
        self.archive = Archive()
        self.jobs = Jobs()
        self._completions: OrderedDict[tuple[str, str], dict[str, Any]] = OrderedDict()

    def clear(self) -> None:
        """Forget everything."""
        self.cache.clear()
        self.archive.clear()
        self.jobs.clear()
        self._completions.clear()

    def keep_completion(self, key: str, completion: dict[str, Any]) -> None:
        """Store a chat completion; the oldest are dropped."""
        self._completions[key, completion["id"]] = completion
        while len(self._completions) > _KEPT:
            self._completions.popitem(last=False)

    def kept_completion(self, key: str, id_: str) -> dict[str, Any]:
        """The chat completion that *key* stored under that id."""
        found = self._completions.get((key, id_))
        if found is None:
            msg = f"Chat completion with id '{id_}' not found."
            raise RefusedError(msg, 404)
        return found


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as far as the routes use it."""

    content_type: str
    body: bytes
    key: str
    name: str
    query: dict[str, list[str]]
    deployment: str | None
    options: Options

    def json(self) -> dict[str, Any]:
        """The JSON object in the body."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            msg = "We could not parse the JSON body of your request: expected a JSON object."
            raise RefusedError(msg)
        return found


class Route(NamedTuple):
    """A method, a suffix of a path, and the function that answers."""

    method: str
    pattern: re.Pattern[str]
    answer: Callable[[Asked, World], Awaitable[Reply]]


async def _chat(asked: Asked, world: World) -> Reply:
    body = asked.json()
    reply = chat_reply(body, asked.options, asked.key, world.cache, asked.deployment)
    if body.get("store") is True and reply.json is not None:
        world.keep_completion(asked.key, reply.json())
    return reply


async def _retrieve_chat(asked: Asked, world: World) -> Reply:
    kept = world.kept_completion(asked.key, asked.name)
    return Reply("chat", asked.name, kept["model"], None, json=lambda: kept)


async def _completions(asked: Asked, world: World) -> Reply:
    return completions_reply(asked.json(), asked.options, asked.key, world.cache, asked.deployment)


async def _create_response(asked: Asked, world: World) -> Reply:
    return create_response(asked.json(), asked.options, asked.key, world.cache, world.archive, asked.deployment)


async def _retrieve_response(asked: Asked, world: World) -> Reply:
    stream = asked.query.get("stream", ["false"])[0].lower() == "true"
    after = asked.query.get("starting_after", [""])[0]
    return retrieve_response(
        asked.key, asked.name, world.archive, stream=stream, after=int(after) if after.isdigit() else -1
    )


async def _cancel_response(asked: Asked, world: World) -> Reply:
    return cancel_response(asked.key, asked.name, world.archive)


async def _delete_response(asked: Asked, world: World) -> Reply:
    return delete_response(asked.key, asked.name, world.archive)


async def _input_tokens(asked: Asked, world: World) -> Reply:
    return count_input(asked.json(), asked.options, asked.key, world.archive, asked.deployment)


async def _compact(asked: Asked, world: World) -> Reply:
    return compact(asked.json(), asked.options, asked.key, world.cache, world.archive, asked.deployment)


async def _embeddings(asked: Asked, world: World) -> Reply:
    return embeddings_reply(asked.json(), asked.options, asked.deployment)


async def _moderations(asked: Asked, world: World) -> Reply:
    return moderations_reply(asked.json(), asked.options)


async def _decisions(asked: Asked, world: World) -> Reply:
    return decisions_reply(asked.json(), asked.options)


async def _generate_images(asked: Asked, world: World) -> Reply:
    return images_reply(asked.json(), 0, asked.options, asked.deployment, "generation")


async def _edit_images(asked: Asked, world: World) -> Reply:
    form = await read_form(asked.content_type, asked.body)
    return images_reply(form.fields, len(form.files.get("image", ())), asked.options, asked.deployment, "edit")


async def _transcribe(asked: Asked, world: World) -> Reply:
    form = await read_form(asked.content_type, asked.body)
    return transcription_reply(form, asked.options, asked.deployment)


async def _translate(asked: Asked, world: World) -> Reply:
    form = await read_form(asked.content_type, asked.body)
    return translation_reply(form, asked.options, asked.deployment)


async def _speak(asked: Asked, world: World) -> Reply:
    return speech_reply(asked.json(), asked.options, asked.deployment)


async def _upload(asked: Asked, world: World) -> Reply:
    form = await read_form(asked.content_type, asked.body)
    return world.jobs.upload(asked.key, b"".join(form.files.get("file", ())), asked.options)


async def _file_content(asked: Asked, world: World) -> Reply:
    return world.jobs.content(asked.key, asked.name)


async def _create_batch(asked: Asked, world: World) -> Reply:
    return world.jobs.create(asked.key, asked.json(), asked.options)


async def _poll_batch(asked: Asked, world: World) -> Reply:
    def answer(endpoint: str, body: dict[str, Any], options: Options) -> Reply:
        if endpoint.endswith("/responses"):
            return create_response(body, options, asked.key, world.cache, world.archive, None)
        return chat_reply(body, options, asked.key, world.cache, None)

    return world.jobs.poll(asked.key, asked.name, answer, names_usage=asked.options.usage != "none")


async def _messages(asked: Asked, world: World) -> Reply:
    return messages_reply(asked.json(), asked.options, asked.key, world.cache)


async def _content(asked: Asked, world: World) -> Reply:
    return content_reply(asked.name, asked.json(), asked.options, asked.key, world.cache, streamed=False)


async def _content_stream(asked: Asked, world: World) -> Reply:
    if asked.query.get("alt") != ["sse"]:
        msg = "the simulator streams content as server-sent events only: ?alt=sse"
        raise RefusedError(msg, kind="INVALID_ARGUMENT")
    return content_reply(asked.name, asked.json(), asked.options, asked.key, world.cache, streamed=True)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1700000000, "owned_by": "token-meter-simulator"}


async def _models(asked: Asked, world: World) -> Reply:
    answer = {"object": "list", "data": [_model(name) for name in RATES]}
    return Reply("models", "models", "", None, json=lambda: answer)


async def _one_model(asked: Asked, world: World) -> Reply:
    return Reply("models", "models", "", None, json=lambda: _model(asked.name))


def _route(method: str, ending: str, answer: Callable[[Asked, World], Awaitable[Reply]]) -> Route:
    return Route(method, re.compile(f"/{ending}/?$"), answer)


_ID = "(?P<id>[^/]+)"
ROUTES = (
    _route("POST", "chat/completions", _chat),
    _route("GET", f"chat/completions/{_ID}", _retrieve_chat),
    _route("POST", "completions", _completions),
    _route("POST", "responses", _create_response),
    _route("POST", "responses/input_tokens", _input_tokens),
    _route("POST", "responses/compact", _compact),
    _route("POST", f"responses/{_ID}/cancel", _cancel_response),
    _route("GET", f"responses/{_ID}", _retrieve_response),
    _route("DELETE", f"responses/{_ID}", _delete_response),
    _route("POST", "embeddings", _embeddings),
    _route("POST", "images/generations", _generate_images),
    _route("POST", "images/edits", _edit_images),
    _route("POST", "images/variations", _edit_images),
    _route("POST", "audio/transcriptions", _transcribe),
    _route("POST", "audio/translations", _translate),
    _route("POST", "audio/speech", _speak),
    _route("POST", "moderations", _moderations),
    _route("POST", "decisions", _decisions),
    _route("POST", "files", _upload),
    _route("GET", f"files/{_ID}/content", _file_content),
    _route("POST", "batches", _create_batch),
    _route("GET", f"batches/{_ID}", _poll_batch),
    _route("POST", "v1/messages", _messages),
    _route("POST", "models/(?P<id>[^/:]+):generateContent", _content),
    _route("POST", "models/(?P<id>[^/:]+):streamGenerateContent", _content_stream),
    _route("GET", "models", _models),
    _route("GET", f"models/{_ID}", _one_model),
)
