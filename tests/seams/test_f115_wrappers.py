"""F115: what others put in our places, before or after us, is called as Python would call it without us."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial, partialmethod
from types import SimpleNamespace
from typing import Any
from unittest import mock

import httpx
import httpx2
import openai
import pytest
import wrapt

import token_meter
from tests.conftest import CHAT_BODY, PATCHED, sdk_http
from tests.contract.everywhere import ask_everywhere
from tests.seams.sockets import APIS, CLASSES, MANAGERS, connected
from token_meter import BlindSpotWarning, meter
from token_meter.patching.binding import as_function
from token_meter.runtime.hub import HUB

pytestmark = pytest.mark.filterwarnings(r"ignore:connect\(\) must be used as a context manager:DeprecationWarning")

URL = "https://api.openai.com/v1/chat/completions"
LIBRARIES = [httpx2, httpx]


class Descriptor:
    """Knows its instance from `__get__` only, as wrappers written in C do."""

    def __init__(self, wrapped: Any, passed: Callable[[], None]) -> None:
        self._wrapped, self._passed = wrapped, passed

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        return partial(self._call, self._wrapped.__get__(instance, owner))

    def _call(self, bound: Any, *args: Any, **kwargs: Any) -> Any:
        self._passed()
        return bound(*args, **kwargs)


def _by_wrapt(wrapped: Any, passed: Callable[[], None]) -> Any:
    def wrapper(bound: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        assert instance is not None
        passed()
        return bound(*args, **kwargs)

    return wrapt.FunctionWrapper(wrapped, wrapper)


def _by_partialmethod(wrapped: Any, passed: Callable[[], None]) -> Any:
    def method(instance: Any, mark: str, /, *args: Any, **kwargs: Any) -> Any:
        assert mark == "theirs"
        passed()
        return wrapped.__get__(instance)(*args, **kwargs)

    return partialmethod(method, "theirs")


def _by_function(wrapped: Any, passed: Callable[[], None]) -> Any:
    def function(instance: Any, *args: Any, **kwargs: Any) -> Any:
        passed()
        return wrapped.__get__(instance)(*args, **kwargs)

    return function


WRAPPERS = {
    "wrapt": _by_wrapt,
    "a descriptor": Descriptor,
    "partialmethod": _by_partialmethod,
    "two of wrapt": lambda wrapped, passed: _by_wrapt(_by_wrapt(wrapped, lambda: None), passed),
    "a function": _by_function,
}
each_wrapper = pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS.keys())
each_order = pytest.mark.parametrize("order", ["before", "after"])


class Theirs:
    """Puts a wrapper at every one of *places*, as another package would, and counts the calls of each."""

    def __init__(self, places: list[tuple[Any, str]]) -> None:
        self.places = places
        self.passed: dict[tuple[Any, str], int] = {}

    def put(self, wrapper: Any) -> None:
        self.kept = {(owner, name): owner.__dict__[name] for owner, name in self.places}
        for place, wrapped in self.kept.items():
            setattr(*place, wrapper(wrapped, partial(self._count, place)))
        self.put_in = {(owner, name): owner.__dict__[name] for owner, name in self.places}

    def _count(self, place: tuple[Any, str]) -> None:
        self.passed[place] = self.passed.get(place, 0) + 1

    def are_in_place(self) -> bool:
        return all(owner.__dict__[name] is theirs for (owner, name), theirs in self.put_in.items())

    def take_out(self) -> None:
        for place, wrapped in self.kept.items():
            setattr(*place, wrapped)


@pytest.fixture
def theirs() -> Iterator[Theirs]:
    theirs = Theirs(PATCHED)
    yield theirs
    theirs.take_out()


@each_wrapper
@each_order
def test_f115_calls_pass_a_wrapper_at_every_name_and_count_once(simulator, theirs, wrapper, order):
    """An empty block first: it installs. Then in a block, and after it, and after `uninstall()`."""
    if order == "before":
        theirs.put(wrapper)
        with meter():
            pass
    else:
        with meter():
            theirs.put(wrapper)
    assert theirs.passed == {}  # the self-test asks nothing of theirs

    with meter() as cb:
        ask_everywhere(simulator.base_url, "sim-wrapped")
    ask_everywhere(simulator.base_url, "sim-wrapped")
    token_meter.uninstall()
    ask_everywhere(simulator.base_url, "sim-wrapped")

    assert (cb.successful_requests, simulator.bill("sim-wrapped").calls) == (4, 12)
    assert {theirs.passed.get((owner, "send")) for owner in (sdk_http.Client, sdk_http.AsyncClient)} == {9, 3}
    assert {name for _, name in theirs.passed} == {"send", "request", "start", "submit"}
    assert theirs.are_in_place()


@each_wrapper
@each_order
@pytest.mark.parametrize("library", LIBRARIES)
async def test_f115_other_traffic_of_either_library_passes_too(theirs, library, wrapper, order):
    """Requests to any host, in the block and after it."""
    transport = library.MockTransport(lambda _: library.Response(204))
    if order == "before":
        theirs.put(wrapper)
    with meter():
        if order == "after":
            theirs.put(wrapper)
        with library.Client(transport=transport) as client:
            inside = client.get("https://example.com").status_code
        async with library.AsyncClient(transport=transport) as aclient:
            inside_async = (await aclient.get("https://example.com")).status_code
    with library.Client(transport=transport) as client:
        after = client.get("https://example.com").status_code

    assert (inside, inside_async, after) == (204, 204, 204)
    assert [theirs.passed[cls, "send"] for cls in (library.Client, library.AsyncClient)] == [2, 1]


WEBSOCKET_NAMES = ("recv_bytes", "recv", "send", "send_raw", "close", "enter", "__enter__", "__aenter__")


@each_wrapper
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_f115_websockets_pass_a_wrapper_at_every_name(simulator, wrapper, api, colour):
    """Receiving, sending, closing and opening of every connection class."""
    owners = dict.fromkeys(base for cls in (*CLASSES, *MANAGERS) for base in cls.__mro__)
    theirs = Theirs([(owner, name) for owner in owners for name in WEBSOCKET_NAMES if name in owner.__dict__])
    theirs.put(wrapper)
    try:
        with meter() as cb:
            async with connected(simulator, api, colour) as talk:
                events = await talk.answer("one")
                await talk.do(talk.connection.close)
        token_meter.uninstall()
        in_place = theirs.are_in_place()
    finally:
        theirs.take_out()

    assert len(events) > 5
    assert cb.successful_requests == simulator.bill().calls == 1
    assert cb.total_tokens == simulator.bill().total_tokens
    assert {"recv_bytes", "close"} <= {name for _, name in theirs.passed}
    assert in_place


# What never learns its instance.


class Callable_:
    """An object without `__get__`: nothing is bound to it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls: list[tuple[Any, ...]] = []

    def __call__(self, *args: Any, **_: Any) -> Any:
        self.calls.append(args)
        return self.answer


