"""Listens to a body that somebody else reads: same chunks, same order, no read ahead. It knows no tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

from token_meter.transports.httpx_decoding import BoundedDecoder
from token_meter.transports.httpx_filter import FilteredStreams
from token_meter.transports.httpx_stand_ins import stand_in
from token_meter.transports.ports import ObservedAttempt, Runtime, takes_nothing


class Taps:
    """Makes the taps of one HTTP library: its answers only accept subclasses of its own stream classes."""

    def __init__(self, module: ModuleType, runtime: Runtime) -> None:
        self._module = module
        self._runtime = runtime
        self._sync_tap = type("SyncTap", (_SyncTap, module.SyncByteStream), {})
        self._filtered = FilteredStreams(module)
        self._async_tap = type("AsyncTap", (_AsyncTap, module.AsyncByteStream), {})

    def arrive(self, attempt: ObservedAttempt, response: Any, client: Any, *, is_async: bool) -> None:
        """Read a body that is there already; put a tap on one that is still to come."""
        try:
            if attempt.is_shown:
                attempt.stand_in = stand_in(client, response, is_local=attempt.is_local)
            headers = response.headers
            if response.is_closed:
                attempt.respond(response.status_code, "", streamed=False, headers=headers)
                # Closed without having been read (by an event hook, say): nobody will ever see that body.
                attempt.body(getattr(response, "_content", b""))
                return
            attempt.respond(response.status_code, headers.get("content-type", ""), streamed=True, headers=headers)
            decode = self._decoder(headers) if attempt.wants_body else None
            tap = self._async_tap if is_async else self._sync_tap
            response.stream = tap(response.stream, attempt, decode)
            if attempt.chunk_filter is not None:
                decoder = None
                if decode is not None:
                    # Nothing can be taken out of a compressed body: this one, asked to be plain, is made plain here.
                    decoder = self._twin_decoder(headers["content-encoding"])
                    del headers["content-encoding"]
                response.stream = self._filtered.wrap(response.stream, attempt.chunk_filter, decoder, is_async=is_async)
        except Exception:
            self._runtime.internal_error("arrive")
            attempt.abandoned()

    def _decoder(self, headers: Any) -> Any:
        """A decoder of our own for a compressed body, by the library's own rules; `None` for a plain one."""
        encoding = headers.get("content-encoding")
        if not encoding or encoding == "identity":
            return None
        return BoundedDecoder(self._twin_decoder(encoding)).pieces

    def _twin_decoder(self, encoding: str) -> Any:
        # A fresh answer with the same encoding: the real one's decoder belongs to its reader.
        return self._module.Response(200, headers={"content-encoding": encoding})._get_content_decoder()


class _Tap:
    """What both colours share. Unknown attributes (`elapsed`, …) are the inner stream's.

    An answer that is dropped unread is closed by nobody, ever: only `__del__` hears of it.
    """

    def __init__(self, inner: Any, attempt: ObservedAttempt, decode: Any) -> None:
        self._inner = inner
        self._watch = attempt
        self._decode = decode

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __del__(self) -> None:
        self._watch.abandoned()

    def _feed_decoded(self, chunk: bytes) -> None:
        try:
            for piece in self._decode(chunk):
                self._watch.feed(piece)
        except Exception:
            # A body that we cannot decode the client cannot decode either: it gets its own error.
            self._decode = _nothing


def _nothing(_: bytes) -> tuple[bytes, ...]:
    return ()


class _SyncTap(_Tap):
    def __iter__(self) -> Iterator[bytes]:
        attempt = self._watch
        is_plain = self._decode is None
        feed = attempt.feed if is_plain else self._feed_decoded
        takes: Callable[[bytes], bool] = takes_nothing
        try:
            if attempt.wants_body:
                for chunk in self._inner:
                    if not takes(chunk):
                        feed(chunk)
                        if is_plain:
                            takes = attempt.takes
                        if attempt.has_pending_events:
                            attempt.dispatch()
                    yield chunk
            else:
                yield from self._inner
        except GeneratorExit:
            raise
        except BaseException as error:
            attempt.failed(error, was_sent=True)
            if attempt.has_pending_events:
                attempt.dispatch()
            raise
        attempt.exhausted()
        if attempt.has_pending_events:
            attempt.dispatch()

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            self._watch.closed()
            if self._watch.has_pending_events:
                self._watch.dispatch()


class _AsyncTap(_Tap):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        attempt = self._watch
        is_plain = self._decode is None
        feed = attempt.feed if is_plain else self._feed_decoded
        takes: Callable[[bytes], bool] = takes_nothing
        stream = self._inner.__aiter__()
        try:
            async for chunk in stream:
                if attempt.wants_body and not takes(chunk):
                    feed(chunk)
                    if is_plain:
                        takes = attempt.takes
                    if attempt.has_pending_events:
                        await attempt.adispatch()
                yield chunk
        except GeneratorExit:
            raise
        except BaseException as error:
            attempt.failed(error, was_sent=True)
            if attempt.has_pending_events:
                await attempt.adispatch()
            raise
        finally:
            # As the library's own wrapper does: the inner generator is closed here and not by the collector.
            if hasattr(stream, "aclose"):
                await stream.aclose()
        attempt.exhausted()
        if attempt.has_pending_events:
            await attempt.adispatch()

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            self._watch.closed()
            if self._watch.has_pending_events:
                await self._watch.adispatch()
