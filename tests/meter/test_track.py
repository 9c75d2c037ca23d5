"""`track`: a loop with a bar that shows dollars."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

import token_meter
from token_meter import BudgetExceededError, ConfigError, track
from token_meter.simulator import TEST_KEY


def _use(tokens: int = 1_000_000) -> None:
    cb = token_meter.current()
    assert cb is not None
    cb.record("gpt-4o-mini", provider="openai", prompt_tokens=tokens, completion_tokens=0)


def test_a_loop_is_metered_and_shown(capsys):
    loop = track(["a", "b", "c", "d"], name="roses")
    for _ in loop:
        _use()

    shown = capsys.readouterr().err
    assert loop.meter.total_tokens == 4_000_000
    assert "roses: 100%" in shown
    assert "$0.1500, ~$0.4500 to come" in shown
    assert shown.rstrip().endswith("$0.6000]")
    assert token_meter.current() is None


def test_what_is_not_known_is_no_guess(capsys):
    for _ in track(iter("abc")):
        _use()

    assert "to come" not in capsys.readouterr().err


def test_a_loop_that_is_left_early_is_closed(capsys):
    loop = track(range(10))
    for _ in loop:
        _use()
        break

    assert token_meter.current() is None
    assert not loop.meter.is_open
    assert loop.meter.total_tokens == 1_000_000


@pytest.mark.parametrize("is_async", [True, False])
def test_an_async_loop_is_metered(capsys, is_async: bool):
    async def items() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    async def main() -> Any:
        loop = track(items() if is_async else range(3), total=3)
        async for _ in loop:
            await asyncio.sleep(0)
            _use()
        return loop.meter

    assert asyncio.run(main()).total_tokens == 3_000_000


def test_a_limit_ends_the_loop(simulator, capsys):
    with simulator.client(api_key=TEST_KEY) as client, pytest.raises(BudgetExceededError):
        for _ in track(range(10), max_calls=2, warn_at=None, on_unpriced="ignore"):
            client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])

    assert simulator.bill().calls == 2


def test_a_missing_tqdm_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)

    with pytest.raises(ConfigError, match="pip install tqdm"):
        track([])


def test_async_items_in_a_plain_loop_say_so():
    async def items() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="async for"):
        list(track(items()))


def test_what_cannot_be_gone_through_is_refused_at_once():
    """A number is most often a range that was meant; a sequence of the old kind has no `__iter__`."""

    class Old:
        def __getitem__(self, index: int) -> int:
            return [1, 2][index]

    with pytest.raises(TypeError, match=r"range\(5\), not 5"):
        track(5)  # type: ignore[arg-type]
    assert list(track(Old())) == [1, 2]  # type: ignore[arg-type]
