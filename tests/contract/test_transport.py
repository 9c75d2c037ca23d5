"""Whatever the bytes look like on the way, the meter reads what the server billed."""

from __future__ import annotations

import contextlib
import gc

import openai
import pytest

from tests.contract import shapes
from token_meter import meter

STREAMS = [
    "chunk=1,words=4",  # few: each byte is a chunk
    "chunk=7",
    "line=crlf",
    "line=cr",
    "line=crlf,chunk=1,words=4",
    "compress=gzip",
    "compress=deflate",
    "compress=br",
    "compress=gzip+br",
    "compress=gzip,chunk=1,words=4",
    "done=0",
    "last_blank=0,done=0",  # the provider did report it, though the SDK delivers no such event
    "bom",
    "comments",
    "multiline",
    "usage=every",  # cumulative on each chunk: the last one counts
    "usage=choices0",
    "usage=deepseek",
    "redirect",
    "fail=500x1",
    "body=json",
]
BODIES = [
    "compress=gzip",
    "compress=deflate",
    "compress=br",
    "redirect",
    "fail=429x1+500x1",
    "body=sse,usage=every",
    "huge=300000",
]


def _at(simulator, options: str) -> str:
    return f"{simulator.url}/__opt/{options}/v1"


def _assert_reads(cb, bill) -> None:
    assert bill.calls == 1
    assert (cb.prompt_tokens, cb.completion_tokens, cb.total_tokens) == (
        bill.prompt_tokens,
        bill.completion_tokens,
        bill.total_tokens,
    )
    assert (cb.successful_requests, cb.estimated_calls, cb.unmeasured_calls) == (1, 0, 0)


@pytest.mark.parametrize("options", STREAMS)
async def test_a_stream_reads_the_bill(make, simulator, options):
    """Line ends, chunkings, encodings, dialects, retries, redirects."""
    client = make.openai(base_url=_at(simulator, options), api_key="sim-test")
    with meter() as cb:
        await shapes.stream(client)

    _assert_reads(cb, simulator.bill("sim-test"))


@pytest.mark.parametrize("options", BODIES)
async def test_a_body_reads_the_bill(make, simulator, options):
    """Encodings, retries, redirects, the wrong content type, large bodies."""
    client = make.openai(base_url=_at(simulator, options), api_key="sim-test")
    with meter() as cb, contextlib.suppress(AttributeError):  # body=sse gives the caller a str
        await shapes.chat(client)

    _assert_reads(cb, simulator.bill("sim-test"))


async def test_an_error_status_fails_and_counts_no_tokens(make, simulator):
    """Usage in an error body is not billed."""
    client = make.openai(base_url=_at(simulator, "status=429"), api_key="sim-test", max_retries=0)
    with meter() as cb, pytest.raises(openai.RateLimitError):
        await shapes.chat(client)

    assert (cb.failed_requests, cb.successful_requests, cb.total_tokens) == (1, 0, 0)
    assert cb.unmeasured_calls == 0


async def test_retries_are_attempts_and_the_answer_is_one_call(make, simulator):
    """Two failures, one success."""
    client = make.openai(base_url=_at(simulator, "fail=429x1+500x1"), api_key="sim-test")
    with meter(keep_calls=True) as cb:
        await shapes.chat(client)

    assert (cb.failed_requests, cb.successful_requests) == (2, 1)
    assert [call.attempt for call in cb.calls] == [0, 1, 2]


async def test_a_server_that_dies_in_mid_stream_leaves_no_silent_zero(make, simulator):
    """The call shows as failed to measure, with how it ended."""
    client = make.openai(base_url=_at(simulator, "cut=3"), api_key="sim-test", max_retries=0)
    with meter(keep_calls=True) as cb, pytest.raises(Exception, match=r".") as caught:
        await shapes.stream(client)

    assert not isinstance(caught.value, AssertionError)
    assert cb.estimated_calls + cb.unmeasured_calls == 1
    assert cb.calls[0].outcome == "error"


async def test_an_error_event_marks_the_call(make, simulator):
    """The caller gets its APIError; the call ends with an error."""
    client = make.openai(base_url=_at(simulator, "error=2"), api_key="sim-test", max_retries=0)
    failed = False
    with meter(keep_calls=True) as cb:
        try:
            await shapes.stream(client)
        except openai.APIError:  # and not pytest.raises: it keeps the frames, and openai 1 leaves the stream to them
            failed = True
        gc.collect()

    assert failed
    # openai 1 does not close a broken async stream: until it is collected, it counts as open.
    assert cb.open_streams + cb.estimated_calls + cb.unmeasured_calls == 1
    assert all(call.outcome == "error" for call in cb.calls)


