"""The stream of a response, event by event, as OpenAI sends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from token_meter.simulator.sse import Event
from token_meter.simulator.tokens import pieces


def events_of(
    body: Callable[..., dict[str, Any]], output: list[dict[str, Any]], status: str, style: str, is_queued: bool
) -> Iterator[Event]:
    """All events, numbered; *body* makes the response object in a status."""
    numbers = count()

    def event(kind: str, generated: str = "", /, has_usage: bool = False, **data: Any) -> Event:
        return Event({"type": kind, "sequence_number": next(numbers), **data}, kind, generated, has_usage=has_usage)

    yield event("response.created", response=body("queued" if is_queued else "in_progress"))
    if is_queued:
        yield event("response.queued", response=body("queued"))
    yield event("response.in_progress", response=body("in_progress"))
    for index, item in enumerate(output):
        kind = item["type"]
        place = {"item_id": item["id"], "output_index": index}
        if kind == "message":
            yield from _message(event, item, place)
        elif kind == "function_call":
            yield from _function_call(event, item, place)
        else:
            yield event("response.output_item.added", output_index=index, item=item)
            yield event("response.output_item.done", output_index=index, item=item)
    yield event(f"response.{status}", has_usage=style not in ("none", "null"), response=body(status))


def _message(event: Callable[..., Event], item: dict[str, Any], place: dict[str, Any]) -> Iterator[Event]:
    part = item["content"][0]
    index = place["output_index"]
    spot = place | {"content_index": 0}
    yield event("response.output_item.added", output_index=index, item=item | {"status": "in_progress", "content": []})
    yield event("response.content_part.added", **spot, part=part | {"text": ""})
    for text in pieces(part["text"]):
        yield event("response.output_text.delta", text, **spot, delta=text, logprobs=[])
    yield event("response.output_text.done", **spot, text=part["text"], logprobs=[])
    yield event("response.content_part.done", **spot, part=part)
    yield event("response.output_item.done", output_index=index, item=item)


def _function_call(event: Callable[..., Event], item: dict[str, Any], place: dict[str, Any]) -> Iterator[Event]:
    index = place["output_index"]
    begun = item | {"status": "in_progress", "arguments": ""}
    yield event("response.output_item.added", item["name"], output_index=index, item=begun)
    for text in pieces(item["arguments"]):
        yield event("response.function_call_arguments.delta", text, **place, delta=text)
    yield event("response.function_call_arguments.done", **place, name=item["name"], arguments=item["arguments"])
    yield event("response.output_item.done", output_index=index, item=item)
