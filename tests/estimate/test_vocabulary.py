"""The vocabularies in the wheel are tiktoken's own, and reach for nothing outside."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import subprocess
import sys
import threading
from importlib import resources
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import tiktoken
import tiktoken.registry
from tiktoken_ext import openai_public

from token_meter.estimate import vocab

NAMES = ("o200k_base", "cl100k_base")


def _raw(name: str) -> bytes:
    """Write the ranks as a raw `.tiktoken` file."""
    ranks = sorted(vocab.read_ranks(name).items(), key=lambda item: item[1])
    return b"".join(b"%b %d\n" % (base64.b64encode(token), rank) for token, rank in ranks)


def _packer() -> ModuleType:
    path = Path(__file__).parents[2] / "tools" / "pack_vocabulary.py"
    spec = importlib.util.spec_from_file_location("pack_vocabulary", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What tiktoken says of an encoding, with its download replaced by a note of what it would have loaded."""
    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda url, expected_hash: {"sha256": expected_hash})
    return lambda name: getattr(openai_public, name)()


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither we nor the application has loaded an encoding yet."""
    monkeypatch.setattr(vocab, "_loaded", {})
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})


@pytest.mark.parametrize("name", NAMES)
def test_raw_file_is_rebuilt_to_tiktokens_pin(name: str, theirs: Any) -> None:
    """Nothing was lost on the way into the wheel."""
    rebuilt = hashlib.sha256(_raw(name)).hexdigest()

    assert rebuilt == vocab.VOCABULARIES[name].raw_sha256 == theirs(name)["mergeable_ranks"]["sha256"]


@pytest.mark.parametrize("name", NAMES)
def test_pattern_and_special_tokens_are_tiktokens(name: str, theirs: Any) -> None:
    """The rest of an encoding is copied from tiktoken, and still the same there."""
    ours = vocab.VOCABULARIES[name]

    assert (ours.pat_str, dict(ours.special_tokens)) == (theirs(name)["pat_str"], theirs(name)["special_tokens"])


@pytest.mark.parametrize("name", NAMES)
def test_the_tool_that_packed_the_files_gives_the_same_files(name: str) -> None:
    """Whoever doubts a file can make it again."""
    packer = _packer()
    packed = resources.files("token_meter").joinpath("_vocab", f"{name}.bin").read_bytes()
    raw = _raw(name)

    assert packer.pack(raw) == packed
    assert packer.unpack(packed, packer.count_tokens(packed)) == raw


def test_packing_refuses_ranks_with_gaps() -> None:
    """The packed form has no place for ranks, so they must be the line numbers."""
    with pytest.raises(ValueError, match="rank 5, not 1"):
        _packer().pack(b"YQ== 0\nYg== 5\n")


def test_the_licence_of_the_data_travels_with_it() -> None:
    """MIT asks for its notice, and the reader for the origin."""
    notice = resources.files("token_meter").joinpath("_vocab", "LICENSE-tiktoken").read_text("utf-8")

    assert "Copyright (c) 2022 OpenAI, Shantanu Jain" in notice
    assert all(vocab.VOCABULARIES[name].raw_sha256 in notice for name in NAMES)


def test_a_damaged_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong byte would count wrongly for ever; so it is an error that says what to do."""
    damaged = vocab.VOCABULARIES["cl100k_base"]._replace(packed_sha256="0" * 64)
    monkeypatch.setattr(vocab, "VOCABULARIES", {"cl100k_base": damaged})

    with pytest.raises(RuntimeError, match=r"cl100k_base\.bin of token_meter is damaged.*Reinstall"):
        vocab.read_ranks("cl100k_base")


def _ours() -> tiktoken.Encoding:
    return vocab.encoding("cl100k_base")


@pytest.mark.usefixtures("unloaded")
def test_an_encoding_of_the_application_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two copies would cost 80 MiB and a fifth of a second."""
    special = vocab.VOCABULARIES["cl100k_base"].special_tokens
    theirs = tiktoken.Encoding(
        "cl100k_base",
        pat_str=vocab.VOCABULARIES["cl100k_base"].pat_str,
        mergeable_ranks={bytes([byte]): byte for byte in range(256)},
        special_tokens=dict(special),
    )
    monkeypatch.setitem(tiktoken.registry.ENCODINGS, "cl100k_base", theirs)

    assert _ours() is theirs


@pytest.mark.usefixtures("unloaded")
def test_a_strangers_encoding_under_the_same_name_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin may have put anything there."""
    stranger = SimpleNamespace(name="cl100k_base", max_token_value=100_276, _pat_str="something else")
    monkeypatch.setitem(tiktoken.registry.ENCODINGS, "cl100k_base", stranger)

    assert isinstance(_ours(), tiktoken.Encoding)


@pytest.mark.usefixtures("unloaded")
def test_threads_load_an_encoding_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading is slow and large: a second thread waits for the first one."""
    built = []
    ticket = threading.Barrier(4)

    def build(name: str) -> Any:
        built.append(name)
        return object()

    def load() -> None:
        ticket.wait(10)
        vocab.encoding("o200k_base")

    monkeypatch.setattr(vocab, "_build", build)
    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert built == ["o200k_base"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_while_loading_leaves_no_closed_lock() -> None:
    """The child of a fork has no thread that would open the lock."""
    with vocab._loading:
        child = os.fork()
        if child == 0:
            os._exit(0 if vocab._loading.acquire(blocking=False) else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


ALONE = """
import os, socket, sys
def refuse(*args, **kwargs):
    raise AssertionError("the network was touched")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
before = dict(os.environ)
import token_meter.estimate
assert "tiktoken" not in sys.modules, "tiktoken was imported before anything was counted"
assert token_meter.estimate.count_text("hello world", "gpt-4o").tokens == 2
assert token_meter.estimate.count_text("hello world", "gpt-4").tokens == 2
assert "requests" not in sys.modules, "the download library was imported"
assert dict(os.environ) == before
"""


def test_counting_needs_no_network_and_no_cache_folder(tmp_path: Path) -> None:
    """tiktoken's own way would try to download, and to write into the folder that the variable names."""
    folder = tmp_path / "cache"
    environment = {**os.environ, "TIKTOKEN_CACHE_DIR": str(folder), "DATA_GYM_CACHE_DIR": str(folder)}

    done = subprocess.run([sys.executable, "-c", ALONE], env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert not folder.exists()
