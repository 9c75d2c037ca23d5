"""The model that a request asks for, by a glance: it is what a reading of the whole request finds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from token_meter.wire import asked, asked_model, read_request

ASK = [{"role": "user", "content": "The moon is made of cheese"}]
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


def test_a_big_request_is_not_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one that is written alike is not parsed, whatever is asked in it, and whoever asks."""
    asked_model(_compact(messages=ASK, model="m-20", user="u-1"))
    monkeypatch.setattr(asked, "read_request", None)

    assert asked_model(_compact(messages=ASK * 900, model="m-20", user="u-2")) == "m-20"


def test_nothing_of_a_prompt_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the model, its neighbours and the name of the next key; and never more than so many of them."""
    known: dict[bytes, str] = {}
    monkeypatch.setattr(asked, "_known", known)
    asked_model(_compact(messages=ASK, model="m-1", system="The moon"))
    assert known == {b'],"model":"m-1","system"': "m-1"}

    for n in range(1_000):
        asked_model(_compact(messages=ASK, model=f"m-{n}"))
    assert len(known) <= 256
