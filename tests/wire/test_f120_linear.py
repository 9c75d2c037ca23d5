"""The work on a stream is linear in its bytes, whatever a server sends: counted by the bytes that are looked at."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.proof.canned import DONE, MESSAGES, event, streaming
from token_meter import meter
from token_meter.call import stream_usage
from token_meter.wire import stream

MANY = 800
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
ERROR = b'data: {"type": "error"}\n\n'
ENDLESS = {
    "events behind the end": (DONE, event()),
    "a usage that is null behind the end": (DONE, event(None)),
    "words about usage behind the end": (DONE, event(None, 'the "usage" of a rose')),
    "usage objects that say nothing, behind the end": (DONE, event({})),
    "an end again and again": (DONE, DONE),
    "comments behind the end": (DONE, b": on\n\n"),
    "blank lines behind the end": (DONE, b"\n\n"),
    "lines parted by one line end": (b"data: [DONE]\n", event().rstrip() + b"\n"),
    "something like an end before the end": (b"event: done\ndata: [DONE]x\n\n", event()),
}


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what was read, one for each reading."""
    sizes: list[int] = []

    def reading(name: str) -> None:
        read = getattr(stream, name)

        def counted(layout: Any, raw: bytes, **more: Any) -> Any:
            sizes.append(len(raw))
            return read(layout, raw, **more)

        monkeypatch.setattr(stream, name, counted)

    reading("read_events")
    reading("read_objects")
    return sizes


@pytest.mark.parametrize(("first", "then"), ENDLESS.values(), ids=ENDLESS)
def test_f120_bytes_behind_the_end_are_read_once_or_twice(looked_at: list[int], first: bytes, then: bytes) -> None:
    pieces = [event(None, "a rose"), first, *[then] * MANY]
    with streaming(*pieces) as client, meter() as cb:
        asked = {"model": "gpt-4o-mini", "messages": MESSAGES, "stream": True}
        with client._client.stream("POST", "https://api.openai.com/v1/chat/completions", json=asked) as response:
            for _ in response.iter_raw():
                pass

    assert cb.successful_requests == 1
    assert sum(looked_at) <= 4 * sum(map(len, pieces))


@pytest.mark.parametrize("place", [0, 1, 7, MANY])
def test_f120_usage_behind_the_end_still_counts(looked_at: list[int], place: int) -> None:
    pieces = [event(None, "a rose"), DONE, *[event()] * place, event(USAGE, "", choices=[])]
    with streaming(*pieces) as client, meter() as cb:
        asked = {"model": "gpt-4o-mini", "messages": MESSAGES, "stream": True}
        with client._client.stream("POST", "https://api.openai.com/v1/chat/completions", json=asked) as response:
            response.read()

    assert (cb.total_tokens, cb.is_complete) == (15, True)
    assert sum(looked_at) <= 4 * sum(map(len, pieces))


class _Blank:
    """Counts the bytes in which a blank line is looked for."""

    def __init__(self) -> None:
        self.searched = 0
        self._blank = stream_usage._BLANK

    def finditer(self, held: bytearray, start: int = 0) -> Any:
        self.searched += len(held) - start
        return self._blank.finditer(held, start)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_f120_a_long_event_that_is_held_back_is_searched_once(
    monkeypatch: pytest.MonkeyPatch, end: bytes, size: int
) -> None:
    blank = _Blank()
    monkeypatch.setattr(stream_usage, "_BLANK", blank)
    report = b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode()
    shown = b"data: " + b"x" * 20_000 + end + end + event().rstrip() + end + end
    raw = shown + report + end + end + b"data: [DONE]" + end + end
    held = stream_usage.UsageChunkFilter()
    passed = b"".join(held.filter_chunk(raw[at : at + size]) for at in range(0, len(raw), size)) + held.rest()

    assert passed == shown + b"data: [DONE]" + end + end
    assert blank.searched <= 5 * len(raw)
