"""`token_meter.Sink`: an object of the user's own takes single calls, as a ledger does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import take_internal_errors
from token_meter import BudgetExceededError, Call, ConfigError, Sink, meter


class Rows:
    """What a user would write: it keeps rows."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []

    def on_start(self, id: str, model: str | None) -> Any:
        self.rows.append(("start", model))
        return {"started": id}

    def on_end(self, call: Call, token: Any) -> None:
        self.rows.append(("end", call.model, call.tokens.total_tokens, token == {"started": call.id}))

    def on_discard(self, id: str) -> None:
        self.rows.append(("discard",))

    def on_refused(self, field: str) -> None:
        self.rows.append(("refused", field))

    def close(self) -> None:
        self.rows.append(("close",))


def test_a_sink_is_told_of_a_call_and_of_the_end_of_the_block(chat):
    rows = Rows()
    sink: Sink = rows
    with meter(ledger=sink):
        chat()

    assert rows.rows == [("start", "gpt-4o"), ("end", "gpt-4o", 7, True), ("close",)]


def test_a_sink_is_told_of_a_refusal(chat):
    sink = Rows()
    with meter(ledger=sink, max_calls=0, warn_at=None), pytest.raises(BudgetExceededError):
        chat()

    assert sink.rows == [("refused", "calls"), ("close",)]


def test_a_sink_is_told_of_a_recorded_call():
    sink = Rows()
    with meter(ledger=sink) as cb:
        cb.record("m", prompt_tokens=1, completion_tokens=1)

    assert sink.rows == [("start", "m"), ("end", "m", 2, True), ("close",)]


@pytest.mark.parametrize("method", ["on_start", "on_end", "close"])
def test_a_sink_that_fails_costs_neither_the_call_nor_the_count(chat, monkeypatch, method):
    def fail(*_: Any) -> None:
        raise OSError("the disk is full")

    sink = Rows()
    monkeypatch.setattr(sink, method, fail)
    with meter(ledger=sink) as cb:
        assert chat().status_code == 200

    assert cb.total_tokens == 7
    assert take_internal_errors() == {"sink": 1}


def test_what_is_no_sink_is_an_error():
    with pytest.raises(ConfigError, match="ledger must be a directory, a Ledger or a sink"):
        meter(ledger=object())  # type: ignore[arg-type]
