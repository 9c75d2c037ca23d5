"""The model that a request asks for, by a glance: it is what a reading of the whole request finds."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from token_meter.wire import asked, asked_model, read_request

ASK = [{"role": "user", "content": "The moon is made of cheese"}]
TOOLS = [{"name": "moon"}]
INNER = {"model": "inner", "max_tokens": 5}


def _compact(**fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


REQUESTS = {
    "behind the messages": _compact(messages=ASK, model="m-1"),
    "first": _compact(model="m-2", messages=ASK),
    "first, and one inside": _compact(model="m-2", messages=[{"content": [INNER]}]),
    "before other keys": _compact(messages=ASK, model="m-3", max_tokens=5, user="u"),
    "with spaces": json.dumps({"messages": ASK, "model": "m-4", "n": 1}).encode(),
    "on lines of its own": json.dumps({"messages": ASK, "model": "m-5"}, indent=2).encode(),
    "as the one inside": _compact(messages=ASK, **INNER),
    "behind a request inside": _compact(input=[INNER], model="m-6", max_tokens=5),
    "before a request inside": _compact(stream=True, model="m-7", metadata=INNER),
    "inside only": _compact(messages=[INNER]),
    "inside only, last": _compact(stream=True, metadata={"model": "m-1"}),
    "before one of a tool": _compact(prompt="x", model="gpt-5", tools=[{"type": "image", "model": "m-1", "size": 5}]),
    "as that of the tool": _compact(prompt="x", model="m-1", size=5),
    "before braces in a text": _compact(messages=ASK, model="m-1", system="if (x) { return } }"),
    "inside, before braces in a text": _compact(stream=True, metadata={"model": "m-1", "n": "}"}, model="m-2"),
    "far from both ends": _compact(prompt="x" * 70_000, model="m-1", system="x" * 70_000),
    "as another one inside": _compact(model="m-2", n=1, inner=[{"n": 1, "model": "m-2"}]),
    "outside and inside": _compact(n=1, model="m-2", inner=[{"n": 1, "model": "m-2"}]),
    "outside and the same inside": _compact(n=1, model="m-1", inner=[{"n": 1, "model": "m-2"}]),
    "an end of 64 bytes": _compact(messages=ASK, model="m" * 30, n=1, max_tokens=1000),
    "that end inside": b'{"a":[{"n":1,"model":"' + b"m" * 30 + b'","n":1,"max_tokens":1000}],"model":"m-2"}',
    "a bracket": _compact(messages=ASK, model="}"),
    "none, and short": b'{"n":1}',
    "as a word": _compact(model="m-8", include=["model"]),
    "in a text": _compact(model="m-9", prompt='say "model": "inner", "max_tokens"'),
    "at the end of a key": _compact(model="m-9", **{'a"model': "inner"}),
    "of a tool": _compact(model="m-10", tools=[{"properties": {"model": {"type": "string"}}}]),
    "with an escape": _compact(messages=ASK, model='m-"11"'),
    "with other letters": json.dumps({"messages": ASK, "model": "модель"}, ensure_ascii=False).encode(),
    "not text": b'{"messages":[],"model":"\xff\xfe"}',
    "of 300 letters": _compact(messages=ASK, model="m" * 300),
    "empty": _compact(messages=ASK, model=""),
    "a number": _compact(messages=ASK, model=7),
    "cut": b'{"messages":[],"model":"m-1',
    "with a line behind it": _compact(messages=ASK, model="m-1") + b"\n",
    "none": _compact(messages=ASK),
    "a form": b'--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--x--\r\n',
    "nothing": b"",
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_glance_finds_what_a_reading_finds(kind: str) -> None:
    """Also the second time, and after all the others."""
    found = read_request(REQUESTS[kind]).model

    assert [asked_model(REQUESTS[kind]) for _ in range(2)] == [found] * 2
    for request in REQUESTS.values():
        asked_model(request)
    assert asked_model(REQUESTS[kind]) == found


def test_a_glance_finds_it_in_any_request() -> None:
    """Objects in objects, with few names for everything, and texts with quotes and brackets."""
    rng = random.Random(11)

    def value(depth: int) -> Any:
        kind = rng.random() if depth < 4 else 0
        if kind < 0.4:
            return rng.choice(("m-1", "m-2", 'x"model":"q', '"model"', 5, True, None, "a\nb", "}", "} {"))
        return [value(depth + 1) for _ in range(rng.randrange(3))] if kind < 0.7 else fields(depth + 1)

    def fields(depth: int) -> dict[str, Any]:
        keys = rng.sample(("model", "messages", "stream", "user", "tools", "n", "input"), rng.randrange(1, 6))
        return {
            key: rng.choice(("m-1", "m-2", 'm"3'))
            if key == "model" and rng.random() < 0.8 else value(depth + 1) for key in keys
        }  # fmt: skip

    for _ in range(3_000):
        request = json.dumps(fields(0), separators=rng.choice(((",", ":"), (", ", ": ")))).encode()
        assert asked_model(request) == read_request(request).model, request


@pytest.mark.parametrize(
    ("one", "next_"),
    [
        ({"messages": ASK, "model": "m-20", "user": "u-1"}, {"messages": ASK * 900, "model": "m-20", "user": "u-2"}),
        ({"model": "m-21", "messages": ASK}, {"model": "m-21", "messages": [INNER] * 900}),
        ({"messages": ASK, "model": "m-22", "tools": TOOLS}, {"messages": ASK * 9, "model": "m-22", "tools": TOOLS}),
    ],
)
def test_a_big_request_is_not_read_twice(
    monkeypatch: pytest.MonkeyPatch, one: dict[str, Any], next_: dict[str, Any]
) -> None:
    """The next one that is written alike is not parsed, whatever is asked in it, and whoever asks."""
    asked_model(_compact(**one))
    monkeypatch.setattr(asked, "read_request", None)

    assert asked_model(_compact(**next_)) == one["model"]


def test_nothing_of_a_prompt_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only models, and hashes; and never more than so many of them."""
    known: dict[bytes | int, str] = {}
    monkeypatch.setattr(asked, "_known", known)
    asked_model(_compact(messages=ASK, model="m-1", system="The moon"))
    asked_model(_compact(model="m-2", messages=ASK, tools=TOOLS))
    asked_model(_compact(messages=ASK, model="m-3", tools=TOOLS))
    asked_model(_compact(messages=ASK, model="m-4", n=1, stream=False))
    assert [key for key in known if not isinstance(key, int)] == [
        b"m-1",
        b"m-2",
        b'"model":"m-4","n":1,"stream":false}',
    ]
    assert [*known.values()] == ["m-1", "m-2", "m-3", "m-4"]

    for n in range(1_000):
        asked_model(_compact(messages=ASK, model=f"m-{n}"))
    assert len(known) <= 256
