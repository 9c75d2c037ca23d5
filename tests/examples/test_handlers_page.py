"""`docs/handlers.md` tells the truth: what it shows is what comes out, but for times, ids and ports."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest

import token_meter
from tests.examples.programs import ROOT, prints
from token_meter import ConfigError, meter
from token_meter.handlers import FileHandler, StdOutHandler
from token_meter.prices import PriceBook

PAGE = (ROOT / "docs" / "handlers.md").read_text(encoding="utf-8")
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SHOWN = [text for language, text in FENCED if not language]
"""What stands on the page as output, in order."""
QUESTION: Any = [{"role": "user", "content": "Which flower for a birthday?"}]


@pytest.fixture
def ask(simulator):
    """Ask the page's question, in eight words; `status` is what the server answers."""

    def ask(*, stream: bool = False, status: int | None = None) -> None:
        options = {"words": 8, **({} if status is None else {"status": status})}
        with simulator.client(base_url=simulator.base_url_with(**options), max_retries=0) as client:
            usage: Any = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
            answer = client.chat.completions.create(model="gpt-4o-mini", messages=QUESTION, **usage)
            if stream:
                list(answer)

    return ask


@pytest.fixture
def prices(simulator):
    return PriceBook(hosts={simulator.url: "openai"})


def test_the_first_program_prints_what_stands_below_it(ask, prices, simulator):
    """A stream told piece by piece with its cost, then a failure."""
    program = FENCED[0][1].partition("\n\nwith meter(")[0]
    exec(compile(program, "a page", "exec"), names := {})

    with prints() as out, meter(handlers=[names["Typewriter"]()], prices=prices):
        ask(stream=True)
        with pytest.raises(Exception, match="429"):
            ask(status=429)

    assert out.getvalue() == SHOWN[0]


def test_what_is_no_handler_is_refused_in_the_words_of_the_page():
    """The message is the page's."""
    with pytest.raises(ConfigError) as refused:
        meter(handlers=[7])

    assert f"{refused.value}\n" == SHOWN[1]


def test_a_failing_handler_is_logged_in_the_words_of_the_page(ask, prices, caplog):
    """Once, by the logger and level that the page names."""

    def broken(call: token_meter.Call) -> None:
        raise KeyError

    with meter(handlers=[broken], prices=prices):
        ask()
        ask()

    (record,) = [record for record in caplog.records if record.name == "token_meter"]
    line = f"{record.levelname} {record.name} {record.getMessage()}\n"
    assert re.sub(r"\S*<locals>\.", "", line) == SHOWN[2]


def test_the_shipped_handlers_write_what_the_page_shows(ask, prices, tmp_path):
    """The terminal's line, and the collector's."""
    path = tmp_path / "llm.jsonl"
    with prints() as out, meter("shop", handlers=[StdOutHandler(), FileHandler(path)], prices=prices):
        ask()

    assert _steady(out.getvalue()) == _steady(SHOWN[3])
    assert _record(path.read_text()) == _record(SHOWN[4])


def _steady(line: str) -> str:
    return re.sub(r"\d+\.\d\d s$", "0.00 s", line, flags=re.MULTILINE)


def _record(line: str) -> dict[str, Any]:
    """The fields in their order; what differs from run to run is left out of their values."""
    record = json.loads(line)
    for name in ("@timestamp", "id", "started_at", "duration_s", "host"):
        assert record[name]
        record[name] = type(record[name]).__name__
    record["message"] = _steady(record["message"])
    assert list(record) == list(json.loads(SHOWN[4]))
    return record


def test_loguru_takes_a_call_as_the_page_says(ask, prices):
    """One documented line, and what it logs."""
    pytest.importorskip("loguru", reason="the dependency group `langchain`")
    from loguru import logger

    logger.remove()
    (handlers,) = re.findall(r"meter\(handlers=(\[lambda call: logger.*\])\)", PAGE)
    (form,) = re.findall(r'logger\.add\(sys\.stdout, format="(.*?)"\)', PAGE)
    sink = logger.add(out := io.StringIO(), format=form)
    try:
        with meter(handlers=eval(handlers, {"logger": logger}), prices=prices):
            ask()
    finally:
        logger.remove(sink)

    assert out.getvalue() == SHOWN[5]
