"""DSPy's own HTTP: answers of its shape are read as those of any library, whole, streamed, left, in both colours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.blind import modules
from token_meter import BudgetExceededError, meter

USAGE = {"prompt_tokens": 107, "completion_tokens": 43, "total_tokens": 150}
WHOLE = [json.dumps({"id": "c", "model": "gpt-4o-mini", "choices": [], "usage": USAGE}).encode()]
STREAM = [
    b'data: {"model": "gpt-4o-mini", "choices": [{"index": 0, "delta": {"content": "Pink Peace"}}]}\n\n',
    b'data: {"model": "gpt-4o-mini", "choices": [], "usage": ' + json.dumps(USAGE).encode() + b"}\n\n",
    b"data: [DONE]\n\n",
]
ASK = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Which rose?"}], "max_tokens": 9})


class Answer:
    """As DSPy's `TransportResponse`, of either colour."""

    def __init__(self, chunks: Any, headers: list[tuple[str, str]], status: int, released: list[bool]) -> None:
        self.status = status
        self.headers = headers
        self._chunks = chunks
        self._release = released.append


class Library:
    """Its two modules, which answer what the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.chunks: list[Any] = WHOLE
        self.headers = [("Content-Type", "application/json")]
        self.status = 200
        self.released: list[bool] = []
        self.sent = 0
        library = self

        class StdlibTransport:
            def stream(self, request: Any) -> Answer:
                library.sent += 1
                return Answer(library.pieces(), library.headers, library.status, library.released)

        class StdlibAsyncTransport:
            async def _do_stream(self, request: Any) -> Answer:
                library.sent += 1
                found = Answer(library.apieces(), library.headers, library.status, [])

                async def release(consumed: bool) -> None:
                    library.released.append(consumed)

                found._release = release  # type: ignore[assignment]
                return found

        self.sync, self.asyn = StdlibTransport, StdlibAsyncTransport
        modules.put_in(monkeypatch, f"{modules.LM15}._sync", StdlibTransport=StdlibTransport)
        modules.put_in(monkeypatch, f"{modules.LM15}._async", StdlibAsyncTransport=StdlibAsyncTransport)

    def pieces(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def apieces(self) -> AsyncIterator[bytes]:
        for chunk in self.pieces():
            yield chunk

    def ask(self, colour: str, leave: int = 0) -> bytes:
        """Send a request and read so many pieces of its answer, or all, and give the connection back."""
        request = SimpleNamespace(method="POST", url=modules.CHAT, headers=[], body=ASK.encode())

        async def ask() -> bytes:
            answer = await self.asyn()._do_stream(request)
            got = []
            try:
                async for chunk in answer._chunks:
                    got.append(chunk)
                    if len(got) == leave:
                        break
            finally:
                await answer._release(not leave)  # type: ignore[func-returns-value]
            return b"".join(got)

        if colour == "async":
            return asyncio.run(ask())
        answer = self.sync().stream(request)
        got = []
        try:
            for chunk in answer._chunks:
                got.append(chunk)
                if len(got) == leave:
                    break
        finally:
            answer._release(not leave)
        return b"".join(got)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    return Library(monkeypatch)


COLOURS = pytest.mark.parametrize("colour", ["sync", "async"])


@COLOURS
@pytest.mark.parametrize("chunks", [WHOLE, STREAM], ids=["whole", "streamed"])
def test_f132_a_call_over_dspys_own_sockets_is_read(library: Library, colour: str, chunks: list[bytes]) -> None:
    """And the caller gets each byte as it came."""
    library.chunks = chunks
    if chunks is STREAM:
        library.headers = [("Content-Type", "text/event-stream")]

    with meter(keep_calls=True) as cb:
        got = library.ask(colour)

    assert (got, library.released) == (b"".join(chunks), [True])
    (call,) = cb.calls
    assert (call.tokens[:3], call.certainty, call.outcome, call.streamed) == (
        (107, 43, 150), "exact", "complete", chunks is STREAM,
    )  # fmt: skip
    assert (cb.blind_spots, cb.is_complete) == ((), True)


@COLOURS
def test_a_stream_over_dspys_own_sockets_that_is_left_is_estimated(library: Library, colour: str) -> None:
    library.chunks, library.headers = STREAM, [("Content-Type", "text/event-stream")]

    with meter(keep_calls=True) as cb:
        library.ask(colour, leave=1)

    (call,) = cb.calls
    assert (call.outcome, call.tokens.completion_tokens is None) == ("closed", False)
    assert call.certainty in ("estimated", "lower_bound")


@COLOURS
def test_an_answer_over_dspys_own_sockets_that_breaks_is_the_callers_own_error(library: Library, colour: str) -> None:
    library.chunks, library.headers = [STREAM[0], ConnectionResetError("gone")], [("Content-Type", "text/event-stream")]

    with meter(keep_calls=True) as cb, pytest.raises(ConnectionResetError):
        library.ask(colour)

    assert [(call.outcome, call.error) for call in cb.calls] == [("error", "ConnectionResetError")]


@COLOURS
def test_a_status_that_is_no_success_is_a_failed_call(library: Library, colour: str) -> None:
    library.status = 429

    with meter(keep_calls=True) as cb:
        library.ask(colour)

    assert (cb.failed_requests, cb.unmeasured_calls) == (1, 0)


@COLOURS
@pytest.mark.parametrize("limits", [{"max_calls": 1}, {"max_cost": "0.000005"}], ids=str)
def test_a_limit_refuses_a_call_over_dspys_own_sockets(library: Library, colour: str, limits: Any) -> None:
    """By their number, and by the request's own cap: 9 tokens of output are more than $0.000005."""
    with meter(**limits, warn_at=None), pytest.raises(BudgetExceededError):
        for _ in range(2):
            library.ask(colour)

    assert library.sent == limits.get("max_calls", 0)


def test_f131_a_compressed_answer_is_not_read_and_says_so(library: Library) -> None:
    """DSPy asks for none."""
    library.headers = [("Content-Encoding", "gzip")]

    with pytest.warns(UserWarning, match="DSPy"), meter() as cb:
        library.ask("sync")

    assert (cb.unmeasured_calls, cb.is_complete) == (1, False)
