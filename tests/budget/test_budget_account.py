"""Accounts by themselves: one step for all limits, exact sums, nothing left behind."""

from __future__ import annotations

import gc
import os
import threading
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_meter import ConfigError
from token_meter._money import parse_share
from token_meter.budget.account import Account, Admission, Ask, admit
from token_meter.budget.amounts import Amounts, parse_limits
from token_meter.prices import Rates
from token_meter.wire import NumberReader


class Book:
    """Stands for a meter: what finished calls used."""

    def __init__(self, **limits: object) -> None:
        self.cost = Decimal(0)
        self.tokens = 0
        self.account = Account(parse_limits(**limits), lambda _: Amounts(self.cost, self.tokens))


def _ask(*books: Book, tokens: int | None = None, cost: Decimal | None = None, enforced: bool = True) -> Admission:
    return admit([Ask(book.account, Amounts(cost, tokens, 1), enforced) for book in books])


def _finish(admission: Admission, *books: Book, tokens: int) -> None:
    for book in books:
        book.tokens += tokens
    admission.reservation.release(was_sent=True)


def test_a_call_that_fits_exactly_is_let_pass():
    """The limit itself may be reached."""
    book = Book(max_tokens=100)

    assert _ask(book, tokens=100).reservation is not None


def test_a_call_that_would_break_the_limit_is_refused_with_all_numbers():
    """Limit, spent, reserved and wanted are told."""
    book = Book(max_tokens=100)
    book.tokens = 30
    _ask(book, tokens=50)
    refused = _ask(book, tokens=21)

    assert refused.reservation is None
    assert refused.exceeded[0][1:6] == ("tokens", 100, 30, 50, 21)


def test_a_call_of_unknown_size_passes_until_the_limit_is_reached():
    """A call whose size cannot be estimated is let pass while anything is left."""
    book = Book(max_tokens=100)
    book.tokens = 99
    assert _ask(book, tokens=None).reservation is not None

    book.tokens = 100
    assert _ask(book, tokens=None).reservation is None


def test_one_call_of_unknown_size_is_under_way_at_a_time():
    """Together they could overshoot by any amount; calls of known size are not affected."""
    book = Book(max_tokens=100)
    first = _ask(book, tokens=None)
    refused = _ask(book, tokens=None)

    assert refused.reservation is None
    assert "as may another one that is in flight" in refused.exceeded[0].describe("this meter")
    assert _ask(book, tokens=10).reservation is not None
    first.reservation.release(was_sent=False)
    assert _ask(book, tokens=None).reservation is not None


def test_an_unknown_size_matters_where_it_is_limited_and_enforced():
    """Not to a limit on calls, and not to a meter that only warns, which hears of it when a limit is reached."""
    calls, warns = Book(max_calls=5), Book(max_tokens=100)
    for _ in range(2):
        assert _ask(calls).reservation is not None
        assert _ask(warns, enforced=False).exceeded == ()

    outer = Book(max_tokens=100)
    assert _ask(outer, warns).exceeded[0].account is warns.account
    assert outer.account.reserved == (0, 0, 0)


def test_a_free_call_passes_a_budget_that_was_overshot():
    """It takes nothing of the limit on cost and tokens; as a call it counts."""
    book = Book(max_tokens=100, max_cost="1", max_calls=1)
    book.tokens, book.cost = 101, Decimal(2)
    free = _ask(book, tokens=0, cost=Decimal(0))
    assert free.reservation is not None

    assert _ask(book, tokens=0, cost=Decimal(0)).exceeded[0].field == "calls"


def test_the_outermost_exceeded_limit_is_named():
    """Accounts are asked from the outside in."""
    outer, inner = Book(max_calls=0), Book(max_calls=0)
    refused = _ask(outer, inner)

    assert [excess.account for excess in refused.exceeded] == [outer.account]


def test_a_refusal_reserves_nothing_anywhere():
    """All accounts or none: the outer one holds nothing of a call that the inner one refused."""
    outer, inner = Book(max_tokens=100), Book(max_tokens=10)
    _ask(outer, inner, tokens=50)

    assert outer.account.reserved.tokens == inner.account.reserved.tokens == 0


def test_an_account_that_is_not_enforced_reserves_all_the_same():
    """Suspended limits still see what passes."""
    book = Book(max_tokens=10)
    admission = _ask(book, tokens=50, enforced=False)

    assert admission.reservation is not None
    assert admission.exceeded[0].field == "tokens"
    assert book.account.reserved.tokens == 50
    assert book.account.remaining.tokens == 0


def test_releasing_twice_gives_back_once():
    """Several ways out may meet."""
    book = Book(max_tokens=100)
    first, _ = _ask(book, tokens=40), _ask(book, tokens=40)
    first.reservation.release(was_sent=True)
    first.reservation.release(was_sent=True)

    assert book.account.reserved == (Decimal(0), 40, 1)


def test_a_call_that_never_left_is_not_made():
    """`max_calls` counts what was sent."""
    book = Book(max_calls=1)
    _ask(book).reservation.release(was_sent=False)

    assert book.account.remaining.calls == 1


def test_costs_come_back_to_nothing_in_a_coarse_decimal_context():
    """The caller's precision does not leave crumbs in the account."""
    book = Book(max_cost="100")
    with localcontext() as context:
        context.prec = 3
        held = [_ask(book, cost=Decimal("1.234567")), _ask(book, cost=Decimal("0.0000089"))]
        for admission in held:
            admission.reservation.release(was_sent=True)

        assert book.account.reserved.cost == 0
        assert book.account.remaining.cost == 100


