"""A call whose provider did not say what it used: estimated when somebody looks, once. It knows no meter.

Nothing is counted when the call ends: that may be on an event loop, and mostly nobody looks at all. Until then the
request and the answer wait here, together within a bound.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from token_meter._fork import in_child
from token_meter.types import Answer, Call, Certainty, Usage

SMALL = 64 * 1024
"""Bytes of request and answer that take about 5 ms: up to this much may be estimated on an event loop."""

HELD_LIMIT = 32 * 1024 * 1024
"""Bytes of all requests and answers that wait. Beyond it, small ones are estimated at once and large ones are cut."""

_CUT = 16 * 1024
"""Of a large call that cannot wait, so much of each side is counted: what it used at least."""


class _Source(NamedTuple):
    request: bytes
    answer: Callable[[], Answer]
    is_stream: bool
    is_ended: bool
    is_untruncated: bool


class _MemoryBudget:
    """How many bytes wait. The lock is reentrant: estimates also go by the garbage collector's hand."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.held = 0

    def add(self, size: int) -> None:
        with self.lock:
            self.held += size


_memory = _MemoryBudget()


@in_child
def _after_fork() -> None:
    _memory.lock = threading.RLock()


class PendingEstimate:
    """A finished call without usage, and what its usage can be told from.

    Args:
        call: the call as far as it is known.
        request: the body that was sent.
        answer: gives what the answer showed.
        size: bytes that *request* and *answer* keep in memory.
        is_stream: the answer came in pieces, of which the last may be missing.
        is_ended: the answer reached its own end.
        is_untruncated: nothing of the answer had to be dropped for its size.
    """

    __slots__ = ("_source", "call", "size")

    def __init__(
        self,
        call: Call,
        request: bytes,
        answer: Callable[[], Answer],
        *,
        size: int,
        is_stream: bool,
        is_ended: bool,
        is_untruncated: bool,
    ) -> None:
        self.call = call
        self.size = size
        self._source: _Source | None = _Source(request, answer, is_stream, is_ended, is_untruncated)
        _memory.add(size)
        if _memory.held > HELD_LIMIT:
            self._make_room()

    def __del__(self) -> None:
        if self._source is not None:
            self._source = None
            _memory.add(-self.size)

    @property
    def is_large(self) -> bool:
        """Whether `resolve` would take its time."""
        return self._source is not None and self.size > SMALL

    def resolve(self) -> Call:
        """The call with what it probably used. Two threads at once come to the same."""
        source = self._source
        if source is not None:
            answer = source.answer()
            is_blank = not (any(answer.texts) or answer.tool_calls or answer.finish)
            if is_blank and self._says_nothing(source):
                self._settle(None, "unmeasured")
            else:
                from token_meter.estimate import estimate_usage

                found = estimate_usage(self.call.api, source.request or None, answer, self.call.response_model)
                is_whole = source.is_untruncated and (source.is_ended or not is_blank)
                certainty: Certainty = (
                    "lower_bound" if found.certainty == "estimated" and not is_whole else found.certainty
                )
                self._settle(found.usage, certainty)
        return self.call

    def _says_nothing(self, source: _Source) -> bool:
        """Whether an answer that shows nothing was none: an error page, an object of another kind."""
        if not source.is_stream:
            return not (self.call.api == "embeddings" and source.is_ended and self.call.error is None)
        return not source.is_ended and self.call.outcome in ("complete", "error")

    def _settle(self, usage: Usage | None, certainty: Certainty) -> None:
        source, self._source = self._source, None
        if source is not None:
            self.call = self.call._replace(usage=usage, certainty=certainty)
            _memory.add(-self.size)

    def _make_room(self) -> None:
        source = self._source
        if source is None or self.size <= SMALL:
            self.resolve()
            return
        from token_meter.estimate import count_text

        answer = source.answer()
        shown = "".join((*answer.texts, *(text for call in answer.tool_calls for text in call)))[:_CUT]
        model = self.call.model
        prompt = count_text(source.request[:_CUT].decode("utf-8", "replace"), model).tokens
        completion = count_text(shown, model).tokens
        self._settle(Usage(prompt, completion, prompt + completion), "lower_bound")
