"""The programs of the lesson do what the lesson says of them, and read what the server billed."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from tests.examples.programs import load, names, prints, service_of
from token_meter import attach, meter

PLAIN = [name for name in names() if not name.startswith("langchain_")]


@pytest.mark.parametrize("name", PLAIN)
def test_a_program_prints_the_meter_beside_the_bill_and_they_agree(ran, name):
    """The last two lines are equal but for their first word."""
    metered, billed = ran(name).out.splitlines()[-2:]

    assert metered.split()[1:] == billed.split()[1:]
    assert (metered.split()[0], billed.split()[0]) == ("metered", "billed")
    assert int(metered.split()[1].replace(",", "")) == ran(name).bill.total_tokens > 0


# In English: three providers, and an agent.


def test_three_providers_are_in_one_sum(ran):
    """Each SDK's call is one of the sum, and each model has its share of the cost."""
    cb = ran("providers").result

    assert cb.successful_requests == len(cb.by_model) == 3
    assert sum(part.cost for part in cb.by_model.values()) == cb.cost == ran("providers").bill.cost
    assert cb.is_complete


def test_the_agent_is_refused_before_its_limit_and_sums_up(ran):
    """The refused call is not on the bill; the last answer, which was let pass, is."""
    cb, refusal = ran("agent").result

    assert refusal.spent <= refusal.limit < refusal.spent + refusal.wanted
    assert refusal.spent < cb.cost == ran("agent").bill.cost


# A: plain callbacks.


def test_plain_functions_are_callbacks_of_a_computation_and_of_a_meter(ran):
    """The lesson's two functions print 7 and 49; a third one is told of the call before its caller goes on."""
    lines = ran("callback").out.splitlines()

    assert lines[:2] == ["The result is: 7", "The squared result is: 49"]
    assert lines[2].startswith("The call used: ")
    assert lines[3] == "The answer is: 7"


# B: tasks.


def test_tasks_print_in_the_lessons_order_under_a_meter(ran):
    """Main starts, compute starts, the other starts, compute ends, the other ends, main ends."""
    lines = [line for line in ran("tasks").out.splitlines() if line.endswith("...")]

    assert lines == [
        "Main starts...",
        "Starting compute...",
        "Starting another task...",
        "Finished compute...",
        "Finished another task...",
        "Main ends...",
    ]


def test_tasks_created_in_a_block_belong_to_it(ran):
    """Each task's own meter reads its call, the block around both reads their sum; an async handler hears of both."""
    cb, each = ran("tasks").result

    assert len(each) == 2
    assert min(each) > 0
    assert sum(each) == cb.total_tokens
    assert f"the async handler heard of {sum(each)}" in ran("tasks").out


async def test_a_slow_call_does_not_hold_up_the_others(simulator):
    """Under gather, answers come back as they are ready, and all of them are counted."""
    done: list[str] = []
    quick, slow = simulator.async_client(), simulator.async_client(base_url=simulator.base_url_with(latency=1))

    async def ask(name: str, client: Any) -> None:
        await client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": name}])
        done.append(name)

    async with quick, slow:
        with meter() as cb:
            await asyncio.gather(ask("slow", slow), ask("a", quick), ask("b", quick))

    assert sorted(done[:2]) == ["a", "b"]
    assert done[2] == "slow"
    assert cb.total_tokens == simulator.bill(None).total_tokens


# C: the chain with its log.


def test_the_chain_is_one_call_and_both_logs_are_complete(ran):
    """loguru's file has the answer, the JSON lines have the call, with the counts that the meter has."""
    cb, answer, records = ran("chain").result

    assert answer == "3"
    assert re.fullmatch(r"\d\d:\d\d:\d\d INFO 1 \+ 2 = 3\n", (ran("chain").folder / "output.log").read_text())
    assert [record["usage"]["total_tokens"] for record in records] == [cb.total_tokens]
    assert [record["model"] for record in records] == ["gpt-3.5-turbo-instruct"]
    assert "[llm end] gpt-3.5-turbo-instruct, " in ran("chain").out


# D: handlers on a stream.


