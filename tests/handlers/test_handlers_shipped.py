"""The handlers that travel in the package: stdout, a file of JSON lines, logging. No text unless it is asked for."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CHAT_BODY, sdk_http
from tests.handlers.conftest import MESSAGES, USAGE, Colour, answered, piece, sse, streamed
from token_meter import meter
from token_meter.handlers import FileHandler, LoggingHandler, StdOutHandler
from token_meter.types import Call, Usage


def _failing(_: Any) -> Any:
    return sdk_http.Response(500, json={"error": {"message": "secret"}})


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_file_has_one_json_record_a_call_and_marks_the_failed_one(colour, tmp_path):
    """The sum of the records is the meter's total; the failed call is an error in the log."""
    path = tmp_path / "llm.log"

    with meter("shop", tags=["a"], handlers=[FileHandler(path)]) as cb:
        await colour.ask(colour.client())
        with pytest.raises(Exception, match="secret"):
            await colour.ask(colour.client(_failing))
        await colour.read(await colour.ask(colour.client(streamed(sse(piece("a"), USAGE))), stream=True))

    records = _lines(path)
    assert [(r["event"], r["log.level"], r["status"]) for r in records] == [
        ("llm_end", "info", 200),
        ("llm_error", "error", 500),
        ("llm_end", "info", 200),
    ]
    assert sum(r["usage"]["total_tokens"] for r in records if r["usage"]) == cb.total_tokens == 30
    assert sum(r["cost_usd"] or 0 for r in records) == pytest.approx(cb.total_cost)
    assert {(r["meter"], *r["tags"]) for r in records} == {("shop", "a")}


async def test_a_record_has_the_time_that_collectors_look_for(colour, tmp_path):
    """`@timestamp` is the end of the call, UTC, and `started_at` its departure."""
    from datetime import datetime

    with meter(handlers=[FileHandler(tmp_path / "llm.log")]):
        await colour.ask(colour.client())

    (record,) = _lines(tmp_path / "llm.log")
    started = datetime.fromisoformat(record["started_at"])
    ended = datetime.fromisoformat(record["@timestamp"])
    assert record["@timestamp"].endswith("Z")
    assert (ended - started).total_seconds() == pytest.approx(record["duration_s"], abs=0.002)


@pytest.mark.parametrize("handler", ["file", "stdout", "logging"])
@pytest.mark.parametrize("include_text", [False, True])
async def test_texts_are_written_only_when_asked_for(colour, tmp_path, capsys, caplog, handler, include_text):
    """Neither prompt nor answer is in any record, unless `include_text` says so."""
    caplog.set_level(logging.INFO, "token_meter.calls")
    path = tmp_path / "llm.log"
    made = {
        "file": lambda: FileHandler(path, include_text=include_text),
        "stdout": lambda: StdOutHandler(include_text=include_text),
        "logging": lambda: LoggingHandler(include_text=include_text),
    }[handler]()
    plain = {**CHAT_BODY, "choices": [{"index": 0, "message": {"role": "assistant", "content": "Tulips"}}]}
    body = streamed(sse(piece("Ro"), done=False), sse(piece("ses"), USAGE))

    with meter(handlers=[made]):
        await colour.ask(colour.client(lambda _: sdk_http.Response(200, json=plain)))
        await colour.read(await colour.ask(colour.client(body), stream=True))

    logged = [str(record.__dict__) for record in caplog.records]
    written = "".join([path.read_text() if path.exists() else "", capsys.readouterr().out, *logged])
    for text in ("Which flower?", "Tulips", "Roses"):
        assert (text in written) is include_text


async def test_a_record_with_text_has_question_answer_and_tool_calls(colour, tmp_path):
    """Messages as the request had them; one text a choice; tools with name and arguments."""
    tool = {"id": "t", "type": "function", "function": {"name": "buy", "arguments": '{"n":1}'}}
    message = {"role": "assistant", "content": "Yes", "tool_calls": [tool]}
    body = {**CHAT_BODY, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}

    with meter(handlers=[FileHandler(tmp_path / "llm.log", include_text=True)]):
        await colour.ask(colour.client(lambda _: sdk_http.Response(200, json=body)))

    (record,) = _lines(tmp_path / "llm.log")
    assert (record["asked"], record["answer"], record["tool_calls"]) == ([MESSAGES], ["Yes"], [["buy", '{"n":1}']])


def test_lines_of_many_threads_do_not_mix(tmp_path):
    """Every line of a file is one whole record of one process or thread."""
    handler = FileHandler(tmp_path / "llm.log")
    client = Colour("sync").client()

    with meter(handlers=[handler]) as cb, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.chat.completions.create(model="m", messages=MESSAGES), range(200)))

    records = _lines(tmp_path / "llm.log")
    assert len({record["id"] for record in records}) == 200
    assert sum(record["usage"]["total_tokens"] for record in records) == cb.total_tokens


