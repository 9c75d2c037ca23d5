"""Batches: one call at their end, at the price of a batch; open until then; never twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.bill.posts import ANTHROPIC, GEMINI, OPENAI, metered, send
from token_meter import meter
from token_meter.call import jobs
from token_meter.call.background import BACKGROUND

AZURE = "https://acme.openai.azure.com/openai"
GROQ = "https://api.groq.com/openai/v1"
MISTRAL = "https://api.mistral.ai/v1"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    BACKGROUND.clear()
    jobs.ENDED.clear()
    jobs.RESULTS.clear()


def batch(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "batch_1", "object": "batch", "endpoint": "/v1/responses", "status": status, **more}


def responses_usage(sent: int, made: int, cached: int = 0) -> dict[str, Any]:
    return {"input_tokens": sent, "output_tokens": made, "total_tokens": sent + made,
            "input_tokens_details": {"cached_tokens": cached}, "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip


def chat_line(model: str, sent: int, made: int, **more: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made}
    return line({"object": "chat.completion", "model": model, "usage": usage, **more})


def line(body: Any, status: int = 200) -> dict[str, Any]:
    return {"id": "batch_req_1", "custom_id": "a", "response": {"status_code": status, "body": body}, "error": None}


FAILED_LINE = {
    "id": "batch_req_2",
    "custom_id": "b",
    "response": {"status_code": 400, "body": {"error": {"code": "x"}}},
}


def lines(*found: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in found)


GPT5 = "gpt-5-2025-08-07"
DONE = batch("completed", model=GPT5, usage=responses_usage(3000, 2000), output_file_id="file-o")
CREATED = ("POST", f"{OPENAI}/batches", {"input_file_id": "f"}, batch("validating"))
UNDER_WAY = ("GET", f"{OPENAI}/batches/batch_1", None, batch("in_progress", usage=responses_usage(0, 0)))
ENDED = ("GET", f"{OPENAI}/batches/batch_1", None, DONE)
FILE = ("GET", f"{OPENAI}/files/file-o/content", None, lines(chat_line(GPT5, 3000, 2000)))
COST = Decimal("0.011875")  # 3,000 at half of 1.25, 2,000 at half of 10


def is_one(cb: Any, cost: Decimal) -> None:
    (call,) = cb.calls
    assert (cb.cost, cb.is_complete, cb.open_streams) == (cost, True, 0), call.price
    assert (call.processing, call.api.endswith("batches"), cb.successful_requests) == ("batch", True, 1)


@pytest.mark.parametrize(
    "steps",
    [
        [CREATED, UNDER_WAY, ENDED],
        [CREATED, UNDER_WAY, UNDER_WAY, ENDED, ENDED, FILE],
        [UNDER_WAY, ENDED, ENDED],
        [ENDED, ENDED, FILE, FILE],
        [FILE, FILE],
    ],
    ids=["created", "polled on, and its file read", "created elsewhere", "only its end", "only its file"],
)
def test_f141_a_batch_is_one_call_at_its_end(steps: Any) -> None:
    is_one(metered(steps), COST)


def test_f141_a_batch_is_open_until_its_end() -> None:
    cb = metered([CREATED, UNDER_WAY])

    assert (cb.cost, cb.is_complete, cb.open_streams) == (0, False, 1)
    assert "batch_1" in str(cb)
    assert cb.to_dict()["cost"] is None


def test_a_batch_counts_in_the_meter_that_was_open_when_it_was_created() -> None:
    with meter(keep_calls=True) as first:
        send([CREATED])
    with meter(keep_calls=True) as second:
        send([UNDER_WAY, ENDED])

    is_one(first, COST)
    assert (second.cost, second.calls, second.is_complete) == (0, (), True)


def test_a_batch_that_says_no_usage_waits_for_the_file_of_its_results() -> None:
    silent = ("GET", f"{OPENAI}/batches/batch_1", None, batch("completed", output_file_id="file-o"))
    waiting = metered([CREATED, silent])
    assert (waiting.is_complete, waiting.open_streams) == (False, 1)

    with meter():
        send([("GET", f"{OPENAI}/files/file-o/content", None, lines(chat_line(GPT5, 3000, 2000), FAILED_LINE))])

    is_one(waiting, COST)


@pytest.mark.parametrize("ended", [batch("failed"), batch("cancelled"), batch("expired")])
def test_a_batch_without_results_costs_nothing(ended: Any) -> None:
    cb = metered([CREATED, ("GET", f"{OPENAI}/batches/batch_1", None, ended)])

    assert (cb.cost, cb.is_complete, cb.open_streams, cb.calls) == (0, True, 0, ())


COMPLETED = {"request_counts": {"total": 5, "completed": 3, "failed": 0}}
HALF_DONE = {
    "cancelled": [CREATED, ("GET", f"{OPENAI}/batches/batch_1", None, batch("cancelled", **COMPLETED))],
    "expired": [CREATED, ("GET", f"{OPENAI}/batches/batch_1", None, batch("expired", **COMPLETED))],
    "by its cancellation": [CREATED, ("POST", f"{OPENAI}/batches/batch_1/cancel", None, batch("cancelled", **COMPLETED))],
    "seen twice": [CREATED, *[("GET", f"{OPENAI}/batches/batch_1", None, batch("cancelled", **COMPLETED))] * 2],
    "created elsewhere": [("GET", f"{OPENAI}/batches/batch_1", None, batch("cancelled", **COMPLETED))] * 2,
    "created as such": [("POST", f"{OPENAI}/batches", {}, batch("cancelled", **COMPLETED))],
    "of Mistral": [
        ("POST", f"{MISTRAL}/batch/jobs", {}, {"id": "j", "object": "batch", "status": "QUEUED"}),
        ("GET", f"{MISTRAL}/batch/jobs/j", None, {"id": "j", "object": "batch", "status": "CANCELLED", "succeeded_requests": 2}),
    ],
}  # fmt: skip


@pytest.mark.parametrize("steps", HALF_DONE.values(), ids=HALF_DONE)
def test_a_batch_that_was_stopped_after_some_requests_is_not_free(steps: Any) -> None:
    cb = metered(steps)

    (call,) = cb.calls
    assert (cb.is_complete, cb.open_streams, call.processing) == (False, 0, "batch")


CONTRADICTORY = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 10}
MORE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 20}
BELOW = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": -4},
}


@pytest.mark.parametrize("usages", [[CONTRADICTORY, MORE], [BELOW, {"prompt_tokens": 10, "completion_tokens": 5}]])
def test_what_a_line_of_results_says_against_itself_is_not_hidden_by_their_sum(usages: Any) -> None:
    content = lines(*(line({"object": "chat.completion", "model": GPT5, "usage": usage}) for usage in usages))
    cb = metered([("GET", f"{OPENAI}/files/file-o/content", None, content)])

    assert (cb.is_complete, cb.estimated_calls) == (False, 1)


def drawn(details: Any) -> dict[str, Any]:
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 1290, "totalTokenCount": 1300, **details}
    return {"response": {"candidates": [], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash-image"}}


TOLD = {"candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}]}


@pytest.mark.parametrize(("details", "certainty"), [([TOLD, TOLD], "exact"), ([TOLD, {}], "estimated")])
def test_nor_is_an_image_that_a_line_does_not_tell(details: Any, certainty: str) -> None:
    inside = {"inlinedResponses": {"inlinedResponses": [drawn(each) for each in details]}}
    ended = operation("SUCCEEDED", done=True, response=inside)
    ended["metadata"]["model"] = "models/gemini-2.5-flash-image"
    cb = metered([GEMINI_CREATED, ("GET", f"{GEMINI}/batches/b1", None, ended)])

    assert [call.certainty for call in cb.calls] == [certainty]


def test_what_a_line_shows_beside_its_usage_counts() -> None:
    grounded = generated(1000, 100)
    grounded["response"]["candidates"] = [{"groundingMetadata": {"webSearchQueries": ["a"]}}]
    inside = {"inlinedResponses": {"inlinedResponses": [grounded]}}
    cb = metered(
        [GEMINI_CREATED, ("GET", f"{GEMINI}/batches/b1", None, operation("SUCCEEDED", done=True, response=inside))]
    )
    ran = claude_line(1000, 100)
    ran["result"]["message"]["content"] = [{"type": "server_tool_use", "id": "srvtoolu_1", "name": "code_execution"}]
    coded = metered([("GET", f"{CLAUDES}/msgbatch_2/results", None, lines(ran))])

    assert [call.tokens.web_searches for call in cb.calls] == [1]
    assert coded.calls[0].price is not None
    assert coded.calls[0].price.missing == ("code_execution",)


def test_a_batch_that_was_completed_and_says_nothing_else_is_not_free() -> None:
    cb = metered([CREATED, ("GET", f"{OPENAI}/batches/batch_1", None, batch("completed"))])

    assert (len(cb.calls), cb.is_complete, cb.open_streams) == (1, False, 0)


def test_of_geminis_too() -> None:
    stats = {"batchStats": {"requestCount": "5", "successfulRequestCount": "2"}}
    stopped = operation("CANCELLED", done=True)
    stopped["metadata"].update(stats)
    cb = metered([GEMINI_CREATED, ("GET", f"{GEMINI}/batches/b1", None, stopped)])

    assert (len(cb.calls), cb.is_complete, cb.open_streams) == (1, False, 0)


@pytest.mark.parametrize("then", [[ENDED], [ENDED, FILE], [FILE, FILE], []])
def test_a_batch_that_is_answered_when_it_is_created_counts_once(then: Any) -> None:
    is_one(metered([("POST", f"{OPENAI}/batches", {}, DONE), *then]), COST)


def test_one_whose_results_are_to_be_read_is_open_until_then() -> None:
    at_once = ("POST", f"{OPENAI}/batches", {}, batch("completed", output_file_id="file-o"))
    waiting = metered([at_once])
    assert (waiting.is_complete, waiting.open_streams) == (False, 1)

    BACKGROUND.clear()
    is_one(metered([at_once, FILE, ENDED]), COST)


SEARCHED = {"object": "response", "model": "gpt-5", "output": [{"type": "web_search_call", "status": "completed"}] * 2,
            "usage": responses_usage(1000, 100)}  # fmt: skip
FILES = {
    "chats": (lines(chat_line("gpt-4o-mini", 1000, 100), chat_line("gpt-4o-mini", 500, 50)), "0.0001575"),
    "a chat, and one that failed": (lines(chat_line("gpt-4o-mini", 1000, 100), FAILED_LINE), "0.000105"),
    "no line end at the end": (lines(chat_line("gpt-4o-mini", 1000, 100)).rstrip(), "0.000105"),
    "responses with searches": (lines(line(SEARCHED)), "0.021125"),
    "two models": (lines(chat_line("gpt-4o-mini", 10_000, 1000), chat_line("gpt-4.1", 1000, 100)), "0.00245"),
    "embeddings": (
        lines(line({"object": "list", "model": "text-embedding-3-small",
                    "usage": {"prompt_tokens": 8, "total_tokens": 8}})), "0.00000008",
    ),
    "long requests, none above the limit of the rates": (
        lines(*[chat_line("gpt-5.4", 200_000, 100)] * 3), str(Decimal("0.75225")),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "cost"), FILES.values(), ids=FILES)
def test_a_file_of_results_says_what_each_request_used(content: bytes, cost: str) -> None:
    is_one(metered([("GET", f"{OPENAI}/files/file-o/content", None, content)]), Decimal(cost))


@pytest.mark.parametrize("lost", [b"{broken\n", lines(line({"object": "chat.completion", "model": GPT5}))])
def test_a_request_whose_usage_is_lost_is_missing(lost: bytes) -> None:
    content = lines(chat_line(GPT5, 1000, 100)) + lost
    cb = metered([("GET", f"{OPENAI}/files/file-o/content", None, content)])

    assert (cb.cost, cb.is_complete) == (Decimal("0.001125"), False)
    assert cb.calls[0].price is not None
    assert cb.calls[0].price.missing == ("requests without usage",)


def test_a_batch_of_which_every_request_failed_costs_nothing() -> None:
    silent = ("GET", f"{OPENAI}/batches/batch_1", None, batch("completed", output_file_id="file-o"))
    cb = metered([CREATED, silent, ("GET", f"{OPENAI}/files/file-o/content", None, lines(FAILED_LINE))])

    assert (cb.calls, cb.is_complete) == ((), True)


def test_of_requests_that_are_known_as_a_sum_only_the_long_ones_are_open() -> None:
    done = batch("completed", model="gpt-5.4", usage=responses_usage(600_000, 300), request_counts={"total": 3})
    cb = metered([("GET", f"{OPENAI}/batches/batch_1", None, done)])

    assert cb.cost == Decimal("0.75225")
    assert cb.calls[0].price is not None
    assert cb.calls[0].price.missing == ("long-context rates",)


def test_one_long_request_alone_is_billed_at_the_rates_of_a_long_context() -> None:
    done = batch("completed", model="gpt-5.4", usage=responses_usage(600_000, 300), request_counts={"total": 1})

    assert metered([("GET", f"{OPENAI}/batches/batch_1", None, done)]).cost == Decimal("1.503375")


@pytest.mark.parametrize(
    "content", [b"a,b\n1,2\n", b'{"custom_id": "a", "method": "POST", "body": {}}\n', b"", b"\xff\xd8"]
)
def test_any_other_file_is_no_call(content: bytes) -> None:
    cb = metered([("GET", f"{OPENAI}/files/file-1/content", None, content)])

    assert (cb.calls, cb.is_complete) == ((), True)


def test_an_apps_own_batches_are_no_calls() -> None:
    app = "https://app.example.com/api"
    cb = metered([
        ("POST", f"{app}/batches", {}, {"id": "1", "status": "in_progress"}),
        ("GET", f"{app}/batches/1", None, {"id": "1", "status": "completed", "usage": {"input_tokens": 5}}),
    ])  # fmt: skip

    assert (cb.calls, cb.is_complete) == ((), True)


@pytest.mark.parametrize("base", [GROQ, AZURE, "https://api.together.xyz/v1"])
def test_the_batches_of_who_serves_openais_api_are_open_until_their_results(base: str) -> None:
    """Their batches name no usage; that they have a price is a matter of lists."""
    steps: list[Any] = [("POST", f"{base}/batches", {}, batch("validating")),
                        ("GET", f"{base}/batches/batch_1", None, batch("completed", output_file_id="file-o"))]  # fmt: skip
    assert metered(steps).open_streams == 1

    with meter(on_unpriced="ignore", keep_calls=True) as cb:
        send([("POST", f"{base}/batches", {}, {**batch("validating"), "id": "batch_2"}),
              ("GET", f"{base}/batches/batch_2", None, {**steps[1][3], "id": "batch_2", "output_file_id": "file-p"}),
              ("GET", f"{base}/files/file-p/content", None, lines(chat_line("gpt-4o-mini", 1000, 100)))])  # fmt: skip
    (call,) = cb.calls
    assert (call.tokens.total_tokens, call.processing, cb.open_streams) == (1100, "batch", 0)


def test_a_job_of_mistral_counts_at_its_end() -> None:
    job = {"id": "j-1", "object": "batch", "model": "mistral-small-latest", "status": "QUEUED"}
    ended = {**job, "status": "SUCCESS", "output_file": "file-o", "succeeded_requests": 1}
    body = {"id": "1", "custom_id": "0", "response": {"status_code": 200, "body": {
        "model": "mistral-small-latest", "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}}}  # fmt: skip
    cb = metered([
        ("POST", f"{MISTRAL}/batch/jobs", {}, job),
        ("GET", f"{MISTRAL}/batch/jobs/j-1", None, ended),
        ("GET", f"{MISTRAL}/files/file-o/content", None, lines(body)),
    ])  # fmt: skip

    (call,) = cb.calls
    assert (call.tokens.total_tokens, call.processing, cb.open_streams) == (15, "batch", 0)


def claude(status: str, succeeded: int = 2) -> dict[str, Any]:
    return {"id": "msgbatch_1", "type": "message_batch", "processing_status": status,
            "request_counts": {"succeeded": succeeded, "errored": 0}}  # fmt: skip


def claude_line(sent: int, made: int) -> dict[str, Any]:
    message = {"type": "message", "model": "claude-haiku-4-5", "content": [],
               "usage": {"input_tokens": sent, "output_tokens": made, "service_tier": "batch"}}  # fmt: skip
    return {"custom_id": "a", "result": {"type": "succeeded", "message": message}}


CLAUDES = f"{ANTHROPIC}/messages/batches"


def test_a_batch_of_messages_counts_when_its_results_are_read() -> None:
    created = ("POST", CLAUDES, {}, claude("in_progress", 0))
    ended = ("GET", f"{CLAUDES}/msgbatch_1", None, claude("ended"))
    assert metered([created, ended]).open_streams == 1
    BACKGROUND.clear()

    results = lines(claude_line(1000, 100), claude_line(500, 50), {"custom_id": "b", "result": {"type": "errored"}})
    cb = metered([created, ended, ("GET", f"{CLAUDES}/msgbatch_1/results", None, results)])

    is_one(cb, (1500 * Decimal("0.5") + 150 * Decimal("2.5")) / 1_000_000)


def test_f141_results_that_are_read_before_the_job_is_looked_at_count_once() -> None:
    """Their file's id may come from a list of jobs or from a webhook."""
    is_one(metered([CREATED, FILE, ENDED, FILE, ENDED]), COST)

    results = ("GET", f"{CLAUDES}/msgbatch_1/results", None, lines(claude_line(1000, 100)))
    ended = ("GET", f"{CLAUDES}/msgbatch_1", None, claude("ended"))
    cb = metered([("POST", CLAUDES, {}, claude("in_progress", 0)), results, ended, results])

    is_one(cb, Decimal("0.00075"))


