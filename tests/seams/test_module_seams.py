"""When a module is patched: at once, when it is imported, or when an import that was under way is done."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.conftest import take_internal_errors
from token_meter.context.stack import CONTEXT_STACK
from token_meter.exceptions import BlindSpotWarning
from token_meter.patching.import_hook import ImportHook
from token_meter.runtime.hub import HUB
from token_meter.transports.module_seam import ModuleSeam
from token_meter.transports.vcr import CassetteSeam

BODY = """
import sys
sys.token_meter_halfway(__name__)
class Client:
    def send(self):
        return "sent"
"""


class Seam(ModuleSeam):
    """Patches a client as the real ones do."""

    modules = ("token_meter_first", "token_meter_second")

    def _patch_module(self, module: ModuleType) -> None:
        self._patches.put(module.Client, "send", lambda original: lambda client: f"seen {original(client)}")


class Library:
    """Two modules that can be imported; halfway through, something may happen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.halfway(lambda _: None)

    def halfway(self, do: Any) -> None:
        self._monkeypatch.setattr(sys, "token_meter_halfway", do, raising=False)

    def sent(self, name: str = "token_meter_first") -> str:
        """What its client says; imports it where it is not imported."""
        says: str = importlib.import_module(name).Client().send()
        return says


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    for name in Seam.modules:
        (tmp_path / f"{name}.py").write_text(BODY)
    (tmp_path / "token_meter_other.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield Library(monkeypatch)
    for name in (*Seam.modules, "token_meter_other"):
        sys.modules.pop(name, None)


@pytest.fixture
def seam() -> Iterator[Seam]:
    seam = Seam(CONTEXT_STACK, HUB)
    yield seam
    seam.uninstall()
    assert not [finder for finder in sys.meta_path if finder is seam._imports]


def test_a_module_that_is_half_made_is_patched_when_it_is_whole(library, seam):
    """A thread imports the SDK while another opens the first meter; the next import of anything is soon enough."""
    library.halfway(lambda _: seam.install())
    importlib.import_module("token_meter_first")
    importlib.import_module("token_meter_other")

    assert library.sent() == "seen sent"


def test_half_made_modules_are_given_once_each(library):
    """Also where looking at one of them imports something, and so looks at the others."""
    given: list[str] = []

    def then(module: ModuleType) -> None:
        importlib.import_module("token_meter_other")
        given.append(module.__name__)

    attempt = ImportHook(Seam.modules, then)

    def halfway(name: str) -> None:
        if name == "token_meter_first":
            importlib.import_module("token_meter_second")
        else:
            attempt.start()

    library.halfway(halfway)
    try:
        importlib.import_module("token_meter_first")
        importlib.import_module("token_meter_other")
    finally:
        attempt.stop()

    assert sorted(given) == ["token_meter_first", "token_meter_second"]


@pytest.mark.parametrize("is_begun", [False, True], ids=["before the import", "halfway"])
def test_an_import_that_fails_is_seen_when_it_is_tried_again(library, seam, is_begun):
    """Whether it had begun when we came or not."""

    def fail(_: str) -> None:
        if is_begun:
            seam.install()
        raise ImportError

    if not is_begun:
        seam.install()
    library.halfway(fail)
    with pytest.raises(ImportError):
        importlib.import_module("token_meter_first")
    library.halfway(lambda _: None)

    assert library.sent() == "seen sent"


def test_who_looks_whether_a_library_is_there_does_not_hide_it(library, seam):
    """`find_spec` is how programs ask for optional libraries; the import comes later."""
    seam.install()
    assert importlib.util.find_spec("token_meter_first") is not None

    assert library.sent() == "seen sent"


def test_an_import_that_ends_after_uninstall_is_left_alone(library, seam):
    """It began while we were there."""
    seam.install()
    library.halfway(lambda _: seam.uninstall())

    assert library.sent() == "sent"


def test_what_was_imported_between_two_installs_is_patched_by_the_second(library, seam):
    """And the first leaves nothing that would."""
    seam.install()
    seam.uninstall()
    assert library.sent() == "sent"
    seam.install()

    assert library.sent() == "seen sent"


def test_a_module_is_patched_once_however_often_a_seam_is_installed(library, seam):
    """Before its import and after it."""
    seam.install()
    seam.install()
    library.sent()
    seam.install()

    assert library.sent() == "seen sent"


def test_an_import_finder_of_the_old_kind_is_passed_over(library, seam):
    """One that has no `find_spec`; Python itself asks it nothing any more."""
    seam.install()
    sys.meta_path.insert(1, finder := object())  # type: ignore[arg-type]  # behind ours
    try:
        assert library.sent() == "seen sent"
    finally:
        sys.meta_path.remove(finder)  # type: ignore[arg-type]


def test_an_import_does_not_fail_where_our_warning_is_an_error(library, caplog):
    """`python -W error`: what would have been warned of is in the log."""

    def then(_: ModuleType) -> None:
        warnings.warn("cannot see the client", BlindSpotWarning, stacklevel=2)

    attempt = ImportHook(Seam.modules, then)
    attempt.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert library.sent() == "sent"
    finally:
        attempt.stop()

    assert caplog.messages == ["cannot see the client"]


def test_a_cassette_of_another_shape_is_counted_and_harms_nobody():
    """A new vcrpy may move the seam: neither its import nor a meter fails for that."""
    seam = CassetteSeam(CONTEXT_STACK, HUB, print)
    seam._live = True
    seam._patch(SimpleNamespace(Cassette=object))  # type: ignore[arg-type]
    errors = take_internal_errors()

    assert errors == {"install cassettes": 1}