async def test_a_truncated_body_may_have_been_billed(make, simulator):
    """`send` raises: the attempt failed, and its tokens are unknown rather than zero."""
    client = make.openai(base_url=_at(simulator, "truncate"), api_key="sim-test", max_retries=0)
    with meter() as cb, pytest.raises(openai.APIConnectionError):
        await shapes.chat(client)

    assert (cb.failed_requests, cb.unmeasured_calls) == (1, 1)


async def test_a_refused_connection_was_billed_by_nobody(make, simulator):
    """No server, no bill: the attempt failed and nothing is missing."""
    client = make.openai(base_url="http://127.0.0.1:9/v1", api_key="sim-test", max_retries=0)
    with meter() as cb, pytest.raises(openai.APIConnectionError):
        await shapes.chat(client)

    assert (cb.failed_requests, cb.unmeasured_calls, cb.is_complete) == (1, 0, True)


async def test_a_thousand_answers_with_one_id_are_a_thousand_calls(make, simulator):
    """Mocks and some vendors repeat ids; nothing is deduplicated by them."""
    client = make.openai(base_url=_at(simulator, "id=same"), api_key="sim-test")
    with meter() as cb:
        for _ in range(10):
            await shapes.chat(client)

    assert cb.successful_requests == 10
    assert cb.total_tokens == simulator.bill("sim-test").total_tokens


async def test_a_background_response_counts_at_its_first_terminal_retrieve(make, simulator, prices):
    """Open until then, counted once, however often it is looked at."""
    client = make.openai(base_url=simulator.base_url, api_key="sim-test")
    if not hasattr(client, "responses"):
        pytest.skip("this openai version has no Responses API")
    with meter(prices=prices) as cb:
        answer = await shapes.result(client.responses.create(model="gpt-4o-mini", input="Which rose?", background=True))
        assert (cb.total_tokens, cb.open_streams, cb.is_complete) == (0, 1, False)
        while answer.status in ("queued", "in_progress"):
            answer = await shapes.result(client.responses.retrieve(answer.id))
        await shapes.result(client.responses.retrieve(answer.id))

    assert cb.total_tokens == simulator.bill("sim-test").total_tokens > 0
    assert (cb.successful_requests, cb.open_streams, cb.is_complete) == (1, 0, True)


async def test_retrieving_a_finished_response_adds_nothing(make, simulator):
    """Only the creating request counts."""
    client = make.openai(base_url=simulator.base_url, api_key="sim-test")
    if not hasattr(client, "responses"):
        pytest.skip("this openai version has no Responses API")
    with meter() as cb:
        answer = await shapes.result(client.responses.create(model="gpt-4o-mini", input="Which rose?"))
        for _ in range(2):
            await shapes.result(client.responses.retrieve(answer.id))

    assert cb.total_tokens == simulator.bill("sim-test").total_tokens
    assert cb.successful_requests == 1


async def test_a_stream_opened_inside_and_read_after_the_block_is_added(make, simulator):
    """Bound at departure, recorded at arrival; until then it shows as open."""
    client = make.openai(base_url=simulator.base_url, api_key="sim-test")
    with meter() as cb:
        events = await shapes.result(
            client.chat.completions.create(**shapes.CHAT, stream=True, stream_options=shapes.WITH_USAGE)
        )
    assert (cb.open_streams, cb.total_tokens) == (1, 0)
    async for _ in shapes.each(events):
        pass

    assert (cb.open_streams, cb.late_calls) == (0, 0)
    assert cb.total_tokens == simulator.bill("sim-test").total_tokens


async def test_a_stream_dropped_unread_is_found_by_the_collector(make, simulator):
    """Nobody closes it, ever; it still ends, as abandoned."""
    client = make.openai(base_url=simulator.base_url, api_key="sim-test")
    with meter(keep_calls=True) as cb:
        events = await shapes.result(client.chat.completions.create(**shapes.CHAT, stream=True))
        del events
        gc.collect()

        assert cb.open_streams == 0
    assert cb.calls[0].outcome == "abandoned"
    assert cb.unmeasured_calls + cb.estimated_calls == 1