@pytest.mark.parametrize("library", LIBRARIES)
def test_f115_a_mock_gets_what_it_got_and_no_call_more(library):
    """The arguments without the client, and none of the answers that it was given is spent on us."""
    answers = [library.Response(200, json=CHAT_BODY, request=library.Request("POST", URL)) for _ in range(2)]
    with mock.patch.object(library.Client, "send", side_effect=answers) as send, library.Client() as client:
        with meter() as cb:
            inside = client.post(URL, json={})
        after = client.post(URL, json={})
        token_meter.uninstall()
        assert library.Client.send is send

    assert [inside, after] == answers
    assert [len(call.args) for call in send.call_args_list] == [1, 1]
    assert send.call_args_list[0].args[0].url == URL
    assert (cb.successful_requests, cb.total_tokens) == (1, 15)


@pytest.mark.parametrize("library", LIBRARIES)
async def test_f115_an_async_mock_and_an_autospec_are_themselves(library):
    """`mock.patch` makes an `AsyncMock` of a coroutine function, and a function of what has a spec."""
    answer = library.Response(200, json=CHAT_BODY, request=library.Request("POST", URL))
    with (
        mock.patch.object(library.AsyncClient, "send", return_value=answer) as asend,
        mock.patch.object(library.Client, "send", autospec=True, return_value=answer) as send,
    ):
        with meter() as cb:
            async with library.AsyncClient() as aclient:
                await aclient.post(URL, json={})
            with library.Client() as client:
                client.post(URL, json={})

    asend.assert_awaited_once()
    send.assert_called_once()
    assert send.call_args.args[0] is client
    assert cb.successful_requests == 2


