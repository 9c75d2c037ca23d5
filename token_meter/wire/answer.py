"""Puts the visible pieces of an answer together, for an estimate. Knows no tokens."""

from __future__ import annotations

from collections.abc import Iterable

from token_meter.types import Answer
from token_meter.wire.format import ContentPart, Format
from token_meter.wire.json_scan import Object

_SHOWN = ("text", "refusal")


def answer_of(layout: Format, events: Iterable[Object], whole: Object | None) -> Answer:
    """The answer that a stream's *events*, or a *whole* body, have shown."""
    stream_parts: list[ContentPart] = []
    finish: str | None = None
    last: Object | None = whole
    for event in events:
        stream_parts.extend(layout.stream_parts(event))
        finish = layout.finish(event) or finish
        last = event
    # A stream may show no deltas, and hold the finished answer in its last event.
    if last is not None and not any(piece.text for piece in stream_parts):
        stream_parts.extend(layout.body_parts(last))
        finish = layout.finish(last) or finish
    return _together(stream_parts, finish)


def _together(stream_parts: list[ContentPart], finish: str | None) -> Answer:
    texts: dict[int, list[str]] = {}
    tools: dict[tuple[int, int], tuple[list[str], list[str]]] = {}
    thoughts: list[str] = []
    for kind, text, choice, slot in stream_parts:
        if kind in _SHOWN:
            texts.setdefault(choice, []).append(text)
        elif kind == "reasoning":
            thoughts.append(text)
        else:
            name, arguments = tools.setdefault((choice, slot), ([], []))
            (name if kind == "tool_name" else arguments).append(text)
    return Answer(
        texts=tuple("".join(parts) for _, parts in sorted(texts.items())),
        tool_calls=tuple(("".join(name), "".join(arguments)) for name, arguments in tools.values()),
        reasoned=bool(thoughts),
        finish=finish,
        thoughts="".join(thoughts),
    )