def test_the_lessons_stream_is_told_in_the_lessons_order(ran):
    """The async start, every token as it passes, the async end; the tokens are the answer that the caller reads."""
    cb, answer = ran("stream").result
    lines = ran("stream").out.splitlines()[:-3]

    assert lines[:2] == ["正在获取花卉数据...", "花卉数据获取完毕。提供建议..."]
    assert lines[-2:] == ["整理花卉建议...", "祝你今天愉快！"]
    tokens = [line.removeprefix("获取花卉数据: token: ") for line in lines[2:-2]]
    assert len(tokens) > 3
    assert "".join(tokens) == answer
    assert cb.successful_requests == 1


async def test_a_meter_changes_nothing_that_handlers_are_told(ran, simulator):
    """The same events in the same order without any meter."""
    module = load("stream")
    service = service_of(simulator)
    handlers = [module.MyFlowerShopSyncHandler(), module.MyFlowerShopAsyncHandler(service)]

    with prints() as out:
        async with attach(service.async_client(), handlers=handlers) as client:
            stream = await client.chat.completions.create(
                model="gpt-4o-mini",
                messages=[{"role": "user", "content": module.QUESTION}],
                max_tokens=100,
                stream=True,
            )
            async for _ in stream:
                pass

    assert out.getvalue().splitlines() == ran("stream").out.splitlines()[:-3]


# E and F: the dialogue, then three questions at once.


def test_each_turn_of_the_dialogue_costs_more_than_the_one_before(ran):
    """The history is sent again: readings grow, and their differences sum up to the total."""
    (cb, each), _ = ran("dialogue").result

    assert len(each) == 3
    assert each == sorted(set(each))
    assert sum(each) == cb.total_tokens == cb.prompt_tokens + cb.completion_tokens
    assert f"总计使用的tokens: {cb.total_tokens}" in ran("dialogue").out


def test_the_dialogue_is_counted_on_the_lessons_text_endpoint(ran):
    """Three text completions, three chats."""
    assert [entry.api for entry in ran("dialogue").bill.entries] == ["completions"] * 3 + ["chat"] * 3


def test_the_dialogue_remembers_the_same_without_a_meter(ran, simulator):
    """Questions, answers and what is sent are those of a program that has no meter."""
    shop, memory = load("_shop"), []
    with service_of(simulator).client() as client:
        for said in shop.TURNS:
            answer = shop.complete(
                client, "gpt-3.5-turbo-instruct", shop.TEMPLATE.format(history="\n".join(memory), input=said)
            )
            memory += [f"Human: {said}", f"AI: {answer}"]

    bare = [entry.usage for entry in simulator.bill(None).entries]
    assert bare == [entry.usage for entry in ran("dialogue").bill.entries[:3]]
    printed = re.sub(r"\s", "", ran("dialogue").out)
    assert all(re.sub(r"\s", "", line.partition(": ")[2]) in printed for line in memory)


def test_three_equal_questions_at_once_sum_up_in_a_block_that_starts_at_zero(ran):
    """Each task knows its own tokens, all three are equal, and the dialogue before is not in their sum."""
    _, (cb, each) = ran("dialogue").result

    assert len(set(each)) == 1
    assert len(each) == cb.successful_requests == 3
    assert sum(each) == cb.total_tokens


# G: memories.


def _tokens(ran: Any, name: str, turns: int = 3) -> list[list[int]]:
    """Tokens of the first turns, one list for each repetition."""
    return [reading.tokens[:turns] for reading in ran("memories").result[1][name]]


def _requests(ran: Any, name: str, turns: int = 3) -> list[int]:
    return [sum(reading.requests[:turns]) for reading in ran("memories").result[1][name]]


def _totals(ran: Any, name: str, turns: int = 3) -> list[int]:
    return [sum(tokens) for tokens in _tokens(ran, name, turns)]


def test_a_buffer_grows_from_turn_to_turn(ran):
    """The whole history is sent again, each time longer."""
    for tokens in _tokens(ran, "Buffer", turns=10):
        assert tokens == sorted(set(tokens))


def test_a_window_of_two_turns_is_a_buffer_until_it_is_full(ran):
    """With three turns nothing has dropped out yet; then it stops growing while the buffer goes on."""
    assert _tokens(ran, "Window k=2") == _tokens(ran, "Buffer")
    for window, buffer in zip(_tokens(ran, "Window k=2", 10), _tokens(ran, "Buffer", 10), strict=True):
        assert max(window[3:]) <= 1.25 * window[2]
        assert buffer[-1] > 2 * buffer[2]


