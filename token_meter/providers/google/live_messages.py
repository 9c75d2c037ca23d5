"""Finds the call of each message of Google's Live API. A program that opens no such connection never loads this module.

A turn of the model is a call. It begins with the first thing that the model makes, and ends with `turnComplete`. A turn
is asked for by a content that is complete, a text, the end of an activity that the program marks itself, or the results
of tools; where the provider hears in the sound itself that somebody has spoken, it begins unasked.

Sources: https://ai.google.dev/api/live, google-genai 3.6, 14 recorded turns, pydantic/pydantic-ai#7269 (2026-11).
"""

from __future__ import annotations

import json
import re
from typing import Any

from token_meter.providers.google.usage import is_report
from token_meter.providers.routes import SOCKET
from token_meter.providers.sockets import SocketCalls, SocketCommand, SocketPlace, SocketRequest
from token_meter.transports.ports import ObservedAttempt
from token_meter.wire.json_scan import Object, parse_object
from token_meter.wire.safe_access import objects, text_of

_KIND = re.compile(rb'\s*\{\s*"([A-Za-z_]{1,40})"')
_ASKS = (b'"text"', b'"activityEnd"', b'"activity_end"')
_SOUND = b'"inlineData"'
_BESIDE_SOUND = (b'"usageMetadata"', b'"turnComplete"', b'"outputTranscription"', b'"text"', b'"toolCall"')
_SETTINGS = {
    "model": "model",
    "generationConfig": "generation_config",
    "systemInstruction": "system_instruction",
    "tools": "tools",
}


