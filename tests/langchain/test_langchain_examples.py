"""The LangChain programs of `examples/`: they read the bill, show what the lesson says, and print what the page shows."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

pytest.importorskip("langchain_classic", reason="the dependency group `langchain`")
from tests.examples import programs
from tests.examples.programs import EXAMPLES, Run
from tests.langchain import docs
from tests.langchain.docs import PAGE, PROGRAMS, SHOWN, same
from token_meter.simulator import TEST_KEY

pytestmark = [
    pytest.mark.usefixtures("no_sockets_left"),
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
]

TEXT = PAGE.read_text(encoding="utf-8")
TWINS = {name: name.removeprefix("langchain_") for name in PROGRAMS if name != "langchain_counters"}


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """What a program returned and printed; each runs once."""
    runs: dict[str, Run] = {}

    def run(name: str) -> Run:
        if name not in runs:
            runs[name] = docs.run(name, tmp_path_factory.mktemp(name))
        return runs[name]

    return run


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_reads_the_bill(ran, name):
    """Tokens, requests and, where there is a price, the cost; and it prints both, one under the other."""
    whole, bill = ran(name).result[0], ran(name).bill
    metered, billed = ran(name).out.splitlines()[-2:]

    assert whole.total_tokens == bill.total_tokens > 0
    assert whole.successful_requests == bill.calls
    assert metered.removeprefix("metered") == billed.removeprefix("billed ")
    if name != "langchain_vendor":
        assert whole.cost == bill.cost > 0


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_prints_what_the_page_shows(ran, name):
    """Renewed by `python -m tests.langchain.docs`."""
    shown = dict(SHOWN.findall(TEXT))

    assert same(shown[name]) == same(ran(name).out.lstrip("\n"))


@pytest.mark.parametrize("name", TWINS)
def test_a_program_of_the_lesson_exists_twice(name):
    """Once on the plain SDK and once on LangChain, where nothing but the import says whose counter it is."""
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    imports = re.findall(r"^from token_meter\b.*", source, re.MULTILINE)
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    opened = [call for call in calls if ast.unparse(call.func) == "get_openai_callback"]

    assert TWINS[name] in programs.names()
    assert imports == ["from token_meter import Meter, get_openai_callback, meter"]
    # LangChain's own takes no argument.
    assert opened
    assert all(not call.args and not call.keywords for call in opened)


# C: the chain with a log file.


def test_the_chain_is_one_call_and_its_log_is_whole(ran):
    """LangChain's events and loguru's line in one file; the counter reads the call."""
    _, cb, answer, logged = ran("langchain_chain").result

    assert answer == " 3"
    assert (cb.successful_requests, cb.total_tokens) == (1, ran("langchain_chain").bill.total_tokens)
    for line in (
        "Entering new LLMChain chain",
        "1 + 2 = ",
        "Finished chain",
        f"INFO 1 + 2 = 3, {cb.total_tokens} tokens",
    ):
        assert line in logged


# D: handlers on a stream.


def test_the_handlers_of_the_lesson_print_the_stream_and_the_counter_reads_it(ran):
    """Off OpenAI's own URL LangChain asks for no usage; the counter estimates, and meets the bill."""
    _, cb, answer = ran("langchain_stream").result
    lines = ran("langchain_stream").out.splitlines()

    assert cb.total_tokens == ran("langchain_stream").bill.total_tokens
    assert lines[:2] == ["正在获取花卉数据...", "花卉数据获取完毕。提供建议..."]
    pieces = [line.removeprefix("获取花卉数据: token: ") for line in lines if line.startswith("获取花卉数据: token: ")]
    assert "".join(pieces) == answer
    assert lines.index("整理花卉建议...") + 1 == lines.index("祝你今天愉快！")


# E and F: the dialogue.


def test_the_dialogue_grows_from_turn_to_turn_and_the_gather_is_a_block_of_its_own(ran):
    """The readings of the turns sum to the total; three equal questions cost the same, and sum to theirs."""
    _, (talked, turns, _), (asked, tasks) = ran("langchain_dialogue").result
    bill = ran("langchain_dialogue").bill

    assert turns == sorted(set(turns))
    assert sum(turns) == talked.total_tokens == sum(entry.usage.total_tokens or 0 for entry in bill.entries[:3])
    assert len(set(tasks)) == 1
    assert sum(tasks) == asked.total_tokens == bill.total_tokens - talked.total_tokens
    assert f"总计使用的tokens: {talked.total_tokens}" in ran("langchain_dialogue").out


def test_the_memory_holds_the_dialogue(ran):
    """Three turns, and the model remembers why the customer came."""
    _, (_, _, buffer), _ = ran("langchain_dialogue").result

    assert buffer.count("Human: ") == buffer.count("AI: ") == 3
    assert "当然记得" in buffer


def test_the_dialogue_costs_what_its_twin_costs(ran, tmp_path):
    """LangChain's chain and the plain program send the same prompts."""
    plain = programs.run("dialogue", tmp_path)

    assert ran("langchain_dialogue").result[1][1] == plain.result[0][1]


# G: memories.


def test_memories_cost_what_the_lesson_expects_of_them(ran):
    """Buffer grows; a window of 2 equals it over three turns, a window of 1 is flat after the second and cheaper;
    summaries double the requests and cost more; with room enough SummaryBuffer is Buffer, with little it is between."""
    _, readings = ran("langchain_memories").result
    totals = {name: [sum(tokens) for tokens, _ in each] for name, each in readings.items()}
    requests = {name: {count for _, count in each} for name, each in readings.items()}

    for tokens, _ in readings["Buffer"]:
        assert tokens == sorted(set(tokens))
    assert readings["Window k=2"] == readings["SummaryBuffer 2000"] == readings["Buffer"]
    for (tokens, _), (buffered, _) in zip(readings["Window k=1"], readings["Buffer"], strict=True):
        assert tokens[:2] == buffered[:2]
        assert tokens[2] < buffered[2]
    assert requests["Buffer"] == requests["Window k=1"] == {3}
    assert requests["Summary"] == {6}
    assert requests["SummaryBuffer 150"] <= {4, 5}
    for number, buffered in enumerate(totals["Buffer"]):
        assert totals["Window k=1"][number] < buffered < totals["SummaryBuffer 150"][number] < totals["Summary"][number]


