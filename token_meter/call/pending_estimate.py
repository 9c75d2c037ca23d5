"""A call whose provider did not say all that it used: estimated when somebody looks, once. It knows no meter.

Nothing is counted when the call ends: that may be on an event loop, and mostly nobody looks at all. Until then the
request and the answer wait here, together within a bound.
"""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from token_meter._fork import in_child
from token_meter.estimate.count import is_quick
from token_meter.estimate.rules import CountingRules
from token_meter.types import Answer, Call, Certainty, Usage

SMALL = 64 * 1024
"""Bytes of request and answer that take about 5 ms: up to this much may be estimated on an event loop."""

HELD_LIMIT = 32 * 1024 * 1024
"""Bytes of all requests and answers that wait. Beyond it, small ones are estimated at once and large ones are cut."""

_CUT = 16 * 1024
"""Of a large call that cannot wait, so much of each side is counted: what it used at least."""


_TEXT = re.compile(
    r'"(?:content|text|input|prompt|instructions|system)"\s*:\s*"((?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+)'
)


class _Source(NamedTuple):
    rules: Callable[[], CountingRules]
    request: bytes
    answer: Callable[[], Answer]
    is_stream: bool
    is_ended: bool
    is_untruncated: bool


def _texts_in(request: bytes) -> str:
    """The texts of a request that is cut: what its JSON is made of, and images in it, are no tokens of a prompt."""
    found = (json.loads(f'"{text}"') for text in _TEXT.findall(request.decode("utf-8", "replace")))
    return "".join(text for text in found if not text.startswith("data:"))


class _MemoryBudget:
    """How many bytes wait. Guesses also go by the garbage collector's hand, amid any lock: none is waited for here."""

    def __init__(self) -> None:
        self._changes: deque[int] = deque()
        self._lock = threading.Lock()
        self._held = 0

    def add(self, size: int) -> None:
        self._changes.append(size)
        if self._lock.acquire(blocking=False):  # else who holds it, or who comes next, adds it up
            try:
                while self._changes:
                    self._held += self._changes.popleft()
            finally:
                self._lock.release()

    @property
    def held(self) -> int:
        self.add(0)
        return self._held

    def renew(self) -> None:
        self._lock = threading.Lock()


_memory = _MemoryBudget()
in_child(_memory.renew)


class PendingEstimate:
    """A finished call without usage, or without that of its output, and what it can be told from.

    Args:
        call: the call as far as it is known.
        rules: loads the rules of its api.
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
        rules: Callable[[], CountingRules],
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
        self._source = [
            _Source(rules, request, answer, is_stream, is_ended, is_untruncated)
        ]  # popped by whoever settles: once
        _memory.add(size)
        if _memory.held > HELD_LIMIT:
            self._make_room()

    def __del__(self) -> None:
        if self._source:
            _memory.add(-self.size)

    @property
    def is_slow(self) -> bool:
        """Whether `resolve` would hold up an event loop: much is to be counted, or a vocabulary to be loaded."""
        return bool(self._source) and not is_quick(self.size, self.call.model)

    def resolve(self) -> Call:
        """The call with what it probably used. Two threads at once come to the same."""
        for source in self._source.copy():
            answer = source.answer()
            is_blank = not (any(answer.texts) or answer.tool_calls or answer.finish)
            said = self.call.usage
            if said is not None and (said.prompt_tokens is None or said.completion_tokens is None):
                self._settle(*self._filled(said, source, answer))
            elif said is not None:
                self._settle(self._grown(said, source, answer), "lower_bound")
            elif is_blank and self._says_nothing(source):
                self._settle(None, "unmeasured")
            else:
                from token_meter.estimate import estimate_usage

                found = estimate_usage(source.rules(), source.request or None, answer, self.call.response_model)
                is_whole = source.is_untruncated and (source.is_ended or not is_blank)
                is_part = found.certainty == "estimated" and not is_whole and found.is_floor
                self._settle(found.usage, "lower_bound" if is_part else found.certainty)
        return self.call

    def _filled(self, said: Usage, source: _Source, answer: Answer) -> tuple[Usage, Certainty]:
        """What was said, with an estimate in the place of a 0 that cannot be true."""
        from token_meter.estimate import estimate_usage

        found = estimate_usage(source.rules(), source.request or None, answer, self.call.response_model)
        guess = found.usage or Usage()
        prompt, completion = said.prompt_tokens, said.completion_tokens
        if completion is None:
            is_shown = any(answer.texts) or bool(answer.tool_calls)
            completion = guess.completion_tokens if is_shown else 0  # nothing was shown: it is true after all
        certainty: Certainty = "exact" if prompt is not None and completion == 0 else found.certainty
        if prompt is None:
            prompt = guess.prompt_tokens or None
        if prompt is None or completion is None:
            return said._replace(prompt_tokens=prompt, completion_tokens=completion), "lower_bound"
        usage = said._replace(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)
        return usage, certainty

    def _grown(self, said: Usage, source: _Source, answer: Answer) -> Usage:
        """What a stream that was left had said of its input, with as much output as it had shown."""
        from token_meter.estimate import estimate_usage

        if answer.finish is not None:  # it had come to the report of its output
            return said
        found = estimate_usage(source.rules(), None, answer, self.call.response_model).usage
        shown = max(said.completion_tokens or 0, (found and found.completion_tokens) or 0)
        total = None if said.prompt_tokens is None else said.prompt_tokens + shown
        return said._replace(completion_tokens=shown, total_tokens=total)

    def _says_nothing(self, source: _Source) -> bool:
        """Whether an answer that shows nothing was none: an error page, an object of another kind."""
        if not source.is_stream:
            return not (not source.rules().has_output and source.is_ended and self.call.error is None)
        return self.call.outcome == "error" or (not source.is_ended and self.call.outcome == "complete")

    def _settle(self, usage: Usage | None, certainty: Certainty) -> None:
        # The call first: whoever finds no source takes it as it is.
        self.call = self.call._replace(usage=usage, certainty=certainty)
        try:
            self._source.pop()
        except IndexError:
            return
        _memory.add(-self.size)

    def _make_room(self) -> None:
        if self.size <= SMALL:
            self.resolve()
            return
        (source,) = self._source
        from token_meter.estimate import count_text

        answer = source.answer()
        shown = "".join((*answer.texts, *(text for call in answer.tool_calls for text in call)))[:_CUT]
        model = self.call.model
        if self.call.usage is not None:
            self._settle(self._grown(self.call.usage, source, Answer((shown,), finish=answer.finish)), "lower_bound")
            return
        asked, made = count_text(_texts_in(source.request[:_CUT]), model), count_text(shown, model)
        if not made.tokens and (self._says_nothing(source) or not asked.tokens):
            self._settle(None, "unmeasured")
            return
        usage = Usage(asked.tokens, made.tokens, asked.tokens + made.tokens)
        self._settle(usage, "estimated" if made.approximate else "lower_bound")
