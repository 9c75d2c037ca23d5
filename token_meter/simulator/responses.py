"""The Responses API: create, stream, background, retrieve, cancel, count, compact."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from token_meter._fees import Fees
from token_meter.simulator.chat import model_of, schema_of, whole
from token_meter.simulator.generation import Ask, Choice, Generation, PromptCache, generate
from token_meter.simulator.naming import new_id, served_tier
from token_meter.simulator.options import Options
from token_meter.simulator.reply import RefusedError, Reply
from token_meter.simulator.response_events import events_of
from token_meter.simulator.sse import Event
from token_meter.simulator.tokens import prompt_tokens
from token_meter.simulator.usages import responses_usage
from token_meter.types import Usage

_KEPT = 2000
_ENDED = ("completed", "incomplete", "cancelled", "failed")


@dataclass(slots=True)
class Stored:
    """A stored response. In the background, it progresses with every poll."""

    form: ResponseForm
    status: str
    polls_left: int
    number: int | None = None

    def poll(self) -> None:
        """Count a poll, and finish the response after enough of them."""
        if self.status in _ENDED:
            return
        self.polls_left -= 1
        self.status = "in_progress" if self.polls_left > 0 else self.form.final_status


class Archive:
    """Responses by key and id; the oldest are dropped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[tuple[str, str], Stored] = OrderedDict()

    def put(self, key: str, id_: str, stored: Stored) -> None:
        """Store a response."""
        with self._lock:
            self._found[key, id_] = stored
            while len(self._found) > _KEPT:
                self._found.popitem(last=False)

    def get(self, key: str, id_: str) -> Stored:
        """The response that *key* created under that id."""
        with self._lock:
            stored = self._found.get((key, id_))
        if stored is None:
            msg = f"Response with id '{id_}' not found."
            raise RefusedError(msg, 404)
        return stored

    def drop(self, key: str, id_: str) -> None:
        """Delete a response."""
        with self._lock:
            self._found.pop((key, id_), None)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._found.clear()


def create_response(
    body: dict[str, Any], options: Options, key: str, cache: PromptCache, archive: Archive, deployment: str | None
) -> Reply:
    """Answer a request for a response."""
    ask = _ask(body, options, key, archive, deployment)
    form = ResponseForm(ask, generate(ask, options, key, cache), body, options)
    in_background = bool(body.get("background"))
    streamed = bool(body.get("stream"))
    waits = in_background and not streamed
    stored = Stored(form, "queued" if waits else form.final_status, options.polls)
    if body.get("store") is not False or in_background:
        archive.put(key, form.id, stored)

    def remember(number: int) -> None:
        stored.number = number

    return Reply(
        "responses",
        form.id,
        form.made.model,
        form.usage,
        json=lambda: form.body(stored.status),
        events=lambda: form.events(is_queued=in_background),
        usage_after=form.made.usage_after,
        streamed=streamed,
        tier=form.tier,
        on_billed=remember,
    )


def retrieve_response(key: str, id_: str, archive: Archive, *, stream: bool, after: int) -> Reply:
    """Answer with a stored response, and with its usage once it is complete. Nothing new is billed."""
    stored = archive.get(key, id_)
    stored.poll()
    return _stored_reply(stored, streamed=stream, after=after)


def cancel_response(key: str, id_: str, archive: Archive) -> Reply:
    """Cancel a background response. The tokens generated until then are billed."""
    stored = archive.get(key, id_)
    if stored.status in _ENDED:
        return _stored_reply(stored)
    stored.status = "cancelled"
    reply = _stored_reply(stored)
    reply.amends = {"usage": stored.form.made.usage_after({}), "aborted": True}
    return reply


def delete_response(key: str, id_: str, archive: Archive) -> Reply:
    """Delete a stored response."""
    reply = _stored_reply(archive.get(key, id_))
    archive.drop(key, id_)
    reply.json = lambda: {"id": id_, "object": "response", "deleted": True}
    return reply


def _stored_reply(stored: Stored, *, streamed: bool = False, after: int = -1) -> Reply:
    form = stored.form
    return Reply(
        "responses",
        form.id,
        form.made.model,
        None,
        json=lambda: form.body(stored.status),
        events=lambda: form.events()[after + 1 :],
        streamed=streamed,
        tier=form.tier,
        delivers=stored.number,
    )


def count_input(body: dict[str, Any], options: Options, key: str, archive: Archive, deployment: str | None) -> Reply:
    """Answer `/responses/input_tokens`: a count, no generation, no charge."""
    ask = _ask({"model": "gpt-4o-mini", **body}, options, key, archive, deployment)
    found = prompt_tokens(ask.messages, ask.tools, ask.schema, ask.model)
    answer = {"object": "response.input_tokens", "input_tokens": found}
    return Reply("responses", new_id("count_", options), ask.model, None, json=lambda: answer)


