"""What a chunk of a stream costs with handlers: counted in function calls, which do not depend on the machine."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import token_meter
from tests.handlers.conftest import USAGE, Colour, Told, piece, sse, streamed
from token_meter import AsyncCallbackHandler, Call, CallbackHandler, meter

HOUSE = str(Path(token_meter.__file__).parent)


class Ends(CallbackHandler):
    """A handler as most are: it wants the finished call."""

    def on_llm_end(self, response: Call, **kwargs: Any) -> None:
        """Do nothing with it."""


class Starts(AsyncCallbackHandler):
    """It wants to know what is asked."""

    async def on_llm_start(self, serialized: Any, prompts: list[str], **kwargs: Any) -> None:
        """Do nothing with it."""


async def per_chunk(colour: Colour, *handlers: Any) -> Counter[str]:
    """Which functions of ours run for one more chunk of a stream, and how often."""
    short, long = [await _calls(colour, chunks, handlers) for chunks in (20, 40)]
    assert short, "nothing was seen"
    return Counter({name: count for name in long if (count := round((long[name] - short[name]) / 20))})


async def _calls(colour: Colour, chunks: int, handlers: tuple[Any, ...]) -> Counter[str]:
    """Which functions of ours run while a stream of *chunks* is read."""
    client = colour.client(streamed(*[sse(piece("rose "), done=False) for _ in range(chunks)], sse(USAGE)))
    found: Counter[str] = Counter()

    def note(frame: Any, event: str, arg: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(HOUSE):
            found[f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_qualname}"] += 1

    with meter(handlers=handlers) as cb:
        stream = await colour.ask(client, stream=True)
        before: Callable[..., Any] | None = sys.getprofile()
        sys.setprofile(note)
        try:
            await colour.read(stream)
        finally:
            sys.setprofile(before)
    assert cb.total_tokens == 15
    return found


PARSING = ("deltas.py:", "events.py:", "json_scan.py:", "safe_access.py:", "chat.py:")
"""The rooms in which an event of a stream is read."""


@pytest.mark.parametrize("handler", [Ends(), Starts(), lambda call: None], ids=["end", "start", "function"])
async def test_a_chunk_is_not_parsed_for_handlers_that_want_no_tokens(colour, handler):
    """For one more chunk no event is read, whether there is no handler, or one of start or end; a few calls pass it on."""
    bare, subscribers = await per_chunk(colour), await per_chunk(colour, handler)

    assert [name for name in bare + subscribers if name.startswith(PARSING)] == []
    assert subscribers.total() - bare.total() < 12


async def test_a_chunk_is_parsed_for_handlers_that_want_tokens(colour):
    """The measure sees parsing where there is some: with a handler of tokens, the event is read for each chunk."""
    bare, subscribers = await per_chunk(colour), await per_chunk(colour, Told())

    assert {name.partition(":")[0] + ":" for name in subscribers} >= set(PARSING)
    assert subscribers.total() - bare.total() > 24