def test_a_window_of_one_turn_is_flat_from_the_second_turn_on(ran):
    """Turn 3 costs what turn 2 did, give or take the length of what was said, and less than with a buffer."""
    for window, buffer in zip(_tokens(ran, "Window k=1"), _tokens(ran, "Buffer"), strict=True):
        assert window[0] == buffer[0]
        assert abs(window[2] - window[1]) < 0.35 * (buffer[2] - buffer[1])
        assert sum(window) < sum(buffer)


def test_a_summary_costs_two_requests_a_turn_and_more_than_a_buffer_over_three(ran):
    """The summariser's own calls count; every turn is nearly the same."""
    assert _requests(ran, "Summary") == [6, 6, 6]
    for summary, buffer in zip(_tokens(ran, "Summary"), _tokens(ran, "Buffer"), strict=True):
        assert sum(summary) > 1.4 * sum(buffer)
        assert max(summary) < 1.6 * min(summary)


def test_over_ten_turns_a_summary_is_cheaper_than_a_buffer(ran):
    """Where the curves of the lesson's picture cross."""
    assert max(_totals(ran, "Summary", 10)) < min(_totals(ran, "Buffer", 10))


def test_a_summary_buffer_under_its_limit_is_a_buffer(ran):
    """No summary is written as long as all fits."""
    assert _tokens(ran, "SummaryBuffer 2000", 10) == _tokens(ran, "Buffer", 10)
    assert _requests(ran, "SummaryBuffer 2000", 10) == [10, 10, 10]


def test_a_summary_buffer_with_a_small_limit_lies_between_buffer_and_summary(ran):
    """More requests and tokens than a buffer, fewer than a summary, over the three turns."""
    assert all(3 < requests < 6 for requests in _requests(ran, "SummaryBuffer 150"))
    for small, buffer, summary in zip(
        *[_totals(ran, name) for name in ("SummaryBuffer 150", "Buffer", "Summary")], strict=True
    ):
        assert buffer < small < summary


def test_repetitions_differ_and_the_table_shows_their_range(ran):
    """Three seeds, three answers: lowest to highest, as the lesson's reader wrote it down."""
    for name in ran("memories").result[1]:
        totals = _totals(ran, name)
        assert len(set(totals)) > 1
        assert f"{min(totals):,}–{max(totals):,}" in ran("memories").out


def test_labelled_runs_sum_up_under_one_meter(ran):
    """The sub-totals by tag are those of the runs, and their sum is the whole."""
    cb, readings = ran("memories").result

    assert {tag: sums.total_tokens for tag, sums in cb.by_tag.items()} == {
        name: sum(_totals(ran, name, 10)) for name in readings
    }
    assert sum(sums.total_tokens for sums in cb.by_tag.values()) == cb.total_tokens


# H: callbacks of a request.


def test_request_callbacks_hear_of_their_requests_and_everything_is_counted(ran):
    """One for run, two for apply, once when the client has the handler too, none without; the meter counts all."""
    cb, rows = ran("request").result

    assert rows == [("run", 1, 1), ("apply", 3, 3), ("client and request", 4, 4), ("neither", 4, 5)]
    assert len({entry.usage.total_tokens for entry in ran("request").bill.entries}) == 1
    assert cb.successful_requests == 5


def test_a_stream_and_a_plain_answer_cost_the_same(ran, simulator):
    """The same prompt and reply: streamed or not, with handlers or without."""
    with simulator.client() as client, meter() as cb:
        client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "1 + 2 = "}])

    assert cb.total_tokens * 5 == ran("request").result[0].total_tokens


# I: customers at their sockets.


def test_three_customers_know_their_own_tokens(ran):
    """What each one read from the socket is an answer with its bill, and the bills sum up to the shop's."""
    cb, done = ran("customers").result

    assert sorted(name for name, *_ in done) == ["Ada", "Bob", "Cem"]
    assert all(text for _, text, _ in done)
    assert sorted(tokens for *_, tokens in done) == sorted(
        entry.usage.total_tokens for entry in ran("customers").bill.entries
    )
    assert sum(tokens for *_, tokens in done) == cb.total_tokens


