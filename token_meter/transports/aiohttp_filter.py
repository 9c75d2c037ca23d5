"""Takes out of a body of aiohttp what only a replaced request asked for. It knows no tokens."""

from __future__ import annotations

import asyncio
import sys
from functools import lru_cache
from typing import Any

from token_meter.transports.aiohttp_body import ContentTap
from token_meter.transports.httpx_filter import ChunkFilter

_LIMIT = 64 * 1024


def can_filter() -> bool:
    """Whether this aiohttp's reader waits for more by the one method that is replaced here (3.8 to 3.14, 2026-11)."""
    return hasattr(sys.modules["aiohttp.streams"].StreamReader, "_wait")


def filtered(tap: ContentTap, chunk_filter: ChunkFilter) -> Any:
    """A reader of the library's own class, so that each way to read is its own; it takes what *tap* reads."""
    return _reader_class()(tap, chunk_filter)


@lru_cache(maxsize=1)
def _reader_class() -> type:
    class FilteredReader(sys.modules["aiohttp.streams"].StreamReader):  # type: ignore[misc]
        def __init__(self, tap: ContentTap, chunk_filter: ChunkFilter) -> None:
            loop = asyncio.get_running_loop()
            # A protocol that has no transport: what is read is paused and resumed further in.
            super().__init__(sys.modules["aiohttp.base_protocol"].BaseProtocol(loop), _LIMIT, loop=loop)
            self._tap = tap
            self._chunk_filter = chunk_filter

        async def _wait(self, func_name: str) -> None:
            if data := await self._tap.readany():
                self.feed_data(self._chunk_filter.filter_chunk(data))
            else:
                self.feed_data(self._chunk_filter.rest())
                self.feed_eof()

        def set_exception(self, *args: Any, **kwargs: Any) -> None:
            """The answer was closed."""
            super().set_exception(*args, **kwargs)
            self._tap.set_exception(*args, **kwargs)

    return FilteredReader
