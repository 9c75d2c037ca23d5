"""Images and audio: generation, editing, transcription, translation, speech."""

from __future__ import annotations

import base64
import io
import math
import time
import wave
from collections.abc import Iterator
from typing import Any

from token_meter.simulator.answers import answer, digest
from token_meter.simulator.chat import model_of, whole
from token_meter.simulator.forms import Form
from token_meter.simulator.naming import new_id
from token_meter.simulator.options import Options
from token_meter.simulator.reply import RefusedError, Reply
from token_meter.simulator.sse import Event
from token_meter.simulator.tokens import count, pieces
from token_meter.types import Usage

_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
_IMAGE_TOKENS = {"low": 272, "medium": 1056, "high": 4160}
_INPUT_IMAGE_TOKENS = 323
_PARTIAL_TOKENS = 100
_BYTES_PER_SECOND = 16_000
_AUDIO_TOKENS_PER_SECOND = 10
_SPEECH_BYTES_PER_CHAR = 600
_MOST_IMAGES, _MOST_PARTIALS = 10, 3
"""Of one request (OpenAI's API reference, 2026-11)."""


def images_reply(fields: dict[str, Any], inputs: int, options: Options, deployment: str | None, verb: str) -> Reply:
    """Answer a request for images; *verb* is `generation` or `edit`, *inputs* the number of images in the request."""
    model = model_of({"model": "gpt-image-1" if inputs else "dall-e-2", **fields}, deployment, options)
    n = whole(_number(fields.get("n")), "n", most=_MOST_IMAGES) or 1
    partials = whole(_number(fields.get("partial_images")), "partial_images", 0, _MOST_PARTIALS) or 0
    streamed = _is_true(fields.get("stream"))
    told = model.startswith(("gpt-image", "chatgpt-image"))
    quality = str(fields.get("quality") or "auto")
    drawn = n * _IMAGE_TOKENS.get(quality, _IMAGE_TOKENS["medium"]) + (partials * _PARTIAL_TOKENS if streamed else 0)
    text, seen = count(str(fields.get("prompt", "")), model), inputs * _INPUT_IMAGE_TOKENS
    usage = Usage(text + seen, drawn, text + seen + drawn, input_image_tokens=seen, output_image_tokens=drawn)
    look = {
        "background": str(fields.get("background") or "auto"),
        "output_format": str(fields.get("output_format") or "png"),
        "quality": quality,
        "size": str(fields.get("size") or "1024x1024"),
    }
    created = int(time.time())

    def usage_field(*, with_output: bool) -> dict[str, Any]:
        if not told or options.usage == "none":
            return {}
        found: dict[str, Any] = {
            "input_tokens": text + seen,
            "input_tokens_details": {"text_tokens": text, "image_tokens": seen},
            "output_tokens": drawn,
            "total_tokens": text + seen + drawn,
        }
        if with_output:
            found["output_tokens_details"] = {"text_tokens": 0, "image_tokens": drawn}
        return {"usage": None if options.usage == "null" else found}

    def make() -> dict[str, Any]:
        as_url = not told and fields.get("response_format") != "b64_json"
        image = {"url": "http://127.0.0.1/simulated.png"} if as_url else {"b64_json": _PIXEL}
        return {"created": created, "data": [image] * n, **(look if told else {}), **usage_field(with_output=True)}

    def events() -> Iterator[Event]:
        common = {"b64_json": _PIXEL, "created_at": created, **look}
        kind = f"image_{verb}"
        for index in range(partials):
            name = f"{kind}.partial_image"
            yield Event({"type": name, "partial_image_index": index, **common}, name)
        last = {"type": f"{kind}.completed", **common, **usage_field(with_output=False)}
        yield Event(last, f"{kind}.completed", has_usage=bool(last.get("usage")))

    return Reply(
        "images",
        new_id("img_", options),
        model,
        usage,
        json=make,
        events=lambda: list(events()),
        streamed=streamed,
        reports_usage=told,
    )