def compact(
    body: dict[str, Any], options: Options, key: str, cache: PromptCache, archive: Archive, deployment: str | None
) -> Reply:
    """Answer `/responses/compact`: the user's messages, and one opaque item for the rest."""
    ask = _ask(body, options, key, archive, deployment)
    form = ResponseForm(ask, generate(ask, options, key, cache), body, options)
    users = [
        {
            "type": "message",
            "id": f"msg_{form.id}_{position}",
            "status": "completed",
            "role": "user",
            "content": message["content"] if isinstance(message.get("content"), list) else [_input_text(message)],
        }
        for position, message in enumerate(ask.messages)
        if message.get("role") == "user"
    ]
    item = {"type": "compaction", "id": f"cmp_{form.id}", "encrypted_content": f"{form.made.number:016x}"}
    answer = {
        "id": form.id,
        "object": "response.compaction",
        "created_at": form.created,
        "output": [*users, item],
        **form.usage_field(),
    }
    return Reply("responses", form.id, form.made.model, form.usage, json=lambda: answer, tier=form.tier)


def _input_text(message: dict[str, Any]) -> dict[str, Any]:
    return {"type": "input_text", "text": str(message.get("content") or "")}


def _ask(body: dict[str, Any], options: Options, key: str, archive: Archive, deployment: str | None) -> Ask:
    messages: list[dict[str, Any]] = []
    if body.get("instructions"):
        messages.append({"role": "system", "content": body["instructions"]})
    if previous := body.get("previous_response_id"):
        form = archive.get(key, str(previous)).form
        messages += [m for m in form.ask.messages if m.get("role") != "system"] + form.output("completed")
    given = body.get("input", "")
    if isinstance(given, str):
        messages.append({"role": "user", "content": given})
    elif isinstance(given, list) and all(isinstance(item, dict) for item in given):
        messages += given
    else:
        msg = "Invalid type for 'input': expected a string or an array of objects."
        raise RefusedError(msg)
    return Ask(
        messages,
        model_of(body, deployment, options),
        limit=whole(body.get("max_output_tokens"), "max_output_tokens"),
        tools=body.get("tools"),
        tool_choice=body.get("tool_choice"),
        schema=schema_of((body.get("text") or {}).get("format")),
        effort=(body.get("reasoning") or {}).get("effort"),
    )


class ResponseForm:
    """A generation in the shapes of the Responses API."""

    def __init__(self, ask: Ask, made: Generation, body: dict[str, Any], options: Options) -> None:
        self.ask = ask
        self.made = made
        self.id = new_id("resp_", options)
        self.tier = served_tier(body.get("service_tier"), options)
        self.created = int(time.time())
        self.style = options.usage
        self.final_status = "incomplete" if self.choice.finish == "length" else "completed"
        self._searches = any(str(tool.get("type", "")).startswith("web_search") for tool in ask.tools or ())
        self._looks_up = any(tool.get("type") == "file_search" for tool in ask.tools or ())
        self._asked = body
        self.usage: Usage = made.usage._replace(web_searches=1) if self._searches else made.usage
        if self._looks_up:
            self.usage = self.usage._replace(fees=Fees({"file_search": 1}))

    @property
    def choice(self) -> Choice:
        """The only answer."""
        return self.made.choices[0]

    def usage_field(self) -> dict[str, Any]:
        """The `usage` of a finished response, or none, depending on the options."""
        if self.style == "none":
            return {}
        return {"usage": None if self.style == "null" else responses_usage(self.usage, self.style)}

    def body(self, status: str, output: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        """The response object in *status*."""
        is_done = status in ("completed", "incomplete")
        asked = self._asked
        found: dict[str, Any] = {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": bool(asked.get("background")),
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": asked.get("instructions"),
            "max_output_tokens": asked.get("max_output_tokens"),
            "model": self.made.model,
            "output": self.output(status) if is_done and output is None else output or [],
            "parallel_tool_calls": True,
            "previous_response_id": asked.get("previous_response_id"),
            "service_tier": self.tier,
            "store": asked.get("store") is not False,
            "temperature": 1.0,
            "text": asked.get("text") or {"format": {"type": "text"}},
            "tool_choice": asked.get("tool_choice") or "auto",
            "tools": asked.get("tools") or [],
            "top_p": 1.0,
            "truncation": "disabled",
            "metadata": asked.get("metadata") or {},
        }
        if not is_done:
            return found | {"usage": None}
        if self._searches:
            found["tool_usage"] = {"web_search": {"num_requests": 1}}
        return found | self.usage_field()

    def output(self, status: str) -> list[dict[str, Any]]:
        """The output items."""
        items: list[dict[str, Any]] = []
        if self.made.reasoning:
            items.append({"type": "reasoning", "id": f"rs_{self.id}", "summary": []})
        if self._searches:
            query = {"type": "search", "query": "simulated", "queries": ["simulated"], "sources": []}
            items.append({"type": "web_search_call", "id": f"ws_{self.id}", "status": "completed", "action": query})
        if self._looks_up:
            found = {"type": "file_search_call", "id": f"fs_{self.id}", "status": "completed", "queries": ["simulated"]}
            items.append(found | {"results": None})
        call = self.choice.call
        if call is not None:
            item = {"type": "function_call", "id": f"fc_{self.id}", "call_id": call.id, "status": "completed"}
            items.append(item | {"name": call.name, "arguments": call.arguments})
        elif self.choice.text or self.choice.finish == "stop":
            content = [{"type": "output_text", "text": self.choice.text, "annotations": [], "logprobs": []}]
            item = {"type": "message", "id": f"msg_{self.id}", "status": status, "role": "assistant"}
            items.append(item | {"content": content})
        return items

    def events(self, *, is_queued: bool = False) -> list[Event]:
        """The whole stream."""
        return list(events_of(self.body, self.output(self.final_status), self.final_status, self.style, is_queued))
