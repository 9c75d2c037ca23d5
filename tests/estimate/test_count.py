"""Texts of any size and content are counted, exactly where that is possible."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.estimate.truth import BY_NAME, o200k
from token_meter.estimate import count, count_stream, count_text
from token_meter.estimate.count import counter
from token_meter.estimate.plain import PlainEncoding
from token_meter.estimate.vocab import encoding

PROSE = "The quick brown fox jumps over the lazy dog, and then it rests.\n" * 3000


def test_plain_text() -> None:
    """The result names its encoding, and that it is exact."""
    assert count_text("hello world", "gpt-4o") == (2, "o200k_base", False)
    assert count_text("hello world", "gpt-4") == (2, "cl100k_base", False)


def test_an_unknown_model_is_counted_and_marked() -> None:
    """A guess says that it is one."""
    assert count_text("hello world", "acme-7b") == (2, "o200k_base", True)
    assert count_text("hello world").approximate


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "<|endoftext|>",  # raises in tiktoken by default; counts 1 where it is taken for the token
        "a<|fim_prefix|>b<|endofprompt|>",
        "\ud800",  # a lone surrogate
        "good \udfff evening",
        "\x00\x01",
        "漢字かな交じり文" * 100,
        "😀👩‍👩‍👧‍👦" * 50,
    ],
)
def test_odd_texts(text: str, model: str) -> None:
    """They count like anything else, and never raise."""
    counted = count_text(text, model)

    assert counted.tokens == BY_NAME[counted.encoding](text)
    assert not counted.approximate


def test_a_special_token_in_a_users_text_is_text() -> None:
    """Counted as one token it would be an under-count that an attacker can use."""
    assert count_text("<|endoftext|>", "gpt-4o").tokens == 7


@pytest.mark.parametrize("character", [" ", "\t", "\u00a0"])
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4"])
def test_a_million_white_spaces_do_not_crash(character: str, model: str) -> None:
    """tiktoken overflows its stack on them, with an exception that passes `except Exception`."""
    counted = count_text(f"{character * 1_000_000}x", model)

    assert counted.tokens > 1000
    assert counted.approximate


def test_a_text_that_the_engine_gives_up_on_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should tiktoken's limit move, its `ValueError` still gives a count."""

    class Weak:
        def encode(self, text: str, *, disallowed_special: tuple[()]) -> list[int]:
            if len(text) > 10:
                msg = "Regex error while tokenizing"
                raise ValueError(msg)
            return encoding("o200k_base").encode(text, disallowed_special=disallowed_special)

    monkeypatch.setattr(count, "encoding", lambda name: Weak())

    assert count_text("aaaa bbbb " * 4, "gpt-4o").tokens >= o200k("aaaa bbbb " * 4)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4"])
def test_a_long_text_counts_as_if_in_one_piece(model: str) -> None:
    """The cuts are where they change nothing."""
    counted = count_text(PROSE, model)

    assert counted == (BY_NAME[counted.encoding](PROSE), counted.encoding, False)


def test_a_long_text_without_spaces_is_cut_at_its_lines() -> None:
    """Chinese has no spaces, but lines."""
    text = "天地玄黃宇宙洪荒。\n" * 60_000

    assert count_text(text, "gpt-4o") == (o200k(text), "o200k_base", False)


def test_a_text_without_any_safe_cut_says_that_it_is_approximate() -> None:
    """It is still counted in bounded memory, at most a token off for each forced cut."""
    text = "ab" * 400_000

    counted = count_text(text, "gpt-4o")

    assert counted.approximate
    assert 0 <= counted.tokens - o200k(text) <= 1


@pytest.mark.parametrize("size", [1, 7, 1000, 65_536, 1_000_000])
def test_a_stream_counts_as_its_text_whatever_the_chunks(size: int) -> None:
    """Files are read in chunks that know nothing of words."""
    text = PROSE[: 3 * 65_536]
    chunks = (text[start : start + size] for start in range(0, len(text), size))

    assert count_stream(chunks, "gpt-4o") == (o200k(text), "o200k_base", False)


def test_an_empty_stream_has_no_tokens() -> None:
    """Nothing is nothing."""
    assert count_stream((), "gpt-4o").tokens == 0