@pytest.mark.parametrize("memory", ["Buffer", "Window k=2", "Window k=1", "Summary", "SummaryBuffer 2000"])
def test_a_memory_of_langchains_costs_what_its_twin_costs(ran, memory):
    """Turn by turn, repetition by repetition."""
    memories = programs.load("memories")
    with programs.Simulator() as simulator, programs.prints():
        plain = [memories.talk(programs.service_of(simulator), memory, seed) for seed in (1, 2, 3)]

    assert [tokens for tokens, _ in ran("langchain_memories").result[1][memory]] == [one.tokens[:3] for one in plain]


# H: callbacks of a request.


def test_a_call_is_counted_once_however_its_handler_is_attached(ran):
    """run, apply (two inputs are two calls), invoke, constructor and request, neither."""
    _, rows = ran("langchain_request").result

    assert [(what, told, counted) for what, told, counted, _ in rows] == [
        ("run", 1, 1),
        ("apply", 3, 2),
        ("invoke", 4, 1),
        ("constructor and request", 5, 1),
        ("neither", 5, 1),
    ]
    assert len({tokens // counted for _, _, counted, tokens in rows}) == 1


# I: customers at their sockets.


def test_each_customer_gets_the_own_answer_and_the_own_tokens(ran):
    """The slow one is served last, and no other customer waits for it."""
    _, cb, done = ran("langchain_customers").result
    bill = ran("langchain_customers").bill

    assert done[-1][0] == "Ada"
    assert sorted(tokens for *_, tokens in done) == sorted(entry.usage.total_tokens or 0 for entry in bill.entries)
    assert sum(tokens for *_, tokens in done) == cb.total_tokens == bill.total_tokens


# J: another vendor.


def test_a_vendor_is_counted_with_and_without_usage_in_the_stream(ran):
    """Both streams read the same, one exactly; what each interaction used is known; no price is not no cost."""
    whole, turns, tasks, streams = ran("langchain_vendor").result
    (_, silent, is_estimated), (told, exact, is_guess) = streams

    assert turns == sorted(set(turns))
    assert len(set(tasks)) == 1
    assert (is_estimated, is_guess) == (True, False)
    assert silent == exact == told
    assert sum(turns) + sum(tasks) + silent + exact == whole.total_tokens
    assert whole.unpriced_calls == whole.successful_requests
    assert "cost unknown" in ran("langchain_vendor").out


# K: a wrong argument.


def test_a_wrong_argument_costs_nothing_and_the_right_form_is_counted(ran):
    """LangChain raises before it asks."""
    _, cb = ran("langchain_wrong_argument").result

    assert (cb.successful_requests, cb.failed_requests) == (3, 0)
    assert cb.total_tokens == ran("langchain_wrong_argument").bill.total_tokens


# L: a proxy.


def test_retries_through_a_proxy_are_one_success(ran):
    """LangChain's `openai_proxy`; an attempt that failed is no success, and is known."""
    _, cb, seen = ran("langchain_proxy").result

    assert seen == ["dropped", "503", "passed on"]
    assert (cb.successful_requests, cb.failed_requests) == (1, 2)
    assert cb.total_tokens == ran("langchain_proxy").bill.total_tokens


# Both counters.


def test_every_row_of_the_counters_is_what_was_billed(ran):
    """Row by row, in the order in which the calls were made."""
    _, readings = ran("langchain_counters").result
    entries = list(ran("langchain_counters").bill.entries)
    for name, (_, cb) in readings.items():
        mine, entries = entries[: cb.successful_requests], entries[cb.successful_requests :]

        assert cb.total_tokens == sum(entry.usage.total_tokens or 0 for entry in mine), name
        assert cb.cost == sum(entry.cost or 0 for entry in mine), name
    assert entries == []


# Live.


@pytest.mark.filterwarnings("ignore::token_meter.UnpricedWarning")  # the host is not OpenAI's, and no book says whose
@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "langchain_vendor"])
def test_a_live_program_reads_what_was_billed(name, simulator, monkeypatch, tmp_path):
    """With `--live`, it calls the server in the environment, here a simulator, and asks no retired model."""
    monkeypatch.setenv("OPENAI_BASE_URL", simulator.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", TEST_KEY)

    with programs.prints() as out, contextlib.chdir(tmp_path):
        programs.load(name).main(programs.load("_service").Service(None, programs.PACE.get(name, 0)))

    bill = simulator.bill()
    assert out.getvalue().splitlines()[-1].startswith(f"metered {bill.total_tokens:,} tokens, ")
    assert "billed" not in out.getvalue()
    assert {entry.model for entry in bill.entries} <= {"gpt-4o-mini-2024-07-18", "text-embedding-3-small"}


# From a shell.


def test_started_from_a_shell_a_program_prints_what_the_page_shows(tmp_path):
    """From anywhere, without a key, and without a word of what LangChain thinks of its old classes."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OPENAI_", "LANG"))}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "langchain_dialogue.py")],
        cwd=tmp_path,
        env={**environment, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(programs.ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == dict(SHOWN.findall(TEXT))["langchain_dialogue"]