def test_f115_a_thread_that_a_mock_does_not_start_is_not_started():
    """`Thread.start` and `submit` under a mock, as test suites have it."""
    with (
        mock.patch.object(threading.Thread, "start") as start,
        mock.patch.object(ThreadPoolExecutor, "submit") as submit,
    ):
        with meter():
            threading.Thread(target=print).start()
            submitted = ThreadPoolExecutor(1).submit(print, 1)

    start.assert_called_once_with()
    assert submit.call_args.args[1:] == (1,)
    assert submitted is submit.return_value


class Anything:
    """Answers to every name, as careless stand-ins do."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *args: Any) -> Any:
        return ("anything", *args)


class Owner:
    """One method of every kind; each says what it was given."""

    def function(self, *args: Any) -> Any:
        return ("function", self, *args)

    @staticmethod
    def static(*args: Any) -> Any:
        return ("static", *args)

    @classmethod
    def of_class(cls, *args: Any) -> Any:
        return ("class", cls, *args)

    a_partialmethod = partialmethod(function, "first")
    a_partial = partial(print, end="")
    a_object = Callable_("object")
    a_mock = mock.Mock(return_value="mock")
    a_magic = mock.MagicMock(return_value="magic")
    a_wrapt = _by_wrapt(function, lambda: None)
    a_wrapt_static = wrapt.FunctionWrapper(static, lambda bound, _, args, kwargs: bound(*args, **kwargs))
    a_wrapt_of_class = wrapt.FunctionWrapper(of_class, lambda bound, _, args, kwargs: bound(*args, **kwargs))
    a_proxy = wrapt.ObjectProxy(Callable_("proxy"))
    a_descriptor = Descriptor(function, lambda: None)
    a_anything = Anything()
    a_builtin = str.__len__
    a_class = SimpleNamespace


@pytest.mark.parametrize("name", [name for name in vars(Owner) if not name.startswith("__")])
def test_f115_every_kind_is_called_as_by_its_name(name):
    """What Python gives for `owner.name(...)`, ours gives."""
    owner = Owner()
    function = as_function(Owner, name, Owner.__dict__[name])

    def outcome(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (TypeError, FutureWarning) as error:  # of Python 3.13, for a `partial`
            return str(error)

    assert outcome(lambda: function(owner)) == outcome(lambda: getattr(owner, name)())


def test_f115_a_plain_function_costs_nothing():
    """It is told once, and called itself."""
    assert as_function(Owner, "function", Owner.__dict__["function"]) is Owner.__dict__["function"]
    assert as_function(openai, "OpenAI", openai.OpenAI) is openai.OpenAI  # what stands in a module is bound to nothing


# A seam that does not work is no seam.


@pytest.mark.parametrize("library", LIBRARIES)
def test_f115_a_seam_whose_self_test_fails_is_taken_out(monkeypatch, library):
    """Both colours: calls go as without us, and a warning says so."""

    class Moved(library.AsyncClient):
        send = library.AsyncClient.send

        def __getattribute__(self, name: str) -> Any:
            return None if name == "send" else super().__getattribute__(name)

    monkeypatch.setattr(library, "AsyncClient", Moved)
    before = library.Client.__dict__["send"], Moved.__dict__["send"]
    with pytest.warns(BlindSpotWarning, match=f"{library.__name__} .*so it leaves them alone"), meter():
        inside = library.Client.__dict__["send"], Moved.__dict__["send"]
    HUB.internal_errors.clear()

    assert inside == before