def test_a_stream_is_never_held_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may be larger than the memory."""
    seen: list[int] = []

    def encode(text: str, name: str) -> int:
        seen.append(len(text))
        return 0

    def endless() -> Iterator[str]:
        for _ in range(200):
            yield "a" * 50_000

    monkeypatch.setattr(count, "_encode", encode)
    count_stream(endless(), "gpt-4o")

    assert sum(seen) == 10_000_000
    assert max(seen) <= count.LONGEST_PIECE


def test_small_chunks_without_a_cut_are_not_searched_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk of one character must not cost a search through all that is held."""
    searches = []
    real = count._SAFE_CUT

    class Counting:
        def search(self, *args: object) -> object:
            searches.append(args[1:])
            return real.search(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(count, "_SAFE_CUT", Counting())
    monkeypatch.setattr(count, "_encode", lambda text, name: 0)
    count_stream(("a" for _ in range(400_000)), "gpt-4o")

    assert len(searches) < 10


def test_a_repeated_message_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The history of a chat comes again with every call."""
    encoded: list[str] = []
    monkeypatch.setattr(count, "_memo", {})
    monkeypatch.setattr(count, "_encode", lambda text, name: encoded.append(text) or 5)
    n = counter("o200k_base")

    assert (n("a long message " * 10), n("a long message " * 10)) == (5, 5)
    assert len(encoded) == 1


def test_the_memo_is_bounded_and_holds_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt must not stay in memory because it was counted."""
    memo: dict[tuple[str, int, int], int] = {}
    monkeypatch.setattr(count, "_memo", memo)
    monkeypatch.setattr(count, "_MEMO_SIZE", 10)
    monkeypatch.setattr(count, "_encode", lambda text, name: 1)
    n = counter("o200k_base")

    for number in range(50):
        n(f"{number} is a number, and this is a long enough sentence about it")

    assert len(memo) == 10
    assert all([type(part) for part in key] == [str, int, int] and key[0] == "o200k_base" for key in memo)


def test_the_memo_keeps_what_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least recently used entry goes first."""
    encoded: list[str] = []
    monkeypatch.setattr(count, "_memo", {})
    monkeypatch.setattr(count, "_MEMO_SIZE", 2)
    monkeypatch.setattr(count, "_encode", lambda text, name: encoded.append(text) or 1)
    n = counter("o200k_base")
    first, second, third = (letter * 60 for letter in "abc")

    for text in (first, second, first, third, first):
        n(text)

    assert encoded == [first, second, third]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_while_looking_up_leaves_no_closed_lock() -> None:
    """The child of a fork has no thread that would open the lock."""
    with count._memo_lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if count._memo_lock.acquire(blocking=False) else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


PIECES = (
    " |  |\n|\r\n|\n\n|\t|/|//|a|The|ing|'s|'S|.|!|...|é|e\u0301|\u0301|中|文|。|😀|1|1234|½|"
    "\u00a0|\u2028|\u200b|\x85|\x1c|_|{\n"
)
PLAIN = {name: PlainEncoding(name) for name in ("o200k_base", "cl100k_base")}
WORDS = st.sampled_from(PIECES.split("|"))
TEXTS = st.lists(WORDS, max_size=60).map("".join) | st.text(max_size=60)


@given(text=TEXTS)
@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base"])
def test_a_safe_cut_changes_no_token(name: str, text: str) -> None:
    """Both sides of it are what they would be together."""
    encode = encoding(name).encode
    whole = encode(text, disallowed_special=())

    for match in count._SAFE_CUT.finditer(text):
        left, right = text[: match.start()], text[match.start() :]
        assert encode(left, disallowed_special=()) + encode(right, disallowed_special=()) == whole


@given(first=TEXTS, second=TEXTS)
@example(first="TRUE", second="TRUE")  # one token each, five together
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4"])
def test_a_join_costs_no_more_than_the_words_that_it_joins(model: str, first: str, second: str) -> None:
    """So a text that is counted in parts is never counted far too low."""
    together = count_text(first + second, model).tokens
    joined = re.findall(r"\S*\s*\Z", first)[0] + re.findall(r"\A\s*\S*\s*", second)[0]

    at_most = len(joined.encode("utf-8", "surrogatepass"))
    assert together <= count_text(first, model).tokens + count_text(second, model).tokens + at_most


@given(text=TEXTS)
@example(text="<|endoftext|>\ud800 good \udfff")
@example(text="\u5929\u5730\u7384\u9ec3\u5b87\u5b99\u6d2a\u8352" * 9 + "x" * 400 + " " * 90 + "\U0001f600\u200d" * 20)
@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base"])
def test_f169_what_counts_beside_an_event_loop_counts_as_tiktoken_does(name: str, text: str) -> None:
    """Its engine holds every thread while it loads, so it is not loaded while a loop runs."""
    assert PLAIN[name].count(text) == len(encoding(name).encode(text, disallowed_special=()))