def test_a_batch_of_messages_of_which_none_succeeded_costs_nothing() -> None:
    created = ("POST", CLAUDES, {}, claude("in_progress", 0))
    cb = metered([created, ("GET", f"{CLAUDES}/msgbatch_1", None, claude("ended", 0))])

    assert (cb.calls, cb.is_complete) == ((), True)


def operation(state: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "batches/b1",
        "metadata": {"model": "models/gemini-2.5-flash", "state": f"BATCH_STATE_{state}"},
        **more,
    }


def generated(sent: int, made: int) -> dict[str, Any]:
    usage = {"promptTokenCount": sent, "candidatesTokenCount": made, "totalTokenCount": sent + made}
    return {"response": {"candidates": [], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash"}}


GEMINI_CREATED = ("POST", f"{GEMINI}/models/gemini-2.5-flash:batchGenerateContent", {}, operation("PENDING"))
FLASH = (1500 * Decimal("0.15") + 150 * Decimal("1.25")) / 1_000_000


def test_a_batch_of_gemini_counts_with_the_answers_that_stand_in_it() -> None:
    inside = {"inlinedResponses": {"inlinedResponses": [generated(1000, 100), generated(500, 50)]}}
    ended = ("GET", f"{GEMINI}/batches/b1", None, operation("SUCCEEDED", done=True, response=inside))
    is_one(metered([GEMINI_CREATED, ended, ended]), FLASH)


def test_a_batch_of_gemini_counts_with_the_file_of_its_answers() -> None:
    ended = (
        "GET",
        f"{GEMINI}/batches/b1",
        None,
        operation("SUCCEEDED", done=True, response={"responsesFile": "files/r1"}),
    )
    url = "https://generativelanguage.googleapis.com/download/v1beta/files/r1:download?alt=media"
    file = lines({"key": "a", **generated(1000, 100)}, {"key": "b", **generated(500, 50)}, {"key": "c", "error": {}})
    assert metered([GEMINI_CREATED, ended]).open_streams == 1
    BACKGROUND.clear()

    is_one(metered([GEMINI_CREATED, ended, ("GET", url, None, file)]), FLASH)


@pytest.mark.parametrize("path", [
    "fine_tuning/jobs", "evals/e1/runs", "fine_tuning/alpha/graders/run", "realtime/calls", "containers",
])  # fmt: skip
def test_f141_other_paid_jobs_are_unmeasured_and_never_nothing(path: str) -> None:
    cb = metered([("POST", f"{OPENAI}/{path}", {"model": "gpt-4o-mini"}, {"id": "x", "status": "queued"})])

    assert (cb.unmeasured_calls, cb.is_complete, cb.cost_is_known) == (1, False, False)
