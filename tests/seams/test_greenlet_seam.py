"""F116: a name is patched where it is defined, and a greenlet gets the open block and nothing else."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import token_meter
from token_meter import BlindSpotWarning, meter
from token_meter.context.stack import CONTEXT_STACK
from token_meter.context.threads import ThreadSeam
from token_meter.patching.patch import Patch
from token_meter.runtime.hub import HUB


class Greenlet:
    """As gevent's and eventlet's, without the switching."""

    callbacks: set[Callable[[Any], None]] = set()  # noqa: RUF012  # gevent's are of the module

    def __init__(self, context: contextvars.Context | None = None) -> None:
        self.gr_context = context

    @classmethod
    def add_spawn_callback(cls, callback: Callable[[Any], None]) -> None:
        cls.callbacks.add(callback)

    @classmethod
    def remove_spawn_callback(cls, callback: Callable[[Any], None]) -> None:
        cls.callbacks.discard(callback)

    def start(self) -> Greenlet:
        for callback in self.callbacks:
            callback(self)
        return self


class Pool:
    """As gevent's native threads: it calls what it is given, in a context of its own."""

    def spawn(self, func: Callable[..., Any], *args: Any) -> Any:
        return contextvars.Context().run(func, *args)


def _module(name: str, **members: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(members)
    return module


def _gevent() -> Callable[[], Any]:
    HUB._greenlets._patch(_module("gevent", Greenlet=Greenlet))
    return lambda: Greenlet().start()


def _eventlet() -> Callable[[], Any]:
    class GreenThread(Greenlet):
        def __init__(self) -> None:
            super().__init__()

    HUB._greenlets._patch(_module("eventlet.greenthread", GreenThread=GreenThread, _spawn_n=None))
    return GreenThread


def _eventlet_raw() -> Callable[[], Any]:
    module = _module(
        "eventlet.greenthread", GreenThread=Greenlet, _spawn_n=lambda: ("timer", SimpleNamespace(gr_context=None))
    )
    HUB._greenlets._patch(module)
    return lambda: module._spawn_n()[1]


@pytest.mark.parametrize("library", [_gevent, _eventlet, _eventlet_raw])
def test_f116_a_greenlet_gets_the_open_block_and_nothing_else(library):
    """None where no block is open, and none after `uninstall()`."""
    with meter():
        make = library()
        inside = make()
        block = CONTEXT_STACK.get()
    outside = make()
    token_meter.uninstall()
    with meter():
        HUB._greenlets.uninstall()
        blind = make()

    assert dict(inside.gr_context) == {CONTEXT_STACK: block}
    assert outside.gr_context is blind.gr_context is None
    assert Greenlet.callbacks == set()


def test_f116_a_context_that_its_maker_gave_a_greenlet_stays():
    """Whoever copies the context carries the block along."""
    own = contextvars.Context()
    with meter():
        _gevent()
        greenlet = Greenlet(own).start()

    assert greenlet.gr_context is own
    assert dict(own) == {}


def test_f116_native_threads_of_gevent_carry_the_block():
    """For the task, and not longer."""
    with meter():
        HUB._greenlets._patch(_module("gevent.threadpool", ThreadPool=Pool))
        inside = Pool().spawn(CONTEXT_STACK.get)
        block = CONTEXT_STACK.get()
    outside = Pool().spawn(CONTEXT_STACK.get)

    assert (inside, outside) == (block, ())


def test_f116_a_greenlet_that_takes_no_context_starts_all_the_same():
    """A failure of ours is counted; the greenlet is the caller's."""
    with meter():
        _gevent()
        for callback in Greenlet.callbacks:
            callback(object())
    errors = dict(HUB.internal_errors)
    HUB.internal_errors.clear()

    assert errors == {"greenlet": 1}


def test_f116_greenlets_that_cannot_be_followed_are_told():
    """A gevent of another shape."""
    with meter(), pytest.warns(BlindSpotWarning, match="greenlets of gevent"):
        HUB._greenlets._patch(_module("gevent"))
    HUB.internal_errors.clear()


def test_f116_a_name_that_a_base_defines_is_patched_there(monkeypatch):
    """gevent puts a subclass of `Thread` in its place, which starts as its base does."""

    class Green(threading.Thread):
        pass

    start = threading.Thread.__dict__["start"]
    monkeypatch.setattr(threading, "Thread", Green)
    seam = ThreadSeam(CONTEXT_STACK)
    seam.install()
    try:
        assert Green.start is not start
        assert "start" not in vars(Green)
    finally:
        seam.uninstall()

    assert Green.start is start
    with pytest.raises(AttributeError, match="no such_name"):
        Patch(Green, "such_name", lambda original: original)
