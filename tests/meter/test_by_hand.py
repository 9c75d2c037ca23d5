"""A meter that is opened and closed by hand, and the tree of meters inside of one."""

from __future__ import annotations

import asyncio
import pickle
import traceback
from typing import Any

import pytest

from token_meter import Budget, ConfigError, Meter, meter


def _used(cb: Meter, tokens: int, model: str = "gpt-4o-mini") -> None:
    cb.record(model, provider="openai", prompt_tokens=tokens, completion_tokens=0)


def test_a_meter_is_started_and_stopped_without_a_block(simulator):
    with simulator.client() as client:
        cb = meter("by hand").start()
        client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])
        assert cb.is_open
        cb.stop()
        client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])

    assert cb.successful_requests == 1
    assert cb.total_tokens > 0


def test_a_stopped_meter_can_be_started_again():
    cb = meter()
    for _ in range(2):
        cb.start()
        _used(cb, 5)
        cb.stop()

    assert cb.total_tokens == 10


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (("stop",), "start() opens it"),
        (("start", "start"), "call stop() first"),
        (("start", "stop", "stop"), "not open"),
    ],
)
def test_a_wrong_order_says_what_to_do(steps, told):
    cb = meter()

    with pytest.raises(ConfigError) as refused:
        for step in steps:
            getattr(cb, step)()
    if cb.is_open:
        cb.stop()

    assert told in str(refused.value)


def test_a_tree_shows_who_used_what():
    with meter("report") as whole:
        with meter("plan") as plan:
            _used(plan, 100)
        for _ in range(3):
            with meter("answer") as answer:
                with meter("tool") as tool:
                    _used(tool, 50)
                _used(answer, 25)
        _used(whole, 7)

    assert whole.tree().splitlines() == [
        "report                            332 tokens       $0.00004980",
        "├─ plan                           100 tokens       $0.00001500",
        "├─ answer × 3                     225 tokens       $0.00003375",
        "│  ├─ tool × 3                    150 tokens       $0.00002250",
        "│  └─ (outside of these)           75 tokens       $0.00001125",
        "└─ (outside of these)               7 tokens       $0.00000105",
    ]


def test_a_tree_holds_the_meters_of_gathered_tasks():
    async def step(name: str) -> None:
        with meter(name) as cb:
            await asyncio.sleep(0)
            _used(cb, 10)

    async def both() -> Meter:
        with meter("all") as cb:
            await asyncio.gather(step("left"), step("right"))
        return cb

    lines = asyncio.run(both()).tree().splitlines()

    assert [line.split()[1] for line in lines[1:]] == ["left", "right"]
    assert "20 tokens" in lines[0]


def test_a_tree_is_honest_where_a_price_is_unknown():
    with meter("all", on_unpriced="ignore") as cb, meter("odd", on_unpriced="ignore") as odd:
        _used(odd, 10, "no-such-model")

    assert [line.split()[-1] for line in cb.tree().splitlines()] == ["unknown", "unknown"]


def test_a_meter_in_itself_is_drawn_once():
    cb = meter("same")
    with cb, cb:
        _used(cb, 10)

    assert len(cb.tree().splitlines()) == 1


def test_what_a_meter_forgets_stays_in_its_sum():
    with meter("server") as server:
        for _ in range(300):
            with meter("request") as request:
                _used(request, 1)

    top, inner, rest = server.tree().splitlines()
    assert "300 tokens" in top
    assert "request × 256" in inner
    assert "44 tokens" in rest


def test_a_name_from_outside_draws_no_line_of_its_own():
    with meter("all") as cb, meter("a\n└─ forged \x1b[31m"):
        pass

    assert len(cb.tree().splitlines()) == 2
    assert "\x1b" not in cb.tree()


def _without_parentheses() -> None:
    with meter:  # type: ignore[attr-defined]
        pass


async def _async_without_parentheses() -> None:
    async with meter:  # type: ignore[attr-defined]
        pass


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (lambda cb: _without_parentheses(), "write `with meter() as cb:`"),
        (lambda cb: asyncio.run(_async_without_parentheses()), "write `async with meter() as cb:`"),
        (lambda cb: meter(max_token=5), "no argument 'max_token'; did you mean 'max_tokens'?"),
        (lambda cb: meter(max_price=5), "no argument 'max_price'; did you mean 'max_cost'?"),
        (lambda cb: meter(limit=5), "did you mean 'max_cost'?"),
        (lambda cb: meter(budget=Budget("x", max_cost=1)), "did you mean 'budgets'?"),
        (lambda cb: meter(budget="5"), "did you mean 'max_cost'?"),
        (lambda cb: meter(callbacks=[]), "did you mean 'handlers'?"),
        (lambda cb: meter(nonsense=5), "no argument 'nonsense'"),
        (lambda cb: meter("agent", 5), "5 needs one: max_cost=0.05"),  # type: ignore[call-arg]
        (lambda cb: meter(label="a"), "did you mean 'tags'?"),
        (lambda cb: cb.tokens, "did you mean 'total_tokens'?"),
        (lambda cb: cb.price, "did you mean 'cost'?"),
        (lambda cb: cb.promt_tokens, "did you mean 'prompt_tokens'?"),
        (lambda cb: cb.limit, "did you mean 'remaining'?"),
        (lambda cb: cb.close(), "did you mean 'stop'?"),
        (lambda cb: cb.reset(), "`with meter() as cb:`, begins at 0"),
        (lambda cb: cb.summary(), "print(cb)"),
        (lambda cb: cb.last_call, "keep_calls=True"),
        (lambda cb: f"{cb:>10}", "cb.total_tokens"),
        (lambda cb: pickle.dumps(cb), "cb.to_dict()"),
    ],
)
def test_a_mistake_is_told_what_to_write(mistake: Any, told: str):
    with pytest.raises((TypeError, AttributeError)) as error:
        mistake(meter())

    assert told in str(error.value)


def test_a_limit_without_its_keyword_is_no_name():
    with pytest.raises(ConfigError, match=r"not 0\.05; a limit has a keyword: max_cost=0\.05"):
        meter(0.05)  # type: ignore[arg-type]


def test_python_adds_no_guess_of_its_own_to_ours():
    """It would name private attributes."""
    with pytest.raises(AttributeError) as error:
        _ = meter().limits  # type: ignore[attr-defined]

    shown = "".join(traceback.format_exception(error.value))
    assert shown.count("id you mean") == 1
    assert "_limit" not in shown.splitlines()[-1]


def test_an_error_of_a_price_book_stays_as_it_is():
    with pytest.raises(ConfigError):
        meter(prices=object())


def test_an_error_of_a_subclass_stays_as_it_is():
    class Theirs(Meter):
        def __init__(self, **settings: Any) -> None:
            super().__init__(settings.pop("title"), **settings)
            raise TypeError("theirs")

    with pytest.raises(TypeError, match="^theirs$"):
        Theirs(title="a")