def test_lines_of_several_processes_do_not_mix(tmp_path):
    """Processes append to one file without a lock."""
    path = tmp_path / "llm.log"
    program = (
        "import sys\n"
        "from token_meter.handlers import FileHandler\n"
        "from token_meter.types import Call\n"
        "handler = FileHandler(sys.argv[1])\n"
        "for n in range(200):\n"
        "    handler.on_llm_end(Call(f'{sys.argv[2]}-{n}', 0.0, 1.0, 'h' * 500, 'chat', status=200), run_id='x')\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, path, str(n)]) for n in range(3)]

    assert [process.wait() for process in running] == [0, 0, 0]
    assert {record["id"] for record in _lines(path)} == {f"{p}-{n}" for p in range(3) for n in range(200)}


def test_a_rotated_file_is_not_written_any_more(tmp_path):
    """Log rotation moves the file away; the next record starts a new one."""
    path = tmp_path / "llm.log"
    handler = FileHandler(path)
    call = Call("1", 0.0, 1.0, "h", "chat", status=200)

    handler.on_llm_end(call, run_id="1")
    path.rename(tmp_path / "llm.log.1")
    handler.on_llm_end(call, run_id="1")

    assert (len(_lines(tmp_path / "llm.log.1")), len(_lines(path))) == (1, 1)


def test_a_record_behind_a_torn_one_stands_on_its_own_line(tmp_path, monkeypatch):
    """When the disk was full for half a record, the next one is not glued to it."""
    handler = FileHandler(tmp_path / "llm.log")
    call = Call("1", 0.0, 1.0, "h", "chat", status=200)
    write = os.write

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:50]))
        with pytest.raises(OSError, match="only 50 of"):
            handler.on_llm_end(call, run_id="1")
    handler.on_llm_end(call, run_id="1")

    torn, whole = (tmp_path / "llm.log").read_text().splitlines()
    assert (len(torn), json.loads(whole)["id"]) == (50, "1")


def test_a_file_that_cannot_be_written_is_said_at_once(tmp_path):
    """Not only at the first call, when the program is running."""
    with pytest.raises(FileNotFoundError):
        FileHandler(tmp_path / "missing" / "llm.log")


def test_lone_surrogates_do_not_break_a_record(tmp_path):
    """A model may be named anything; the line is ASCII."""
    FileHandler(tmp_path / "llm.log").on_llm_end(Call("1", 0.0, 1.0, "h", "chat", "m\ud800", status=200), run_id="1")

    assert _lines(tmp_path / "llm.log")[0]["model"] == "m\ud800"


LINES = [
    (Call("1", 0, 1.25, "h", "chat", "gpt", usage=Usage(10, 5, 15), status=200),
     "[llm end] gpt, 10 prompt + 5 completion tokens, cost unknown, 1.25 s"),
    # Nobody knows what it used.
    (Call("1", 0, 1.25, "h", "chat", "gpt", certainty="unmeasured", status=200),
     "[llm end] gpt, tokens unknown, cost unknown, 1.25 s"),
    # An estimate says so, and so does a stream that was left.
    (Call("1", 0, 1.25, "h", "chat", "gpt", usage=Usage(1000, None, 1000), certainty="lower_bound", outcome="closed",
          status=200),
     "[llm end] gpt, 1,000 prompt + ? completion tokens, cost unknown, 1.25 s, lower bound, closed"),
    (Call("1", 0, 1.25, "h", "chat", "gpt", outcome="error", status=429, error="HTTP 429", attempt=2),
     "[llm error] gpt, tokens unknown, cost unknown, 1.25 s, error, HTTP 429, retry 2"),
    # A model's name must not drive a terminal.
    (Call("1", 0, 1.25, "h", "chat", "g\x1b[31m\n\u202et", usage=Usage(1, 1, 2), status=200),
     "[llm end] g\\u001b[31m\\u000a\\u202et, 1 prompt + 1 completion tokens, cost unknown, 1.25 s"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "line"), LINES, ids=["whole", "unmeasured", "closed", "failed", "hostile"])
def test_stdout_has_one_inert_line_a_call(call, line, capsys):
    """Model, tokens, cost and time, and only what is not as usual behind them."""
    handler = StdOutHandler()
    if line.startswith("[llm error]"):
        handler.on_llm_error(RuntimeError(), response=call, run_id="1")
    else:
        handler.on_llm_end(call, run_id="1")

    assert capsys.readouterr().out == line + "\n"


def test_stdout_says_what_a_narrow_terminal_cannot_show():
    """A character that the encoding lacks is escaped; the handler does not fail."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", newline="\n")

    StdOutHandler(out).on_llm_end(Call("1", 0, 1, "h", "chat", "模型", usage=Usage(1, 1, 2), status=200), run_id="1")
    out.flush()

    assert raw.getvalue().startswith(b"[llm end] \\u6a21\\u578b, 1 prompt")


async def test_answers_on_stdout_are_inert(colour, capsys):
    """An answer with escape sequences shows them and does not obey them."""
    evil = {**CHAT_BODY, "choices": [{"index": 0, "message": {"role": "assistant", "content": "\x1b[2Jgone"}}]}

    with meter(handlers=[StdOutHandler(include_text=True)]):
        await colour.ask(colour.client(lambda _: sdk_http.Response(200, json=evil)))

    assert "answer: \\u001b[2Jgone" in capsys.readouterr().out


async def test_logging_gets_a_line_and_all_fields(colour, caplog):
    """The message is for people, `llm_call` on the record for formatters; failures are warnings."""
    caplog.set_level(logging.DEBUG, "shop.llm")
    handler = LoggingHandler(logging.getLogger("shop.llm"), logging.DEBUG)

    with meter(handlers=[handler]):
        await colour.ask(colour.client(answered))
        with pytest.raises(Exception, match="secret"):
            await colour.ask(colour.client(_failing))

    records = [record for record in caplog.records if record.name == "shop.llm"]
    assert [record.levelname for record in records] == ["DEBUG", "WARNING"]
    assert records[0].getMessage().startswith("gpt-4o-mini-2024-07-18, 10 prompt + 5 completion tokens, $0.0000045, ")
    assert records[0].llm_call["usage"]["total_tokens"] == 15


async def test_the_default_logger_has_a_name_of_its_own(colour, caplog):
    """Records of calls can be switched on and off apart from token_meter's warnings."""
    caplog.set_level(logging.INFO, "token_meter.calls")

    with meter(handlers=[LoggingHandler()]):
        await colour.ask(colour.client())

    assert [(record.name, record.levelname) for record in caplog.records] == [("token_meter.calls", "INFO")]