def test_while_one_customers_handler_waits_the_others_are_served(ran):
    """The one whose handler sleeps is served last."""
    assert ran("customers").result[1][-1][0] == "Ada"


# J: a vendor.


def test_a_vendors_price_is_unknown_and_not_zero(ran):
    """Every call of another base URL is counted; its price is not known."""
    cb, *_ = ran("vendor").result

    assert cb.unpriced_calls == cb.successful_requests == 9
    assert set(cb.unpriced_models) == {"qwen-turbo"}
    assert re.search(r"cost +unknown \(9 calls unpriced: qwen-turbo; 1 call estimated\)", ran("vendor").out)
    assert "$0" not in ran("vendor").out


def test_a_vendors_interactions_are_known_one_by_one(ran):
    """Each turn, each task, each stream; together they are the total."""
    cb, turns, tasks, streams = ran("vendor").result

    assert turns == sorted(set(turns))
    assert len(set(tasks)) == 1
    assert sum(turns) + sum(tasks) + sum(stream.total_tokens for stream in streams) == cb.total_tokens


def test_a_vendors_stream_counts_with_and_without_usage(ran):
    """The same number; only the one without usage is marked as an estimate."""
    *_, streams = ran("vendor").result

    assert len({stream.total_tokens for stream in streams}) == 1
    assert [stream.estimated_calls for stream in streams] == [1, 0, 0]


# K: a wrong argument.


def test_errors_in_the_block_reach_the_program_and_only_the_right_form_is_counted(ran):
    """The SDK refuses one form, the server another; the third is answered."""
    cb = ran("wrong_argument").result

    kinds = re.findall(r"TypeError|BadRequestError|ChatCompletion", ran("wrong_argument").out)
    assert kinds == ["TypeError", "BadRequestError", "ChatCompletion"]
    assert (cb.successful_requests, cb.failed_requests) == (3, 3)
    assert (ran("wrong_argument").bill.requests, ran("wrong_argument").bill.calls) == (6, 3)


# L: a proxy.


def test_retries_through_a_proxy_are_one_success(ran):
    """Two attempts are lost on the way, the third is the answer."""
    cb, seen = ran("proxy").result

    assert seen == ["dropped", "503", "passed on"]
    assert (cb.successful_requests, cb.failed_requests) == (1, 2)
    assert ran("proxy").bill.calls == 1


def test_the_proxy_of_the_example_tunnels_too():
    """A CONNECT gets through, so that the program works with --live."""
    import socket
    import threading

    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]

    def echo() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(connection.recv(100).upper())

    thread = threading.Thread(target=echo)
    thread.start()
    with load("_proxy").Proxy() as proxy:
        host, _, proxy_port = proxy.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(proxy_port)), timeout=10) as client:
            client.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
            answer = client.recv(100)
            client.sendall(b"roses")
            echoed = client.recv(100)
    thread.join()
    listening.close()

    assert answer.startswith(b"HTTP/1.1 200")
    assert echoed == b"ROSES"


# M: logs for ELK.


def test_the_log_has_one_record_a_call_and_marks_the_failed_one(ran):
    """Six calls of three threads, six JSON lines; the sum of the records is the meter's."""
    cb, records = ran("elk").result

    assert len(records) == len({record["id"] for record in records}) == 6
    assert sorted(record["status"] for record in records) == [200] * 5 + [500]
    assert [record["error"] for record in records if record["log.level"] == "warning"] == ["HTTP 500"]
    assert sum((record["usage"] or {}).get("total_tokens", 0) for record in records) == cb.total_tokens
    assert (cb.successful_requests, cb.failed_requests) == (5, 1)
    assert all(record["@timestamp"] for record in records)


# The budget.


def test_a_budget_changes_the_program_and_then_refuses_before_sending(ran):
    """A handler acts once at half of the limit; the call that might not fit is not sent; a suspended one passes."""
    cb, refusal = ran("budget").result
    out = ran("budget").out

    assert refusal.spent <= refusal.limit < refusal.spent + refusal.wanted
    assert out.count("tokens are gone") == 1
    assert out.index("tokens are gone") < out.index("not sent")
    assert ran("budget").bill.requests == cb.successful_requests
    assert cb.failed_requests == 0
