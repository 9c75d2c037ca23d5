"""Readers never raise, numbers are bent or turned away at the border, and odd shapes say nothing."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.wire.by_name import DeltaReader, StreamReader, read_answer, read_body
from token_meter.types import Answer, Reading
from token_meter.wire import deltas, read_request, readers, stream
from token_meter.wire.json_scan import _search, _unreadable, fields, parse
from token_meter.wire.numbers import NumberReader


def fail(*_: Any, **__: Any) -> Any:
    raise RuntimeError("a bug")


STREAM = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'


def _finish() -> Reading:
    reader = StreamReader("chat")
    reader.feed(STREAM)
    return reader.finish()


def _answer() -> Answer:
    reader = StreamReader("chat")
    reader.feed(STREAM)
    return reader.answer()


@pytest.mark.parametrize(
    ("module", "name", "read", "nothing"),
    [
        (readers, "read_objects", lambda: read_body("chat", b"{}"), Reading()),
        (readers, "answer_of", lambda: read_answer("chat", b"{}"), Answer()),
        (readers, "read_json_request", lambda: tuple(read_request(b"{}")), (None, False, False, None)),
        (stream, "read_events", _finish, Reading()),
        (stream, "answer_of", _answer, Answer()),
    ],
)
def test_f02_a_bug_in_a_reader_is_nothing_read(monkeypatch, caplog, module, name, read, nothing):
    """It is logged by its kind, and never with the body."""
    monkeypatch.setattr(module, name, fail)

    assert read() == nothing
    assert [record.message.endswith(": RuntimeError") for record in caplog.records] == [True]


def test_f24_an_event_without_end_is_let_go(monkeypatch):
    """Pieces that pass are not kept without bound; what comes after is read again."""
    monkeypatch.setattr(deltas, "KEPT_LIMIT", 100)
    reader = DeltaReader("chat")

    assert reader.feed(b"data: " + b"x" * 200) == []
    assert [delta.text for delta in reader.feed(b"\n\n" + STREAM)] == ["a"]
    assert reader.feed(b"") == []


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), (1, 1.0), (Decimal("1.5"), 1.5), (True, None), (-1, None), (float("nan"), None), ("1", None),
     (Decimal("sNaN"), None), (float("inf"), None)],
)  # fmt: skip
def test_f70_a_duration_is_finite_and_no_flag(value, seconds):
    """Anything else is turned away, and counted."""
    numbers = NumberReader()

    assert numbers.seconds(value) == seconds
    assert numbers.anomalies == (seconds is None and value is not None)


@pytest.mark.parametrize(
    ("value", "amount"),
    [(None, None), (0.1, Decimal("0.1")), ("0.25", Decimal("0.25")), (True, None), ("x", None), (-1, None),
     (float("nan"), None), ("1e-99", None), (10**12, None), ([], None)],
)  # fmt: skip
def test_f70_an_amount_of_money_is_exact_and_sane(value, amount):
    """A float is what was printed."""
    numbers = NumberReader()

    assert numbers.dollars(value) == amount
    assert numbers.anomalies == (amount is None and value is not None)


@pytest.mark.parametrize(("value", "amount"), [(None, None), (12_345, Decimal("0.0000012345")), ("x", None)])
def test_money_in_ticks(value, amount):
    """Ten-billionths of a dollar."""
    assert NumberReader().ticks(value) == amount


def test_a_total_that_is_no_count_is_left_out():
    """The other counts stay."""
    reading = read_body("chat", b'{"usage":{"prompt_tokens":3,"completion_tokens":"4","total_tokens":-1}}')

    assert reading.usage is not None
    assert (reading.usage.prompt_tokens, reading.usage.completion_tokens, reading.usage.total_tokens) == (3, 4, None)
    assert (reading.coerced, reading.anomalies) == (True, 1)


def test_a_refusal_is_part_of_an_answer():
    """It was generated, and it is billed."""
    body = {"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "No."}, {"text": "But."}]}]}

    assert read_answer("responses", json.dumps(body).encode()).texts == ("No.But.",)


def test_without_a_quick_parser_the_careful_one_reads(monkeypatch):
    """An SDK without jiter."""
    monkeypatch.setattr("token_meter.wire.json_scan._quick", _unreadable)

    assert parse(b'{"a": 1}') == {"a": 1}
    assert parse(b'{"usage": {"total_tokens": 1, "total_tokens": 2}}') == {"usage": {}}


def test_a_body_over_the_limit_that_cannot_be_searched_is_unknown(monkeypatch):
    """A full parse of it would take its time."""
    monkeypatch.setattr("token_meter.wire.json_scan.FULL_PARSE_LIMIT", 100)

    assert fields(b"[" + b" " * 200 + b"]", ["a"], small=50) is None


def test_a_value_that_cannot_be_settled_is_not_guessed():
    """Its text goes on beyond what is looked at."""
    filler = b'"x":"' + b"y" * 40_000 + b'"'
    body = b'{"model":"' + b"m" * 5_000 + b'",' + filler + b"}"

    assert _search(body, ["model"], []) is None
    assert (fields(body, ["model"]) or {})["model"] == "m" * 5_000