class Dialect:
    """The messages of one connection (a `SocketDialect`)."""

    def __init__(self, place: SocketPlace) -> None:
        self._path = place.path
        self._settings: Object = {}
        self._contents: list[Any] = []
        self._turn = 0
        self._is_asked = self._runs = self._shows = self._sounds = False
        self._usage: Object | None = None

    def command(self, data: Any) -> SocketCommand | None:
        """What asks for a turn; what asks again before the model has begun asks for the same one."""
        raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        found = _KIND.match(raw) if isinstance(raw, bytes | bytearray) else None
        if found is None:
            return None
        kind = found[1].replace(b"_", b"").lower()
        if kind == b"realtimeinput" and not any(mark in raw for mark in _ASKS):
            return None  # sound and pictures, many a second
        inner = next(iter((parse_object(bytes(raw)) or {}).values()), None)
        if not isinstance(inner, dict):
            return None
        if kind == b"setup":
            self._settings = {name: _get(inner, name, snake) for name, snake in _SETTINGS.items()}
            self._settings["model"] = text_of(self._settings["model"]).rpartition("models/")[2] or None
            return None
        if not self._asks(kind, inner):
            return None
        self._is_asked = True
        contents, self._contents = self._contents, []
        return SocketCommand(self._request({**self._settings, "contents": contents}), joins=True)

    def _asks(self, kind: bytes, inner: Object) -> bool:
        """Keep what a message adds to the prompt, and return whether the model shall answer now."""
        if kind == b"clientcontent":
            turns = inner.get("turns")
            self._contents += turns if isinstance(turns, list) else [] if turns is None else [turns]
            return _get(inner, "turnComplete", "turn_complete") is True
        if kind == b"realtimeinput":
            if text := text_of(inner.get("text")):
                self._contents.append({"parts": [{"text": text}]})
            return bool(text) or _get(inner, "activityEnd", "activity_end") is not None
        if kind == b"toolresponse":
            results = _get(inner, "functionResponses", "function_responses")
            self._contents.append({"parts": [{"functionResponse": result} for result in objects(results)]})
            return not self._runs  # else the turn that asked for them goes on
        return False

    def unasked(self) -> SocketRequest:
        """A turn that begins because somebody has spoken."""
        return self._request({"model": self._settings.get("model")})

    def received(self, calls: SocketCalls, message: bytes) -> ObservedAttempt | None:
        """Sound is looked into only where something stands beside it: it is nearly all that comes."""
        if _SOUND in message and not any(mark in message for mark in _BESIDE_SOUND):
            self._shows = self._sounds = True
            return None if self._runs else self._begin(calls, {})
        said = parse_object(message) or {}
        content = said.get("serverContent")
        content = content if isinstance(content, dict) else {}
        shown = list(_shown(content, said.get("toolCall")))
        shows = bool(shown) or _SOUND in message
        report = said.get("usageMetadata")
        if isinstance(report, dict) and is_report(usage := _as_elsewhere(report)):
            self._usage = usage if self._usage is None else _added(self._usage, usage)
        elif not (shows or self._runs):
            return None  # of the connection, or of what was heard
        self._shows = self._shows or shows
        self._sounds = self._sounds or _SOUND in message or "outputTranscription" in content
        # A report of no turn that is known is counted for itself.
        is_over = content.get("turnComplete") is True or not (shows or self._runs or self._is_asked)
        event = self._event(content, shown, is_over=is_over)
        if not is_over:
            return self._goes_on(calls, event)
        told = calls.ended(str(self._turn), None, _framed(event))
        self._turn += 1
        self._is_asked = self._is_asked and self._runs  # else that question has been answered now
        self._runs = self._shows = self._sounds = False
        self._usage = None
        return told

    def _goes_on(self, calls: SocketCalls, event: Object) -> ObservedAttempt | None:
        if not self._runs:
            return self._begin(calls, event)
        running = calls.running_on(None)
        if running is not None:
            running.feed(_framed(event))
        return running

    def _begin(self, calls: SocketCalls, event: Object) -> ObservedAttempt | None:
        self._runs, self._is_asked = True, False
        return calls.began(str(self._turn), None, _framed(event))

    def _event(self, content: Object, shown: list[Object], *, is_over: bool) -> Object:
        """The event of `streamGenerateContent` that would say the same."""
        candidate: Object = {"content": {"parts": shown}}
        if "groundingMetadata" in content:
            candidate["groundingMetadata"] = content["groundingMetadata"]
        usage = self._usage
        if is_over:
            if usage is not None and self._shows and "candidatesTokensDetails" not in usage:
                # Sound costs several times what text does.
                made = {
                    "modality": "AUDIO" if self._sounds else "TEXT",
                    "tokenCount": usage.get("candidatesTokenCount"),
                }
                usage = {**usage, "candidatesTokensDetails": [made]}
            # Of a turn that showed something, a report without its tokens is not the whole.
            if usage is not None and self._shows and not _tells_output(usage):
                usage = {**usage, "candidatesTokenCount": 0}
            else:
                candidate["finishReason"] = _reason(content)
        return {"candidates": [candidate], **({} if usage is None else {"usageMetadata": usage})}

    def _request(self, body: Object) -> SocketRequest:
        content = json.dumps(body, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")
        return SocketRequest(SOCKET, self._path, content)


def _framed(event: Object) -> bytes:
    return b"data: %b\n\n" % json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _get(given: Object, camel: str, snake: str) -> Any:
    found = given.get(camel)
    return given.get(snake) if found is None else found


def _shown(content: Object, call: Any) -> list[Object]:
    """The parts that a message shows: text, words that are spoken, calls of functions. Sound is replaced by nothing."""
    turn, spoken = content.get("modelTurn"), content.get("outputTranscription")
    found: list[Object] = [
        {name: value for name, value in part.items() if name != "inlineData"}
        for part in objects(turn.get("parts") if isinstance(turn, dict) else None)
        if part.keys() - {"inlineData", "text"} or text_of(part.get("text"))
    ]
    if isinstance(spoken, dict) and text_of(spoken.get("text")):
        found.append({"text": spoken["text"]})
    if isinstance(call, dict):
        found += ({"functionCall": function} for function in objects(call.get("functionCalls")))
    return found


def _reason(content: Object) -> str:
    if content.get("interrupted") is True:
        return "INTERRUPTED"
    return text_of(content.get("turnCompleteReason")) or "STOP"


def _tells_output(usage: Object) -> bool:
    total, prompt = usage.get("totalTokenCount"), usage.get("promptTokenCount")
    if usage.get("candidatesTokenCount") is not None:
        return True
    return isinstance(total, int) and isinstance(prompt, int) and total > prompt


def _as_elsewhere(report: Object) -> Object:
    """A report in the words of `generateContent`, which Vertex AI and gateways use here too.

    Its total leaves thoughts out (5 of 5 recorded turns that had some), so that it serves only where a count is left
    out.
    """
    made, thoughts, total = (
        report.get(name) for name in ("responseTokenCount", "thoughtsTokenCount", "totalTokenCount")
    )
    made = report.get("candidatesTokenCount") if made is None else made
    details = report.get("responseTokensDetails")
    found = {
        **report,
        "candidatesTokenCount": made,
        "candidatesTokensDetails": report.get("candidatesTokensDetails") if details is None else details,
    }
    if report.get("promptTokenCount") is not None and made is not None:
        found["totalTokenCount"] = None
    elif isinstance(total, int) and isinstance(thoughts, int):
        found["totalTokenCount"] = total + thoughts
    return {name: value for name, value in found.items() if value is not None}


def _added(older: Object, newer: Object) -> Object:
    """Two reports of one turn as one: each is of what the model made since the one before."""
    both = {**older, **newer}
    for name in older.keys() & newer.keys():
        before, now = older[name], newer[name]
        if type(before) is type(now) and type(now) in (int, list):
            both[name] = before + now
    return both
