"""The Realtime API on a websocket: one conversation, in text and sound.

Audio input is one token for each 100 ms. Answers are text and sound. Each turn of the user is reported with a
transcript if the session asks for that.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Iterator
from typing import Any

from token_meter.simulator.generation import Ask, generate
from token_meter.simulator.naming import new_id, served_model
from token_meter.simulator.options import Options
from token_meter.simulator.reply import Reply
from token_meter.simulator.sockets import Socket
from token_meter.simulator.sse import Event
from token_meter.simulator.tokens import count, pieces
from token_meter.types import Usage

_BYTES_A_TOKEN = 4800  # PCM16 at 24 kHz: 100 ms
_SPOKEN_FOR_EACH = 4
"""Audio tokens for each token of the spoken transcript."""
_TRANSCRIBER = "gpt-4o-mini-transcribe"
_OLD_NAMES = {
    "response.output_text.delta": "response.text.delta",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
}
"""The names of events in the beta of the Realtime API."""


class Realtime:
    def __init__(self, socket: Socket, model: str, *, is_beta: bool) -> None:
        self._socket = socket
        self._is_beta = is_beta
        self._session: dict[str, Any] = {"type": "realtime", "model": model, "output_modalities": ["audio"]}
        self._messages: list[dict[str, Any]] = []
        self._audio_tokens = 0
        self._buffer = 0
        self._cached = 0
        self._turn = asyncio.Lock()

    async def greet(self) -> None:
        await self._tell("session.created", session=self._session)

    async def _tell(self, kind: str, **data: Any) -> None:
        await self._socket.tell({"type": kind, "event_id": new_id("event_", Options()), **data})

    async def heard(self, event: dict[str, Any]) -> None:
        async with self._turn:
            kind = event.get("type")
            if kind == "session.update":
                self._session |= event.get("session") or {}
                await self._tell("session.updated", session=self._session)
            elif kind == "conversation.item.create":
                item = event.get("item") or {}
                self._messages.append({"role": item.get("role", "user"), "content": item.get("content") or []})
                await self._tell("conversation.item.created", item=item)
            elif kind == "input_audio_buffer.append":
                self._buffer += _length(event.get("audio"))
            elif kind == "input_audio_buffer.commit":
                await self._commit()
            elif kind == "response.create":
                await self._respond(event)
            else:
                await self._refuse(f"Invalid value: {kind!r}.", event)

    async def _refuse(self, text: str, event: dict[str, Any], **more: Any) -> None:
        socket = self._socket
        socket.books.refuse(socket.key)
        error = {"type": "invalid_request_error", "message": text, "event_id": event.get("event_id"), **more}
        await self._tell("error", error=error)

    async def _commit(self) -> None:
        """End a turn of the user: store its transcript, and answer it if the server detects turns."""
        socket, tokens = self._socket, max(1, self._buffer // _BYTES_A_TOKEN)
        self._buffer = 0
        self._audio_tokens += tokens
        said = f"A turn of {tokens} audio tokens."
        self._messages.append({"role": "user", "content": said})
        name = new_id("item_", Options())
        await self._tell("input_audio_buffer.committed", item_id=name)
        heard = (self._session.get("audio") or {}).get("input") or {}
        transcription = heard.get("transcription") or self._session.get("input_audio_transcription")
        if transcription:
            model = transcription.get("model") or _TRANSCRIBER
            written = count(said, model)
            usage = Usage(tokens, written, tokens + written, input_audio_tokens=tokens)
            reported = {
                "type": "tokens", "input_tokens": tokens, "output_tokens": written, "total_tokens": tokens + written,
                "input_token_details": {"audio_tokens": tokens, "text_tokens": 0},
            }  # fmt: skip
            kind = "conversation.item.input_audio_transcription.completed"
            data = {"type": kind, "item_id": name, "content_index": 0, "transcript": said, "usage": reported}
            events = [Event(data, has_usage=True)]
            socket.books.ask(socket.key)
            await socket.answer(Reply("transcriptions", name, model, usage, events=lambda: events, streamed=True))
        if heard.get("turn_detection") or self._session.get("turn_detection"):
            await self._respond({})

    async def _respond(self, event: dict[str, Any]) -> None:
        socket = self._socket
        socket.books.ask(socket.key)
        wanted = event.get("response") or {}
        if "tool_choice" in wanted and not wanted.get("tools"):
            await self._refuse("A tool_choice without tools.", event, param="response.tool_choice")
            return
        model = served_model(str(self._session.get("model")), None, socket.options)
        ask = Ask(list(self._messages) or [{"role": "user", "content": ""}], model)
        made = generate(ask, socket.options, socket.key, socket.world.cache)
        text = made.choices[0].text
        is_spoken = "audio" in (wanted.get("output_modalities") or self._session.get("output_modalities") or ())
        visible = count(text, model)
        spoken = _SPOKEN_FOR_EACH * visible if is_spoken else 0
        prompt = (made.usage.prompt_tokens or 0) + self._audio_tokens
        cached, self._cached = min(self._cached, prompt), prompt
        usage = Usage(
            prompt, visible + spoken, prompt + visible + spoken, cached_tokens=cached,
            input_audio_tokens=self._audio_tokens, output_audio_tokens=spoken,
            cached_audio_tokens=0,
        )  # fmt: skip
        self._messages.append({"role": "assistant", "content": text})
        name = new_id("resp_", socket.options)

        def after(said: dict[int, str]) -> Usage:
            tokens = count(said.get(0, ""), model)
            spoke = _SPOKEN_FOR_EACH * tokens if is_spoken else 0
            return usage._replace(
                completion_tokens=tokens + spoke, total_tokens=prompt + tokens + spoke, output_audio_tokens=spoke
            )

        await socket.answer(
            Reply(
                "realtime",
                name,
                model,
                usage,
                events=lambda: list(self._events(name, text, usage, is_spoken)),
                usage_after=after,
                streamed=True,
            )
        )

    def _events(self, name: str, text: str, usage: Usage, is_spoken: bool) -> Iterator[Event]:
        def event(kind: str, generated: str = "", /, has_usage: bool = False, **data: Any) -> Event:
            kind = _OLD_NAMES.get(kind, kind) if self._is_beta else kind
            return Event({"type": kind, **data}, text=generated, has_usage=has_usage)

        place: dict[str, Any] = {"response_id": name, "item_id": f"item_{name}", "output_index": 0, "content_index": 0}
        body: dict[str, Any] = {"object": "realtime.response", "id": name, "status": "in_progress", "output": []}
        yield event("response.created", response=body | {"usage": None})
        for piece in pieces(text):
            if is_spoken:
                sound = base64.b64encode(piece.encode() * 64).decode()
                yield event("response.output_audio.delta", **place, delta=sound)
                yield event("response.output_audio_transcript.delta", piece, **place, delta=piece)
            else:
                yield event("response.output_text.delta", piece, **place, delta=piece)
        content = {"type": "output_audio", "transcript": text} if is_spoken else {"type": "output_text", "text": text}
        item = {"id": f"item_{name}", "type": "message", "role": "assistant", "status": "completed"}
        style = self._socket.options.usage
        reported = {} if style == "none" else {"usage": None if style == "null" else _usage(usage)}
        done = body | {"status": "completed", "output": [item | {"content": [content]}], **reported}
        yield event("response.done", has_usage=style not in ("none", "null"), response=done)


def _usage(usage: Usage) -> dict[str, Any]:
    """The usage of a realtime response."""
    heard, spoken, cached = usage.input_audio_tokens or 0, usage.output_audio_tokens or 0, usage.cached_tokens or 0
    return {
        "total_tokens": usage.total_tokens,
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "input_token_details": {
            "text_tokens": (usage.prompt_tokens or 0) - heard,
            "audio_tokens": heard,
            "cached_tokens": cached,
            "cached_tokens_details": {"text_tokens": cached, "audio_tokens": 0},
        },
        "output_token_details": {"text_tokens": (usage.completion_tokens or 0) - spoken, "audio_tokens": spoken},
    }


def _length(audio: Any) -> int:
    try:
        return len(base64.b64decode(str(audio), validate=True))
    except (binascii.Error, ValueError):
        return 0
