"""Streams read alike however they are cut, and only what the provider reported counts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire.bodies import CHAT, CHAT_USAGE, RESPONSE, RESPONSE_USAGE, dump
from tests.wire.by_name import DeltaReader, StreamReader, read_answer
from token_meter.types import Answer, Delta, Reading, Usage
from token_meter.wire.stream import KEPT_LIMIT


def event(data: Any, name: str = "") -> bytes:
    """One event as servers write it."""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + dump(data) + b"\n\n"


def chunk(text: str = "", **more: Any) -> dict[str, Any]:
    """One chunk of a chat stream."""
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": None}] if text else []
    return {"id": "c", "model": "m", "choices": choices, **more}


def usage(prompt: int | None, completion: int | None) -> dict[str, Any]:
    """What a chunk reports."""
    return {"prompt_tokens": prompt, "completion_tokens": completion}


def read(raw: bytes, size: int = 0, api: str = "chat") -> StreamReader:
    """A reader that was fed *raw* in pieces of *size*."""
    reader = StreamReader(api)
    step = size or max(1, len(raw))
    for at in range(0, len(raw), step):
        reader.feed(raw[at : at + step])
    return reader


DONE = b"data: [DONE]\n\n"
HELLO = event(chunk("he", usage=None)) + event(chunk("llo", usage=None)) + event(chunk(usage=usage(3, 2))) + DONE
HEARD = Reading(usage=Usage(3, 2, 5), model="m", response_id="c", ended=True)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 64])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_chunking_and_line_ends_change_nothing(size: int, end: bytes, bom: bytes) -> None:
    """One byte a time, any line end, a mark of byte order: the same reading."""
    assert read(bom + HELLO.replace(b"\n", end), size).finish() == HEARD


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_the_end_is_noticed_while_feeding(end: bytes) -> None:
    """`ended` turns true with the event that ends the stream, not before its blank line and not later."""
    reader = StreamReader("chat")
    seen = []
    for piece in (*HELLO.replace(b"\n", end).split(DONE[:-2])[:1], b"data: [DONE]", end, end):
        reader.feed(piece)
        seen.append(reader.ended)

    assert seen == [False, False, False, True]


@pytest.mark.parametrize(
    ("api", "last"),
    [
        ("responses", "response.completed"),
        ("responses", "response.incomplete"),
        ("responses", "response.failed"),
        ("images", "image_generation.completed"),
        ("images", "image_edit.completed"),
        ("transcriptions", "transcript.text.done"),
        ("runs", "thread.run.completed"),
    ],
)
def test_terminal_events_end_a_stream(api: str, last: str) -> None:
    """Streams without `[DONE]` end with an event of a known name, or of a known type."""
    named = read(event({"type": "x"}, "x") + event({"type": last}, last), 0, api)
    typed = read(event({"type": "x"}) + event({"type": last}), 0, api)

    assert named.ended
    assert typed.finish().ended


@pytest.mark.parametrize(
    "text",
    ["[DONE]", "data: [DONE]", "data: [DONE]\n\n", "\n\ndata: [DONE]\n\n", "event: response.completed\n\n"],
)
@pytest.mark.parametrize("size", [0, 1, 5])
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_an_end_inside_of_a_text_is_none(text: str, size: int, api: str) -> None:
    """The model may talk about the protocol."""
    reader = read(event(chunk(text)) + event(chunk("more")), size, api)

    assert not reader.ended
    assert not reader.finish().ended


def test_what_stands_behind_the_end_in_its_chunk_hides_no_end() -> None:
    """The number may then come with the end of the body only."""
    reader = read(HELLO + event({"object": "ping"}))

    assert reader.finish() == HEARD


def test_a_reader_knows_how_much_has_passed_whatever_it_kept() -> None:
    """An estimate is of the whole answer, of which the middle was let go."""
    reader = StreamReader("chat")
    for _ in range(10):
        reader.feed(b"x" * 999_999)

    assert reader.bytes_seen == 9_999_990


def test_a_text_that_begins_a_chunk_is_no_line() -> None:
    """A chunk may be cut right before words that look like the end."""
    reader = StreamReader("chat")
    reader.feed(b'data: {"choices":[{"delta":{"content":"')
    reader.feed(b'data: [DONE]"}}]}\n\n')

    assert not reader.ended
    assert not reader.finish().ended


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        # no [DONE]
        (event(chunk("x")) + event(chunk(usage=usage(3, 2))), HEARD._replace(ended=False)),
        # a last event without its blank line
        (event(chunk("x")) + event(chunk(usage=usage(3, 2)))[:-2], HEARD._replace(ended=False)),
        # usage behind [DONE]
        (event(chunk("x")) + DONE + event(chunk(usage=usage(3, 2))), HEARD),
        # a sum so far on every chunk, and null at the last
        (b"".join(event(chunk("x", usage=usage(3, i))) for i in range(3)) + event(chunk(usage=None)) + DONE, HEARD),
        # a thousand of them
        (b"".join(event(chunk("x", usage=usage(3, i % 998))) for i in range(1001)) + DONE, HEARD),
        # zeros first
        (event(chunk("x", usage=usage(0, 0))) + event(chunk(usage=usage(3, 2))) + DONE, HEARD),
        # an empty object last
        (event(chunk("x", usage=usage(3, 2))) + event(chunk(usage={})) + DONE, HEARD),
        # each direction in an event of its own, nulls between
        (
            event(chunk("x", usage=usage(3, None)))
            + event(chunk("x", usage=None)) * 500
            + event(chunk(usage=usage(None, 2)))
            + DONE,
            HEARD,
        ),
        # Moonshot
        (event({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, "usage": usage(3, 2)}]}) + DONE, HEARD),
        # Azure's first chunk names nothing
        (event({"id": "", "model": "", "choices": []}) + event(chunk("x", usage=usage(3, 2))) + DONE, HEARD),
        # comments, several data lines, no space, ids, retries, blank lines
        (
            b': hello\n\nid: 7\nretry: 5\ndata:{"id":"c",\ndata:"model":"m",\ndata: "usage":\ndata: {"prompt_tokens":3,'
            b'"completion_tokens":2}}\n\n\n\n:\n\ndata:[DONE]\n\n',
            HEARD,
        ),
        # events that are no objects
        (
            b'data: null\n\ndata: []\n\ndata: "x"\n\ndata: 5\n\ndata\n\ndata: {bad\n\n'
            + event(chunk(usage=usage(3, 2)))
            + DONE,
            HEARD,
        ),
        # bad UTF-8 in a text
        (b'data: {"choices":[{"delta":{"content":"\xff\xfe"}}]}\n\n' + event(chunk(usage=usage(3, 2))) + DONE, HEARD),
        # no usage at all
        (event(chunk("x")) + DONE, HEARD._replace(usage=None)),
        (event(chunk("x", usage=None)) * 9 + DONE, HEARD._replace(usage=None)),
        # usage in a text, and in places that mean nothing
        (
            event(chunk('{"usage":{"prompt_tokens":9}}')) + event(chunk("x", metadata={"usage": usage(9, 9)})) + DONE,
            HEARD._replace(usage=None),
        ),
        # JSON instead of events
        (dump(CHAT), Reading(CHAT_USAGE, "gpt-4o-mini-2024-07-18", "priority", "chatcmpl-BQx7", ended=True)),
        (dump(CHAT)[:-9], Reading()),
        (b"", Reading()),
    ],
)
@pytest.mark.parametrize("size", [0, 1])
def test_streams_read_as_reported(raw: bytes, expected: Reading, size: int) -> None:
    """The last value that is not null counts, field by field; nothing is summed, nothing is made up."""
    assert read(raw, size).finish() == expected


def test_a_served_tier_that_comes_late_wins() -> None:
    """The first chunk may still say what was asked for."""
    raw = event(chunk("x", service_tier="auto")) + event(chunk("y", service_tier="priority")) + DONE

    assert read(raw).finish().service_tier == "priority"


@pytest.mark.parametrize(
    "broken",
    [
        event({"error": {"message": "secret", "type": "server_error", "code": None}, "usage": usage(3, 2)}),
        event({"error": {"message": "secret", "code": "server_error"}, "usage": usage(3, 2)}) + event(chunk("x")) * 3,
        event({"type": "error", "code": "server_error", "message": "secret", "usage": usage(3, 2)}, "error"),
    ],
)
def test_an_error_event_keeps_the_usage(broken: bytes) -> None:
    """What was reported stays reported; the error shows its type and never its words."""
    reading = read(event(chunk("x")) + broken).finish()

    assert (reading.error, reading.usage, reading.ended) == ("server_error", Usage(3, 2, 5), False)
    assert "secret" not in repr(reading)


def test_more_may_come_after_finish() -> None:
    """A reader that was read is not closed: the async client drains a little past the end."""
    reader = read(event(chunk("x")) + DONE)
    first = reader.finish()
    reader.feed(event(chunk(usage=usage(3, 2))))

    assert first.usage is None
    assert reader.finish() == HEARD
    assert reader.finish() is reader.finish()


@pytest.mark.parametrize("size", [0, 1, 50])
def test_a_response_stream(size: int) -> None:
    """Usage, tier and status come from the last event, wherever the first ones stood."""
    first = {**RESPONSE, "status": "in_progress", "usage": None, "service_tier": "auto", "output": []}
    raw = (
        event({"type": "response.created", "response": first}, "response.created")
        + event({"type": "response.output_text.delta", "delta": "Tu", "output_index": 1}, "response.output_text.delta")
        + event({"type": "response.completed", "response": RESPONSE}, "response.completed")
    )

    assert read(raw, size, "responses").finish() == Reading(
        RESPONSE_USAGE, "gpt-6.1-terra", "default", "resp_67cb", "complete", ended=True
    )


def test_a_failed_response_stream() -> None:
    """A failed response names its code."""
    failed = {**RESPONSE, "status": "failed", "error": {"code": "rate_limit_exceeded", "message": "secret"}}
    reading = read(event({"type": "response.failed", "response": failed}, "response.failed"), 0, "responses").finish()

    assert (reading.status, reading.error, reading.ended) == ("failed", "rate_limit_exceeded", True)
    assert reading.usage == RESPONSE_USAGE


def test_an_image_stream() -> None:
    """Partial images report nothing; the finished one reports image tokens only."""
    report = {
        "input_tokens": 50,
        "input_tokens_details": {"image_tokens": 40, "text_tokens": 10},
        "output_tokens": 100,
        "total_tokens": 150,
    }
    done = {"type": "image_generation.completed", "b64_json": "QUJD" * 50_000, "usage": report}
    raw = event({"type": "image_generation.partial_image", "b64_json": "QUJD" * 50_000}) + event(done)

    reading = read(raw, 4096, "images").finish()

    assert reading.usage == Usage(50, 100, 150, input_image_tokens=40, output_image_tokens=100)
    assert reading.ended


def test_a_transcription_stream() -> None:
    """The last event has the usage."""
    report = {"type": "tokens", "input_tokens": 14, "input_token_details": {"audio_tokens": 4}, "output_tokens": 3}
    raw = event({"type": "transcript.text.delta", "delta": "he"}) + event(
        {"type": "transcript.text.done", "text": "hello", "usage": {**report, "total_tokens": 17}}
    )
    reader = read(raw, 0, "transcriptions")

    assert reader.finish() == Reading(usage=Usage(14, 3, 17, input_audio_tokens=4), ended=True)


def test_f34_a_run_counts_and_its_steps_do_not() -> None:
    """Steps repeat the usage of their run."""
    run = {"id": "run_1", "object": "thread.run", "model": "gpt-4o", "status": "in_progress", "usage": None}
    step = {"id": "step_1", "object": "thread.run.step", "usage": usage(10, 1)}
    over = {**run, "status": "completed", "usage": usage(20, 2)}
    steps = event(run, "thread.run.created") + event(step, "thread.run.step.completed")

    assert read(steps, 0, "runs").finish().usage is None
    assert read(steps + event(over, "thread.run.completed") + event("[DONE]", "done"), 0, "runs").finish() == Reading(
        Usage(20, 2, 22), "gpt-4o", response_id="run_1", status="complete", ended=True
    )


def test_anthropic_streams_report_in_two_places() -> None:
    """Input and cache stand in the first event, the output in the last."""
    start = {
        "model": "claude",
        "id": "msg",
        "usage": {"input_tokens": 25, "cache_read_input_tokens": 75, "output_tokens": 1},
    }
    raw = (
        event({"type": "message_start", "message": start}, "message_start")
        + event({"type": "content_block_delta", "delta": {"text": "x"}}, "content_block_delta") * 300
        + event({"type": "message_delta", "usage": {"output_tokens": 15}}, "message_delta")
        + event({"type": "message_stop"}, "message_stop")
    )

    reading = read(raw, 0, "messages").finish()

    assert reading.usage == Usage(100, 15, 115, cached_tokens=75)
    assert (reading.model, reading.ended) == ("claude", True)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_stream_too_long_to_keep_keeps_its_ends(end: bytes) -> None:
    """Memory is bounded: the middle goes, and with it the text, but not what the last event reports."""
    reader = StreamReader("chat")
    reader.feed(event(chunk("hello")).replace(b"\n", end))
    piece = event({"choices": [{"delta": {"content": "x" * 60_000}}]}).replace(b"\n", end)
    for _ in range(2 * KEPT_LIMIT // len(piece) + 1):
        reader.feed(piece)
        assert sum(map(len, reader._chunks)) <= KEPT_LIMIT
    before = reader.finish()
    for raw in (event({"choices": [], "usage": usage(3, 2)}), DONE):
        reader.feed(raw.replace(b"\n", end))

    assert before == HEARD._replace(usage=None, ended=False)
    assert reader.finish() == HEARD
    assert reader.answer() == Answer()


def test_f24_an_event_too_long_to_keep_is_unknown() -> None:
    """One line of a hundred megabytes costs its passing and no more; nothing is claimed about it."""
    reader = StreamReader("chat")
    reader.feed(b'data: {"choices":[{"delta":{"content":"')
    for _ in range(100):
        reader.feed(b"x" * 1_000_000)
        assert sum(map(len, reader._chunks)) <= KEPT_LIMIT
    reader.feed(b'"}}],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n' + DONE)

    assert reader.finish() == Reading(ended=True)


def test_a_stream_of_many_images_reports() -> None:
    """Partial images fill megabytes; the usage behind the last one is read all the same."""
    reader = StreamReader("images")
    partial = event({"type": "image_generation.partial_image", "b64_json": "QUJD" * 700_000})
    done = {"type": "image_generation.completed", "b64_json": "QUJD" * 700_000, "usage": {"input_tokens": 5}}
    for raw in (partial, partial, partial, event({**done, "usage": {"input_tokens": 5, "output_tokens": 9}})):
        for at in range(0, len(raw), 65_536):
            reader.feed(raw[at : at + 65_536])

    assert reader.finish() == Reading(usage=Usage(5, 9, 14, output_image_tokens=9), ended=True)


CALLING = (
    event(chunk("Let ", usage=None))
    + event({"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]})
    + event({"choices": [{"index": 1, "delta": {"refusal": "No."}}]})
    + event(chunk("me."))
    + event(
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"name": "a", "arguments": ""}}]}}]}
    )
    + event({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 1, "function": {"name": "b"}}]}}]})
    + event({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{é"}}]}}]})
    + event({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 1, "function": {"arguments": "[]"}}]}}]})
    + event({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}}]})
    + event({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    + DONE
)
RESPONDING = (
    event({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning"}})
    + event({"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "hm"})
    + event({"type": "response.output_text.delta", "output_index": 1, "delta": "Let "})
    + event({"type": "response.output_text.delta", "output_index": 1, "delta": "me."})
    + event({"type": "response.output_text.done", "output_index": 1, "text": "Let me."})
    + event({"type": "response.refusal.delta", "output_index": 1, "delta": "No."})
    + event({"type": "response.output_item.added", "output_index": 2, "item": {"type": "function_call", "name": "a"}})
    + event({"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "{}"})
    + event({"type": "response.incomplete", "response": {"incomplete_details": {"reason": "max_output_tokens"}}})
)
SHOWN: list[tuple[str, bytes, Answer, list[Delta]]] = [
    (
        "chat",
        CALLING,
        Answer(("Let me.", "No."), (("a", "{é}"), ("b", "[]")), True, "tool_calls", "hm"),
        [
            Delta("text", "Let "),
            Delta("reasoning", "hm"),
            Delta("refusal", "No.", 1),
            Delta("text", "me."),
            Delta("tool_name", "a"),
            Delta("tool_name", "b"),
            Delta("tool_arguments", "{é"),
            Delta("tool_arguments", "[]"),
            Delta("tool_arguments", "}"),
        ],
    ),
    (
        "responses",
        RESPONDING,
        Answer(("Let me.No.",), (("a", "{}"),), True, "max_output_tokens", "hm"),
        [
            Delta("reasoning", "hm"),
            Delta("text", "Let "),
            Delta("text", "me."),
            Delta("refusal", "No."),
            Delta("tool_name", "a"),
            Delta("tool_arguments", "{}"),
        ],
    ),
    (
        "completions",
        event({"choices": [{"index": 0, "text": "a"}, {"index": 1, "text": "b"}]})
        + event({"choices": [{"index": 0, "text": "c", "finish_reason": "stop"}]})
        + DONE,
        Answer(("ac", "b"), finish="stop"),
        [Delta("text", "a"), Delta("text", "b", 1), Delta("text", "c")],
    ),
    (
        "transcriptions",
        event({"type": "transcript.text.delta", "delta": "he"})
        + event({"type": "transcript.text.delta", "delta": "llo"})
        + event({"type": "transcript.text.done", "text": "hello"}),
        Answer(("hello",)),
        [Delta("text", "he"), Delta("text", "llo")],
    ),
]


@pytest.mark.parametrize(("api", "raw", "answer", "deltas"), SHOWN, ids=[row[0] for row in SHOWN])
@pytest.mark.parametrize("size", [0, 1, 13])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_what_a_stream_shows(api: str, raw: bytes, answer: Answer, deltas: list[Delta], size: int, end: bytes) -> None:
    """The whole answer for an estimate, and the same pieces as they pass."""
    raw = raw.replace(b"\n", end)
    passing = DeltaReader(api)
    step = size or len(raw)

    assert read(raw, size, api).answer() == answer
    assert read_answer(api, raw) == answer
    assert [d for at in range(0, len(raw), step) for d in passing.feed(raw[at : at + step])] == deltas


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_piece_is_told_with_the_chunk_that_completes_its_event(end: bytes) -> None:
    """Handlers never wait for the next event."""
    reader = DeltaReader("chat")
    raw = event(chunk("x")).replace(b"\n", end)
    whole = len(raw)

    assert reader.feed(raw[: whole - 1]) == [] or end == b"\r\n"
    assert reader.feed(raw[whole - 1 :]) == ([Delta("text", "x")] if end != b"\r\n" else [])
    assert reader.feed(raw) == [Delta("text", "x")]


def test_a_stream_of_one_finished_answer_shows_it() -> None:
    """A gateway may stream a terminal event and no deltas."""
    raw = event({"type": "response.completed", "response": RESPONSE}, "response.completed")

    assert read(raw, 0, "responses").answer() == Answer(("Tulips.",), reasoned=True, finish="completed")