@given(st.data())
def test_whatever_the_interleaving_the_limits_hold(data):
    """Calls that use at most what they reserved never overshoot; at the end nothing is reserved."""
    limits = data.draw(st.tuples(st.integers(0, 300), st.integers(0, 300)))
    outer, inner = (Book(max_tokens=limit) for limit in limits)
    open_calls: list[tuple[Admission, int, tuple[Book, ...]]] = []
    for step in data.draw(st.lists(st.tuples(st.booleans(), st.integers(0, 60), st.integers(0, 60)), max_size=40)):
        starts, wanted, index = step
        if starts or not open_calls:
            books = (outer, inner) if index % 2 else (outer,)
            admission = _ask(*books, tokens=wanted)
            if admission.reservation is not None:
                open_calls.append((admission, wanted, books))
        else:
            admission, wanted, books = open_calls.pop(index % len(open_calls))
            _finish(admission, *books, tokens=index % (wanted + 1))
        assert outer.tokens <= limits[0]
        assert inner.tokens <= limits[1]
        assert outer.account.reserved.tokens == sum(wanted for _, wanted, _ in open_calls)
    for admission, wanted, books in open_calls:
        _finish(admission, *books, tokens=wanted)

    assert outer.tokens <= limits[0]
    assert inner.tokens <= limits[1]
    assert outer.account.reserved.tokens == inner.account.reserved.tokens == 0


def test_f65_fifty_threads_get_a_budget_of_one_call_once():
    """Check and reservation are one step (F65)."""
    book = Book(max_tokens=58)
    barrier = threading.Barrier(50)
    passed: list[bool] = []

    def call() -> None:
        barrier.wait()
        passed.append(_ask(book, tokens=58).reservation is not None)

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(passed) == [False] * 49 + [True]


def test_a_release_inside_of_an_admission_is_not_lost():
    """A collector's finalizer may give back while the sums are being read."""

    class Cycle:
        def __del__(self) -> None:
            held.reservation.release(was_sent=True)

    book = Book(max_tokens=100)
    held = _ask(book, tokens=60)
    trap: list[Cycle | None] = [Cycle()]

    def spent(_: Amounts) -> Amounts:
        trap[0] = None
        gc.collect()
        return Amounts(Decimal(0), 0)

    book.account._spent = spent
    _ask(book, tokens=10)

    assert book.account.reserved.tokens == 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_starts_with_nothing_reserved():
    """What the parent has in flight is the parent's; releasing it in the child changes nothing."""
    book = Book(max_tokens=100)
    held = _ask(book, tokens=60)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            empty = book.account.reserved.tokens == 0
            own = _ask(book, tokens=100).reservation is not None
            held.reservation.release(was_sent=True)
            code = 0 if empty and own and book.account.reserved.tokens == 100 else 2
        finally:
            os._exit(code)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert book.account.reserved.tokens == 60


@pytest.mark.parametrize(
    "limits",
    [{"max_cost": "much"}, {"max_cost": -1}, {"max_tokens": 1.5}, {"max_calls": True}, {"max_calls": "-1"}],
    ids=str,
)
def test_a_limit_that_is_no_amount_is_an_error(limits):
    """At the front door, with the value."""
    with pytest.raises(ConfigError):
        parse_limits(**limits)


DIGITS = ["1_000", "1,000", "１０００", "١٠٠", "1 000", "0x10", "+5"]


@pytest.mark.parametrize("name", ["max_cost", "max_tokens", "max_calls"])
@pytest.mark.parametrize("text", DIGITS)
def test_f129_a_limit_takes_the_digits_that_a_count_takes(name, text):
    """What the wire refuses as a count is no limit either: one rule for all."""
    with pytest.raises(ConfigError):
        parse_limits(**{name: text})
    numbers = NumberReader()
    assert (numbers.count(text), numbers.dollars(text)) == (None, None)
    with pytest.raises(ConfigError):
        Rates("openai", "m", input=text)


def test_f129_plain_digits_are_a_limit():
    """Also in a text, as the command line gives them."""
    assert parse_limits("$0.05", " 1000 ", "7") == Amounts(Decimal("0.05"), 1000, 7)
    assert parse_limits(max_cost="1e-3") == Amounts(Decimal("0.001"), None, None)


@pytest.mark.parametrize(
    "limits",
    [
        {"max_cost": Decimal("1e9999999999")},
        {"max_cost": Decimal("1e-9999999999")},
        {"max_cost": 10**5_000},
        {"max_tokens": "9" * 5_000},  # Python reads and writes no number of over 4,300 digits
        {"max_calls": 10**5_000},
    ],
    ids=["huge", "tiny", "digits", "text", "count"],
)
def test_a_limit_of_more_digits_than_anybody_means_is_an_error(limits):
    """With a message of ordinary length."""
    (name,) = limits
    with pytest.raises(ConfigError, match=f"{name} must be an? .* such as") as caught:
        parse_limits(**limits)

    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan"), True, "0.8"], ids=str)
def test_a_share_is_a_number_up_to_one(share):
    """`warn_at` is no percentage."""
    with pytest.raises(ConfigError):
        parse_share(share)