def transcription_reply(form: Form, options: Options, deployment: str | None) -> Reply:
    """Answer a request for a transcription: whisper bills seconds, the others tokens."""
    model, sound, text = _heard(form, options, deployment)
    seconds = _seconds(sound)
    by_time = model.startswith("whisper")
    prompt = count(str(form.fields.get("prompt", "")), model)
    heard, written = _AUDIO_TOKENS_PER_SECOND * math.ceil(seconds), count(text, model)
    usage = Usage(heard + prompt, written, heard + prompt + written, input_audio_tokens=heard)
    told: dict[str, Any] = {
        "type": "tokens",
        "input_tokens": heard + prompt,
        "input_token_details": {"text_tokens": prompt, "audio_tokens": heard},
        "output_tokens": written,
        "total_tokens": heard + prompt + written,
    }
    if by_time:
        usage, told = (
            Usage(audio_seconds=float(math.ceil(seconds))),
            {"type": "duration", "seconds": math.ceil(seconds)},
        )
    field = {} if options.usage == "none" else {"usage": None if options.usage == "null" else told}
    style = str(form.fields.get("response_format") or "json")
    plain = _plain_transcript(style, text, seconds)

    def make() -> dict[str, Any]:
        if style != "verbose_json":
            return {"text": text, **field}
        return {"task": "transcribe", "language": "english", "duration": seconds, "text": text, "segments": [], **field}

    def events() -> Iterator[Event]:
        for piece in pieces(text):
            name = "transcript.text.delta"
            yield Event({"type": name, "delta": piece}, name, piece)
        name = "transcript.text.done"
        has_usage = bool(field.get("usage")) and not by_time
        yield Event({"type": name, "text": text, **({} if by_time else field)}, name, has_usage=has_usage)

    def usage_after(said: dict[int, str]) -> Usage:
        if by_time:
            return usage
        done = count("".join(said.values()), model)
        return usage._replace(completion_tokens=done, total_tokens=heard + prompt + done)

    reply = Reply("transcriptions", new_id("trs_", options), model, usage, json=make, usage_after=usage_after)
    reply.streamed = _is_true(form.fields.get("stream")) and not by_time
    reply.events = lambda: list(events())
    if plain is not None and not reply.streamed:
        reply.binary, reply.reports_usage = (plain.encode(), "text/plain; charset=utf-8"), False
    return reply


def translation_reply(form: Form, options: Options, deployment: str | None) -> Reply:
    """Answer a request for a translation, which is billed by the second, without a usage in the answer."""
    model, sound, text = _heard(form, options, deployment)
    seconds = _seconds(sound)
    usage = Usage(audio_seconds=float(math.ceil(seconds)))
    style = str(form.fields.get("response_format") or "json")
    plain = _plain_transcript(style, text, seconds)
    body: dict[str, Any] = {"text": text}
    if style == "verbose_json":
        body |= {"task": "translate", "language": "english", "duration": seconds, "segments": []}
    reply = Reply("translations", new_id("trl_", options), model, usage, json=lambda: body, reports_usage=False)
    if plain is not None:
        reply.binary = (plain.encode(), "text/plain; charset=utf-8")
    return reply


def speech_reply(body: dict[str, Any], options: Options, deployment: str | None) -> Reply:
    """Answer a request for speech: bytes without usage, or events whose last one has it."""
    model = model_of(body, deployment, options)
    said = str(body.get("input", ""))
    asked, spoken = count(said, model), max(1, len(said)) * 2
    usage = Usage(asked, spoken, asked + spoken, output_audio_tokens=spoken)
    sound = (b"ID3" + digest(said).to_bytes(8, "big")) * (max(1, len(said)) * _SPEECH_BYTES_PER_CHAR // 11)
    reply = Reply("speech", new_id("spc_", options), model, usage, reports_usage=False)
    if body.get("stream_format") != "sse":
        kind = {"mp3": "mpeg", "opus": "ogg", "pcm": "pcm"}.get(str(body.get("response_format") or "mp3"), "wav")
        reply.binary = (sound, f"audio/{kind}")
        return reply

    def events() -> Iterator[Event]:
        for start in range(0, len(sound), 4096):
            piece = base64.b64encode(sound[start : start + 4096]).decode()
            yield Event({"type": "speech.audio.delta", "audio": piece}, "speech.audio.delta")
        told = {"input_tokens": asked, "output_tokens": spoken, "total_tokens": asked + spoken}
        last = {"type": "speech.audio.done", **({} if options.usage == "none" else {"usage": told})}
        yield Event(last, "speech.audio.done", has_usage="usage" in last)

    reply.streamed, reply.events, reply.reports_usage = True, lambda: list(events()), True
    return reply


def _heard(form: Form, options: Options, deployment: str | None) -> tuple[str, bytes, str]:
    """The model, the sound and its transcript."""
    files = form.files.get("file")
    if not files:
        msg = "Missing required field 'file'."
        raise RefusedError(msg)
    number = f"{digest(str(form.fields.get('prompt', '')), files[0].hex(), options.seed):x}"
    text = answer(f"sound {number}", f"sound {number}", seed=options.seed, words=options.words)
    return model_of(form.fields, deployment, options), files[0], text.replace("Answer", "Transcript")


def _seconds(sound: bytes) -> float:
    """The duration of *sound* in seconds: from a WAV file's header, else computed for 128 kbit/s."""
    if sound[:4] == b"RIFF":
        try:
            with wave.open(io.BytesIO(sound)) as file:
                return float(round(file.getnframes() / file.getframerate(), 2))
        except (wave.Error, EOFError, ZeroDivisionError):
            pass
    return round(max(len(sound) / _BYTES_PER_SECOND, 0.1), 2)


def _plain_transcript(style: str, text: str, seconds: float) -> str | None:
    stamp = f"00:00:{min(seconds, 59.99):06.3f}"
    if style == "text":
        return text + "\n"
    if style == "srt":
        return f"1\n00:00:00,000 --> {stamp.replace('.', ',')}\n{text}\n\n"
    return f"WEBVTT\n\n00:00:00.000 --> {stamp}\n{text}\n\n" if style == "vtt" else None


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")
