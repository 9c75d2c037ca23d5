"""A meter's single calls go to a ledger, or to any sink: bound when they are sent, passed on when they end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from token_meter import BudgetExceededError, meter
from token_meter.ledger import read_run
from token_meter.simulator import TEST_KEY, Simulator

ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def client_of(simulator: Simulator) -> openai.OpenAI:
    return openai.OpenAI(base_url=simulator.base_url, api_key=TEST_KEY)


def test_a_meter_writes_each_call_to_its_ledger(simulator: Simulator, tmp_path: Path) -> None:
    """One row a call, with the bill's tokens; the process closed in order."""
    with meter(ledger=tmp_path / "data"), client_of(simulator) as client:
        client.chat.completions.create(**ASK)
        list(client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True}))

    reader = read_run(tmp_path / "data", merge=False)
    rows = list(reader)
    assert len(rows) == 2
    assert sum(row.call.tokens.total_tokens or 0 for row in rows) == simulator.bill().total_tokens
    assert reader.facts.in_flight == 0
    assert reader.facts.is_complete


def test_a_call_in_flight_is_on_record_before_its_answer(simulator: Simulator, tmp_path: Path) -> None:
    """The `start` line is there while the stream is read."""
    with meter(ledger=tmp_path / "data"), client_of(simulator) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        reader = read_run(tmp_path / "data")
        assert list(reader) == []
        assert (reader.facts.under_way, reader.facts.in_flight) == (1, 0)
        stream.close()


def test_a_sink_gets_back_what_it_said_at_departure(simulator: Simulator) -> None:
    """The token of the departure comes with the call, also when the arrival is later."""

    class Told:
        now = "first"
        seen: tuple[tuple[str, str], ...] = ()

        def on_start(self, id: str, model: str | None) -> str:
            return f"{self.now} {model}"

        def on_end(self, call: Any, token: str) -> None:
            self.seen += ((call.request_model, token),)

        def on_discard(self, id: str) -> None: ...
        def on_refused(self, field: str) -> None: ...

        def close(self) -> None:
            self.seen += (("closed", ""),)

    sink: Any = Told()
    with meter(ledger=sink), client_of(simulator) as client:
        stream = client.chat.completions.create(**ASK, stream=True)
        sink.now = "second"
        list(stream)

    assert sink.seen == (("gpt-4o-mini", "first gpt-4o-mini"), ("closed", ""))


def test_a_refusal_is_told_to_the_program_alone(simulator: Simulator, tmp_path: Path) -> None:
    """What never left is no call, and a service whose customers have limits is no run that failed."""
    with meter(ledger=tmp_path / "data", max_calls=1, warn_at=None), client_of(simulator) as client:
        client.chat.completions.create(**ASK)
        with pytest.raises(BudgetExceededError):
            client.chat.completions.create(**ASK)

    reader = read_run(tmp_path / "data")
    assert sum(row.calls for row in reader) == 1
    assert "refused" not in reader.facts.run
    assert reader.facts.in_flight == 0
