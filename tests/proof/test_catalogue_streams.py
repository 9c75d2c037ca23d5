"""The fault catalogue, F04 to F25: how streams end, and what their bytes look like."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import threading
from typing import Any

import httpx2
import openai
import pytest

from tests.contract import shapes
from tests.contract.shapes import CHAT, WITH_USAGE, each, result
from tests.contract.test_transport import _assert_reads, _at
from tests.proof.canned import DONE, USAGE, answering, ask, event, read, streaming, telling
from token_meter import meter


async def _open(client: Any, **options: Any) -> Any:
    return await result(client.chat.completions.create(**CHAT, stream=True, stream_options=WITH_USAGE, **options))


async def _read(client: Any, is_reading: asyncio.Event) -> None:
    """Read a whole stream, and say when it has begun."""
    async for _ in await _open(client):
        is_reading.set()


async def test_f03_a_task_cancelled_in_a_stream_is_cancelled(make, simulator):
    """CancelledError passes; the call says how it ended. (A sync stream is left by KeyboardInterrupt instead.)"""
    client = make.openai(base_url=_at(simulator, "delay=0.05"), api_key="sim-test")
    with meter(keep_calls=True) as cb:
        if make.is_async:
            is_reading = asyncio.Event()
            task = asyncio.create_task(_read(client, is_reading))
            await is_reading.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert task.cancelled()
        else:
            with pytest.raises(KeyboardInterrupt):
                for _ in await _open(client):
                    raise KeyboardInterrupt
    gc.collect()

    assert len(cb.calls) == 1
    assert cb.calls[0].outcome in (("cancelled",) if make.is_async else ("closed", "abandoned", "error"))


@pytest.mark.parametrize("kept", [0, 1, 3])
async def test_f04_a_stream_left_early_is_a_call(make, simulator, kept):
    """`break` after so many chunks, then `close()`: one request, no silent zero."""
    client = make.openai(base_url=_at(simulator, "delay=0.01"), api_key="sim-test")
    with meter(keep_calls=True) as cb:
        events = await _open(client)
        if kept:
            seen = 0
            async for _ in each(events):
                seen += 1
                if seen == kept:
                    break
        await result(events.close())

    assert (cb.successful_requests, cb.open_streams) == (1, 0)
    assert cb.estimated_calls + cb.unmeasured_calls == 1


async def test_f05_the_number_is_there_when_the_caller_sees_the_end(make, simulator):
    """`[DONE]`, a terminal event, `close()`: the first of them, before the block is left."""
    client = make.openai(base_url=simulator.base_url, api_key="sim-test")
    with meter() as cb:
        await shapes.stream(client)
        assert cb.total_tokens == simulator.bill("sim-test").total_tokens
        await shapes.responses_stream(client)

        assert cb.total_tokens == simulator.bill("sim-test").total_tokens


async def test_f06_a_stream_never_read_and_dropped_is_a_call(make, simulator):
    """Nobody closes it; the collector finds it."""
    client = make.openai(base_url=simulator.base_url, api_key="sim-test")
    with meter(keep_calls=True) as cb:
        await _open(client)
        gc.collect()

    assert [call.outcome for call in cb.calls] == ["abandoned"]
    assert cb.open_streams == 0


async def test_f07_closing_a_stream_in_another_thread_or_task_is_silent(make, simulator):
    """No token of a foreign context is ever reset."""
    client = make.openai(base_url=simulator.base_url, api_key="sim-test")
    with meter() as cb:
        events = await _open(client)
    if make.is_async:
        await asyncio.create_task(events.close())
    else:
        thread = threading.Thread(target=events.close)
        thread.start()
        thread.join()

    assert (cb.successful_requests, cb.open_streams) == (1, 0)


async def test_f08_a_stream_dropped_in_another_block_stays_with_its_own(make, simulator):
    """Started in A, collected in B: all to A."""
    client = make.openai(base_url=simulator.base_url, api_key="sim-test")
    with meter() as a:
        events = await _open(client)
    with meter() as b:
        del events
        gc.collect()

    assert (a.successful_requests, b.successful_requests) == (1, 0)


async def test_f09_closing_early_leaves_the_pool_as_without_a_meter(make, simulator):
    """No connection leaks over a hundred streams that are left."""
    client = make.openai(base_url=_at(simulator, "words=200"), api_key="sim-test")
    if not hasattr(client._client._transport, "_pool"):
        pytest.skip("aiohttp keeps its pool elsewhere")

    async def leave() -> int:
        events = await _open(client)
        await result(events.close())
        return len(client._client._transport._pool.connections)

    bare = [await leave() for _ in range(20)]
    with meter():
        metered = [await leave() for _ in range(100)]

    assert max(metered) <= max(bare)


@pytest.mark.parametrize("way", ["timeout", "task group"])
async def test_f11_a_timeout_or_a_failing_sibling_ends_a_stream_as_cancelled(make, simulator, way):
    """The exception is the caller's own; nothing is shielded."""
    if not make.is_async:
        pytest.skip("a sync call cannot be cancelled")
    client = make.openai(base_url=_at(simulator, "delay=0.05"), api_key="sim-test")
    is_reading = asyncio.Event()

    async def fail() -> None:
        await is_reading.wait()
        raise LookupError

    async def time_out(scope: asyncio.Timeout) -> None:
        await is_reading.wait()
        scope.reschedule(0)

    with meter(keep_calls=True) as cb:
        if way == "timeout":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(60) as scope:
                    soon = asyncio.create_task(time_out(scope))
                    await _read(client, is_reading)
            await soon
        else:
            with pytest.raises(ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    group.create_task(_read(client, is_reading))
                    group.create_task(fail())

    assert [call.outcome for call in cb.calls] == ["cancelled"]


@pytest.mark.parametrize("options", ["latency=0.5", "slow=0.5"])
async def test_f12_a_timeout_before_the_answer_is_there_is_unmeasured(make, simulator, options):
    """Tokens may have been billed: the attempt shows, with the exception's class and no number."""
    client = make.openai(base_url=_at(simulator, options), api_key="sim-test", max_retries=0, timeout=(30, 0.1, 30, 30))
    with meter(keep_calls=True) as cb, pytest.raises(openai.APITimeoutError):
        await shapes.chat(client)

    assert (cb.unmeasured_calls, cb.total_tokens) == (1, 0)
    assert cb.calls[0].error is not None


async def test_f13_a_server_that_dies_in_mid_stream_is_an_error(make, simulator):
    """One call, ended by error, not zero."""
    client = make.openai(base_url=_at(simulator, "cut=2"), api_key="sim-test", max_retries=0)
    with meter(keep_calls=True) as cb, contextlib.suppress(Exception):
        await shapes.stream(client)

    assert [call.outcome for call in cb.calls] == ["error"]
    assert cb.estimated_calls + cb.unmeasured_calls == 1


@pytest.mark.parametrize("options", ["error=2", "error=2,error_usage"])
async def test_f14_an_error_event_keeps_its_usage_and_marks_the_call(make, simulator, options):
    """The caller gets the same APIError."""
    client = make.openai(base_url=_at(simulator, options), api_key="sim-test", max_retries=0)
    with meter(keep_calls=True) as cb, pytest.raises(openai.APIError):
        await shapes.stream(client)

    assert [call.outcome for call in cb.calls] == ["error"]
    if "error_usage" in options:
        assert cb.total_tokens == simulator.bill("sim-test").total_tokens


@pytest.mark.parametrize(
    "options", ["line=cr", "line=crlf,chunk=1,words=4", "bom", "comments", "multiline", "chunk=1,words=4"]
)
async def test_f15_line_ends_and_chunkings_change_nothing(make, simulator, options):
    """Any cut, any line end, comments, a byte order mark, data over several lines."""
    client = make.openai(base_url=_at(simulator, options), api_key="sim-test")
    with meter() as cb:
        await shapes.stream(client)

    _assert_reads(cb, simulator.bill("sim-test"))


@pytest.mark.parametrize("options", ["done=0", "done=0,last_blank=0"])
async def test_f16_a_stream_without_its_end_is_read(make, simulator, options):
    """No `[DONE]`, no blank line after the last event."""
    client = make.openai(base_url=_at(simulator, options), api_key="sim-test")
    with meter() as cb:
        await shapes.stream(client)

    _assert_reads(cb, simulator.bill("sim-test"))


async def test_f17_usage_after_done_is_counted_if_it_was_seen(make, simulator):
    """A sync client never reads it: then it is an estimate, and never a zero."""
    client = make.openai(base_url=_at(simulator, "usage=after_done"), api_key="sim-test")
    with meter() as cb:
        await shapes.stream(client)
    gc.collect()

    assert cb.successful_requests == 1
    assert cb.estimated_calls + cb.unmeasured_calls == 1 or cb.total_tokens == simulator.bill("sim-test").total_tokens


def test_f18_cumulative_usage_last_value_wins():
    """Never summed inside one answer, and a null at the end takes nothing back."""
    first = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    with streaming(event(first), event(USAGE), event(None), DONE) as client, meter() as cb:
        read(client)

    assert (cb.prompt_tokens, cb.completion_tokens, cb.total_tokens) == (10, 5, 15)


def test_f18_input_first_and_output_last_is_one_usage():
    """The last value of each field counts."""
    pieces = event({"prompt_tokens": 10}), event({"completion_tokens": 5}), DONE
    with streaming(*pieces) as client, meter() as cb:
        read(client)

    assert (cb.prompt_tokens, cb.completion_tokens) == (10, 5)


@pytest.mark.parametrize(
    "options", ["compress=gzip", "compress=br", "compress=deflate", "compress=gzip+br,chunk=1,words=4"]
)
@pytest.mark.parametrize("shape", ["chat", "stream"])
async def test_f20_compressed_bodies_are_read_by_both_libraries(make, simulator, options, shape):
    """Each library's own decoders."""
    client = make.openai(base_url=_at(simulator, options), api_key="sim-test")
    with meter() as cb:
        await shapes.MEASURED[shape](client)

    _assert_reads(cb, simulator.bill("sim-test"))


def test_f20_a_stream_in_an_unknown_encoding_is_unknown_and_no_exception():
    """The client gets what it gets; we read nothing into it."""
    head = {"content-type": "text/event-stream", "content-encoding": "klingon"}

    def answer(_: Any) -> Any:
        return httpx2.Response(200, headers=head, stream=httpx2.ByteStream(event(USAGE) + DONE))

    with answering(answer) as client, meter() as cb:
        assert len(read(client)) == 1

    assert cb.successful_requests == 1


@pytest.mark.parametrize(("options", "shape"), [("body=json", "stream"), ("body=sse,usage=every", "chat")])
async def test_f21_bytes_decide_and_not_what_was_asked(make, simulator, options, shape):
    """JSON for a stream, events for a plain call."""
    client = make.openai(base_url=_at(simulator, options), api_key="sim-test")
    with meter() as cb, contextlib.suppress(AttributeError):
        await shapes.MEASURED[shape](client)

    _assert_reads(cb, simulator.bill("sim-test"))


def test_f22_usage_inside_a_text_is_no_usage():
    """Only an object at a known place counts."""
    text = '"usage":{"prompt_tokens":900,"completion_tokens":900,"total_tokens":1800}'
    with streaming(event(None, text), event(USAGE), DONE) as client, meter() as cb:
        read(client)
    with telling({"id": "x", "model": "m", "choices": [{"message": {"role": "assistant", "content": text}}]}) as client:
        with meter() as silent:
            ask(client)

    assert cb.total_tokens == 15
    assert silent.total_tokens < 900
    assert silent.estimated_calls + silent.unmeasured_calls == 1


@pytest.mark.parametrize("odd", [b"data: null\n\n", b"data: []\n\n", b'data: "x"\n\n', b"data: 7\n\n"])
def test_f22_events_that_are_no_objects_are_passed_over(odd):
    """Whatever the SDK makes of them, the usage that was sent is read."""
    with streaming(event(USAGE) + odd + DONE) as client, meter() as cb, contextlib.suppress(Exception):
        read(client)
    gc.collect()

    assert cb.total_tokens == 15


@pytest.mark.parametrize("bad", [b"data: {nope\n\n", b"data: \xff\xfe\n\n"])
def test_f23_a_broken_event_is_the_sdks_affair(bad):
    """The SDK raises its own error; what was read before it is kept."""

    def caught() -> str:
        with streaming(event(USAGE) + bad) as client, pytest.raises(Exception, match=".") as error:
            read(client)
        return type(error.value).__name__

    bare = caught()
    with meter() as cb:
        metered = caught()
    gc.collect()

    assert metered == bare
    assert cb.total_tokens == 15


def test_f24_a_line_without_end_is_bounded_and_passes():
    """Twenty megabytes in one line: the caller gets them, and the call is unknown and not zero."""
    size = 20 * 2**20
    with streaming(b"data: " + b"x" * size) as client, meter() as cb:
        with client.chat.completions.with_streaming_response.create(
            model="gpt-4o-mini", messages=[], stream=True
        ) as answer:
            passed = sum(len(piece) for piece in answer.iter_bytes())

    assert passed == size + 6
    assert cb.estimated_calls + cb.unmeasured_calls == 1


def test_f10_parked_streams_at_the_loops_end_are_as_noisy_as_without_a_meter():
    """The bare stack complains at shutdown by itself: the meter adds nothing to it."""
    code = """
import asyncio, contextlib, sys
import httpx2, openai
from tests.proof.canned import DONE, USAGE, event
from token_meter import meter

class Pieces(httpx2.AsyncByteStream):
    async def __aiter__(self):
        for piece in (event(USAGE), event(USAGE), DONE):
            await asyncio.sleep(0)
            yield piece

async def main():
    head = {"content-type": "text/event-stream"}
    answer = lambda _: httpx2.Response(200, headers=head, stream=Pieces())
    client = openai.AsyncOpenAI(api_key="x", http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(answer)))
    with meter() if sys.argv[1] == "meter" else contextlib.nullcontext():
        parked = [await client.chat.completions.create(model="m", messages=[], stream=True) for _ in range(3)]
        for stream in parked:
            await anext(aiter(stream))

asyncio.run(main())
"""

    def errors(mode: str) -> list[str]:
        done = subprocess.run([sys.executable, "-c", code, mode], capture_output=True, text=True, check=True)
        return [line for line in done.stderr.splitlines() if not line.startswith((" ", "Traceback"))]

    assert len(errors("meter")) <= len(errors("bare"))
