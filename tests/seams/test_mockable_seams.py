"""A method that a mock library replaces for a while, as aioresponses and requests-mock do: in every order, once."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.conftest import take_internal_errors
from token_meter.context.stack import CONTEXT_STACK
from token_meter.runtime.hub import HUB
from token_meter.transports.mockable import MockableSeam


class Client:
    """A client of a library that is patched."""

    def send(self) -> list[str]:
        return ["sent"]


class Mock:
    """Puts a function in the place of `Client.send`, which may or may not call what it hides."""

    target: Any = Client

    def __init__(self, *, lets_pass: bool = False) -> None:
        self.lets_pass = lets_pass

    def start(self) -> None:
        self.hidden = self.target.send
        hidden, lets_pass = self.hidden, self.lets_pass
        self.target.send = lambda client: ["mock", *(hidden(client) if lets_pass else ())]

    def stop(self) -> None:
        self.target.send = self.hidden


class Seam(MockableSeam):
    """Says when it sees a call."""

    modules = (__name__,)

    def _patch_module(self, module: ModuleType) -> None:
        self._patches.put(Client, "send", self._seen)
        self._follow(Mock, Client, "send", self._seen)

    def _seen(self, original: Any) -> Any:
        return lambda client: ["seen" * self._live, *original(client)]


@pytest.fixture
def seam() -> Any:
    before = Client.send, Mock.start, Mock.stop
    seam = Seam(CONTEXT_STACK, HUB)
    yield seam
    seam.uninstall()
    assert (Client.send, Mock.start, Mock.stop) == before, "something of ours was left"


def test_a_mock_that_starts_later_is_seen_until_it_stops(seam: Seam) -> None:
    seam.install()
    mock = Mock()
    mock.start()
    mocked = Client().send()
    mock.stop()

    assert (mocked, Client().send()) == (["seen", "mock"], ["seen", "sent"])


def test_a_mock_that_was_first_and_goes_first_takes_nothing_of_ours_along(seam: Seam) -> None:
    mock = Mock()
    mock.start()
    seam.install()
    mocked = Client().send()
    mock.stop()

    assert (mocked, Client().send()) == (["seen", "mock"], ["seen", "sent"])


def test_mocks_in_mocks_are_seen_at_each_step(seam: Seam) -> None:
    seam.install()
    outer, inner = Mock(), Mock(lets_pass=True)
    outer.start()
    inner.start()
    assert Client().send()[:2] == ["seen", "mock"]
    inner.stop()
    assert Client().send() == ["seen", "mock"]
    outer.stop()
    assert Client().send() == ["seen", "sent"]


def test_a_mock_that_outlives_the_meters_keeps_what_is_its_own(seam: Seam) -> None:
    """Ours says nothing any more, and the mock's end brings back the library's method."""
    mock = Mock()
    mock.start()
    its_own = Client.send
    seam.install()
    seam.uninstall()

    assert Client.send is its_own
    mock.stop()
    assert Client().send() == ["sent"]


def test_the_mock_of_one_object_leaves_its_class_alone(seam: Seam) -> None:
    seam.install()
    patched = Client.send
    mock = Mock()
    mock.target = SimpleNamespace(send=lambda _: ["own"])
    mock.start()
    mock.stop()

    assert Client.send is patched


def test_a_failure_of_ours_is_not_the_mocks(seam: Seam, monkeypatch: pytest.MonkeyPatch) -> None:
    """It mocks, and its call is not seen."""
    seam.install()
    broken = Seam(CONTEXT_STACK, HUB)
    broken._live = True
    monkeypatch.setattr(broken, "_seen", None)
    broken._follow(Mock, Client, "send", broken._seen)
    mock = Mock()
    mock.start()
    mocked = Client().send()
    mock.stop()
    broken.uninstall()

    assert mocked == ["seen", "mock"]
    assert take_internal_errors() == {"install": 2}
