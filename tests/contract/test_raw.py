"""A call over each HTTP library by hand reads the bill, and its caller gets what it gets without a meter."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import Any

import pytest

from tests.contract.raw import CHAT, LIBRARIES, STREAM, WAYS, Library, texts_in, ticks
from token_meter import BudgetExceededError, meter
from token_meter.estimate import count_text

EACH = pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
EACH_WAY = pytest.mark.parametrize(("library", "way"), WAYS, ids=[f"{lib.name}-{way}" for lib, way in WAYS])


async def whole(library: Library, url: str, body: Any = CHAT, **options: Any) -> bytes:
    async with library.opened(url, body, **options) as found:
        return await library.whole(found)


async def pieces(library: Library, way: str, url: str, *, limit: int | None = None) -> list[bytes]:
    seen: list[bytes] = []
    async with library.opened(url, STREAM) as found:
        reading = library.readings[way](found)
        async for piece in reading:
            seen.append(piece)
            if len(seen) == limit:
                break
        await reading.aclose()  # type: ignore[attr-defined]
    return seen


def at(simulator: Any, options: str) -> str:
    return f"{simulator.url}/__opt/{options}/v1" if options else simulator.base_url


def same_as_billed(cb: Any, simulator: Any) -> None:
    bill = simulator.bill("sim-test")
    assert bill.calls == 1
    assert (cb.prompt_tokens, cb.completion_tokens, cb.total_tokens) == (
        bill.prompt_tokens, bill.completion_tokens, bill.total_tokens,
    )  # fmt: skip
    assert (cb.successful_requests, cb.estimated_calls, cb.unmeasured_calls, cb.open_streams) == (1, 0, 0, 0)


@EACH
@pytest.mark.parametrize("options", ["", "compress=gzip", "chunk=7", "redirect", "huge=300000", "body=sse,usage=every"])
async def test_a_whole_answer_reads_the_bill(library, simulator, options):
    with meter(keep_calls=True) as cb:
        with contextlib.suppress(ValueError):  # body=sse is no JSON
            await whole(library, at(simulator, options))

    same_as_billed(cb, simulator)
    (call,) = cb.calls
    assert (call.request_model, call.status, call.outcome, call.certainty) == (CHAT["model"], 200, "complete", "exact")
    assert "sim-" not in f"{call!r}{call.to_dict()}{call.base_url}"


@EACH_WAY
@pytest.mark.parametrize("options", ["", "chunk=1,line=crlf,words=4", "compress=gzip,chunk=3,words=4"])
async def test_a_stream_reads_the_bill_however_it_is_read(library, way, simulator, options):
    with meter() as cb:
        await pieces(library, way, at(simulator, options))

    same_as_billed(cb, simulator)


@EACH_WAY
async def test_a_stream_that_is_left_shows_what_was_read(library, way, simulator):
    """A lower bound of what the caller saw, at least."""
    with meter(keep_calls=True, on_unpriced="ignore") as cb:
        seen = await pieces(library, way, at(simulator, "delay=0.01,words=40"), limit=12)
        await ticks()
        gc.collect()

    (call,) = cb.calls
    assert (call.outcome, cb.open_streams, cb.is_complete) == ("closed", 0, False)
    assert call.certainty in ("estimated", "lower_bound")
    with contextlib.suppress(ValueError):  # the last event may be cut
        assert cb.completion_tokens >= count_text(texts_in(seen), CHAT["model"]).tokens


@EACH
async def test_an_error_status_fails_and_counts_no_tokens(library, simulator):
    with meter() as cb:
        await whole(library, at(simulator, "status=429"))

    assert (cb.failed_requests, cb.successful_requests, cb.total_tokens, cb.unmeasured_calls) == (1, 0, 0, 0)


@EACH
async def test_an_answer_that_nobody_reads_is_unmeasured(library, simulator):
    """Closed, or dropped."""
    with meter() as cb:
        async with library.opened(simulator.base_url, STREAM) as found:
            assert library.status(found) == 200
        del found
        gc.collect()

    assert (cb.successful_requests, cb.unmeasured_calls + cb.estimated_calls, cb.open_streams) == (1, 1, 0)


@EACH
async def test_a_server_that_dies_in_mid_stream_leaves_no_silent_zero(library, simulator):
    way = next(iter(library.readings))
    with meter(keep_calls=True) as cb, pytest.raises(Exception, match=r"."):
        await pieces(library, way, at(simulator, "cut=3"))

    assert (cb.estimated_calls + cb.unmeasured_calls, cb.calls[0].outcome) == (1, "error")


@EACH
async def test_a_refused_connection_was_billed_by_nobody(library):
    with meter() as cb, pytest.raises(Exception, match=r"."):
        await whole(library, "http://127.0.0.1:9/v1")

    assert (cb.failed_requests, cb.unmeasured_calls, cb.is_complete) == (1, 0, True)


@EACH
async def test_a_refusal_reaches_the_caller_as_it_is(library, simulator):
    with meter(max_calls=0) as cb, pytest.raises(BudgetExceededError):
        await whole(library, simulator.base_url)

    assert (cb.successful_requests, cb.failed_requests, simulator.bill("sim-test").calls) == (0, 0, 0)


@EACH
async def test_the_calls_own_cap_is_reserved(library, simulator):
    """The body is read before it is sent."""
    with meter(max_tokens=500) as cb:
        await whole(library, simulator.base_url, {**CHAT, "max_tokens": 400})
        with pytest.raises(BudgetExceededError):
            await whole(library, simulator.base_url, {**CHAT, "max_tokens": 600})

    assert cb.successful_requests == 1


@EACH
async def test_handlers_hear_each_piece(library, simulator):
    """Sync and async ones, as the pieces pass."""
    heard: list[str] = []
    ended: list[int] = []

    class Handler:
        def on_llm_new_token(self, token: str, **_: Any) -> None:
            heard.append(token)

    class Async:
        async def on_llm_end(self, response: Any, **_: Any) -> None:
            ended.append(response.tokens.total_tokens)

    with meter(handlers=[Handler(), Async()]) as cb:
        seen = await pieces(library, next(iter(library.readings)), simulator.base_url)

    assert "".join(heard) == texts_in(seen)
    assert ended == [cb.total_tokens]


async def test_a_cancelled_read_is_no_end_for_who_reads_on(simulator):
    """aiohttp's reader goes on after a timeout of its caller's."""
    import aiohttp

    async with aiohttp.ClientSession() as session:
        headers = {"authorization": "Bearer sim-test"}
        with meter(keep_calls=True) as cb:
            url = f"{at(simulator, 'delay=0.05')}/chat/completions"
            async with session.post(url, json=STREAM, headers=headers) as found:
                while not found.content.at_eof():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(found.content.readline(), 0.01)

    same_as_billed(cb, simulator)


async def test_a_cancelled_task_is_a_cancelled_call(simulator):
    """aiohttp closes the answer whose reading was cancelled."""
    import aiohttp

    async def ask() -> None:
        async with aiohttp.ClientSession() as session, session.post(
            f"{at(simulator, 'slow=5')}/chat/completions", json=CHAT, headers={"authorization": "Bearer sim-test"}
        ) as found:  # fmt: skip
            await found.json()

    with meter(keep_calls=True) as cb:
        task = asyncio.create_task(ask())
        while not cb.open_streams:
            await asyncio.sleep(0.001)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    assert task.cancelled()
    assert [call.outcome for call in cb.calls] == ["cancelled"]


@pytest.mark.parametrize("options", ["compress=gzip", "compress=gzip,chunk=3", "compress=deflate"])
@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["whole", "streamed"])
async def test_a_session_that_unpacks_nothing_reads_the_bill(simulator, options, body):
    """Its reader gets the compressed bytes."""
    import aiohttp

    async with aiohttp.ClientSession(auto_decompress=False) as session:
        headers = {"authorization": "Bearer sim-test"}
        with meter() as cb:
            async with session.post(f"{at(simulator, options)}/chat/completions", json=body, headers=headers) as found:
                packed = await found.read()

    assert not packed.startswith((b"{", b"data"))
    same_as_billed(cb, simulator)


async def _form_of_aiohttp(url: str, fields: dict[str, str], file: bytes) -> None:
    import aiohttp

    form = aiohttp.FormData()
    form.add_field("file", file, filename="rose.mp3")
    for name, value in fields.items():
        form.add_field(name, value)
    async with aiohttp.ClientSession(headers={"authorization": "Bearer sim-test"}) as session:
        async with session.post(url, data=form) as found:
            await found.read()


async def _form_of_requests(url: str, fields: dict[str, str], file: bytes) -> None:
    import requests

    files = {"file": ("rose.mp3", file)}
    requests.post(url, data=fields, files=files, headers={"authorization": "Bearer sim-test"}, timeout=30).json()


@pytest.mark.parametrize("post", [_form_of_aiohttp, _form_of_requests], ids=["aiohttp", "requests"])
async def test_a_forms_model_is_read_and_its_file_is_not(simulator, post):
    """A transcription's model stands in its form only."""
    with meter(keep_calls=True) as cb:
        await post(f"{simulator.base_url}/audio/transcriptions", {"model": "gpt-4o-transcribe"}, b"ID3" + bytes(5000))

    (call,) = cb.calls
    assert (call.request_model, call.status, cb.unmeasured_calls) == ("gpt-4o-transcribe", 200, 0)
    assert cb.total_tokens == simulator.bill("sim-test").total_tokens > 0


async def test_a_session_that_raises_for_a_status_has_seen_it(simulator):
    """No unmeasured call, but a failed one."""
    import aiohttp

    with meter(keep_calls=True) as cb:
        with pytest.raises(aiohttp.ClientResponseError):
            async with aiohttp.ClientSession(raise_for_status=True) as session:
                await session.post(f"{at(simulator, 'status=429')}/chat/completions", json=CHAT)

    assert (cb.failed_requests, cb.unmeasured_calls, cb.calls[0].status) == (1, 0, 429)


async def test_a_tap_passes_as_a_reader(simulator):
    """Whoever asks for its class is told the library's own."""
    import aiohttp

    async with aiohttp.ClientSession() as session:
        with meter():
            url = f"{simulator.base_url}/chat/completions"
            async with session.post(url, json=CHAT, headers={"authorization": "Bearer sim-test"}) as found:
                assert isinstance(found.content, aiohttp.StreamReader)
                assert found.content.total_bytes >= 0
                assert repr(found.content).startswith("<StreamReader")
                await found.read()
