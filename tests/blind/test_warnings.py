"""Where and how often warnings come: at the user's line, once for each meter, and never inside of the SDK's call."""

from __future__ import annotations

import asyncio
import inspect
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.conftest import CHAT_BODY, sdk_http
from token_meter import BudgetWarning, UnpricedWarning, meter


def _answer(_: Any) -> Any:
    return sdk_http.Response(200, json=CHAT_BODY)


@pytest.fixture
def client() -> Iterator[openai.OpenAI]:
    http = sdk_http.Client(transport=sdk_http.MockTransport(_answer))
    with openai.OpenAI(api_key="k", http_client=http) as client:
        yield client


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What Python shows of warnings in a program that sets no filter: an equal one at one line once."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.resetwarnings()
        yield shown


def _ask(client: openai.OpenAI, model: str = "gpt-4o-mini") -> None:
    client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}], max_tokens=5)


LIMITS: list[dict[str, Any]] = [
    {"max_calls": 1}, {"max_tokens": 15}, {"max_cost": "0.0000001", "on_exceed": "warn"}, {"max_calls": 1, "name": "n"},
]  # fmt: skip


@pytest.mark.parametrize("limits", LIMITS)
def test_f130_each_meter_warns_once_at_the_users_line(limits, client, shown):
    """Three blocks with one text: three warnings, each here."""
    for _ in range(3):
        with meter(**limits):
            _ask(client)

    told = [warning for warning in shown if warning.category is BudgetWarning]
    by_text = {str(warning.message) for warning in told}
    assert len(told) == 3 * len(by_text)
    assert {warning.filename for warning in told} == {__file__}
    lines = inspect.getsource(_ask).count("\n")
    first = inspect.getsourcelines(_ask)[1]
    assert all(first <= warning.lineno < first + lines for warning in told)


def test_f130_a_limit_that_is_reached_twice_warns_once(client, shown):
    """Once for each limit of a meter."""
    with meter(max_calls=1, on_exceed="warn"):
        for _ in range(3):
            _ask(client)

    texts = [str(warning.message) for warning in shown if warning.category is BudgetWarning]
    assert len(texts) == len(set(texts)) == 2


def test_f173_what_has_no_price_is_said_once_to_the_one_who_reads(client, shown):
    """At the line of the first read; the second read says nothing."""
    with meter() as cb:
        cb.record("acme-7b", prompt_tokens=1, completion_tokens=1)
    costs = [cb.cost, cb.cost, cb.total_cost]

    told = [warning for warning in shown if warning.category is UnpricedWarning]
    assert costs[0] == 0
    assert (len(told), told[0].filename) == (1, __file__)


READS: list[Any] = [
    lambda cb: cb.cost, lambda cb: cb.total_cost, lambda cb: cb.to_dict(), str, lambda cb: cb.by_model,
    lambda cb: cb.is_complete,
]  # fmt: skip


@pytest.mark.parametrize("read", READS)
def test_f173_a_warning_made_an_error_is_raised_by_the_first_read_only(read):
    """The second one gives the number."""
    with meter() as cb:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cb.record("acme-7b", prompt_tokens=1, completion_tokens=1)
    twin = meter()
    with twin, warnings.catch_warnings():
        warnings.simplefilter("error")
        twin.add(cb.record("acme-7b", prompt_tokens=1, completion_tokens=1)._replace(price=None))
        with pytest.raises(UnpricedWarning):
            read(twin)
        read(twin)


@pytest.mark.parametrize("limits", [{"max_cost": 1}, {"max_cost": 1, "warn_at": None}, {"max_tokens": 9999}])
def test_f173_no_call_fails_because_an_earlier_one_has_no_price(limits, client):
    """A limit on cost asks for the sums inside of the SDK's call, where a warning may be an error."""
    with warnings.catch_warnings(), meter(**limits) as cb:
        warnings.simplefilter("error")
        cb.record("acme-7b", prompt_tokens=1, completion_tokens=1)
        _ask(client)

        assert cb.successful_requests == 2
    with pytest.warns(UnpricedWarning):
        assert cb.cost > 0


def test_a_warning_of_a_thread_or_a_task_is_at_the_line_that_called(client, shown):
    """Not at a line of Python's own."""
    with meter(max_calls=1):
        thread = threading.Thread(target=_ask, args=(client,))
        thread.start()
        thread.join()

    async def act() -> None:
        http = sdk_http.AsyncClient(transport=sdk_http.MockTransport(_answer))
        async with openai.AsyncOpenAI(api_key="k", http_client=http) as other:
            with meter(max_calls=1):
                await other.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])

    asyncio.run(act())

    told = [warning for warning in shown if warning.category is BudgetWarning]
    assert [warning.filename for warning in told] == [__file__] * 2


def _fails(*_: Any, **__: Any) -> None:
    raise ValueError("I/O operation on closed file")


@pytest.mark.parametrize("read", [lambda cb: cb.cost, lambda cb: cb.is_complete, lambda cb: cb.by_model])
def test_a_warning_that_cannot_be_shown_goes_to_the_log(read, monkeypatch, caplog):
    """A daemon has closed stderr, for which Python raises a ValueError."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", _fails)
        with meter() as cb:
            cb.record("acme-7b", prompt_tokens=1, completion_tokens=1)
        read(cb)

    assert "acme-7b" in caplog.text
