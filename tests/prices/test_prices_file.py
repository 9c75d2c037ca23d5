"""A price book on disk says the same as in code, in TOML and in JSON, and its mistakes are named."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.prices.cases import a_call
from token_meter.exceptions import ConfigError
from token_meter.prices import PriceBook, Rates
from token_meter.types import Usage

TOML = """
name = "acme 2026"
on_unpriced = "raise"
web_search = 10

[[overrides]]
provider = "openai"
model = "gpt-6.1-terra"
input = 0.80
output = "4.00"
tier = "flex"
note = "contract 4711"
above = { 272000 = { input = "1.60", output = 6 } }

[multipliers]
"https://acme.openai.azure.com/" = 1.1

[[models]]
base_url = "https://acme.openai.azure.com/"
name = "prod-chat"
model = "gpt-4o"

[hosts]
"https://gw.corp/v1" = "openai"
"""
DATA: dict[str, Any] = {
    "name": "acme 2026",
    "on_unpriced": "raise",
    "web_search": 10,
    "overrides": [
        {
            "provider": "openai",
            "model": "gpt-6.1-terra",
            "input": 0.80,
            "output": "4.00",
            "tier": "flex",
            "note": "contract 4711",
            "above": {"272000": {"input": "1.60", "output": 6}},
        }
    ],
    "multipliers": {"https://acme.openai.azure.com/": 1.1},
    "models": [{"base_url": "https://acme.openai.azure.com/", "name": "prod-chat", "model": "gpt-4o"}],
    "hosts": {"https://gw.corp/v1": "openai"},
}
IN_CODE = PriceBook(
    [
        Rates(
            "openai",
            "gpt-6.1-terra",
            input="0.8",
            output="4.00",
            tier="flex",
            note="contract 4711",
            above={272_000: {"input": "1.60", "output": 6}},
        )
    ],
    {"https://acme.openai.azure.com/": "1.1"},
    {("https://acme.openai.azure.com/", "prod-chat"): "gpt-4o"},
    {"https://gw.corp/v1": "openai"},
    "raise",
    name="acme 2026",
    web_search="10",
)
SMALL = Usage(prompt_tokens=100_000, completion_tokens=1000)
CALLS = [
    a_call("gpt-6.1-terra", SMALL, service_tier="flex", base_url="https://gw.corp/v1"),
    a_call("gpt-6.1-terra", SMALL._replace(prompt_tokens=300_000), service_tier="flex"),
    a_call("prod-chat", SMALL, base_url="https://acme.openai.azure.com/openai/v1/"),
    a_call("gpt-4o", SMALL._replace(web_searches=2)),
]


def write(tmp_path: Path, text: str, suffix: str = ".toml") -> Path:
    path = tmp_path / f"acme{suffix}"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("text", "suffix"), [(TOML, ".toml"), (json.dumps(DATA), ".json")], ids=["toml", "json"])
def test_file_and_code_say_the_same(tmp_path: Path, text: str, suffix: str) -> None:
    """The same words give the same prices, to the last digit: numbers in a file are as they are written."""
    book = PriceBook.from_file(write(tmp_path, text, suffix))

    assert [book.price(call) for call in CALLS] == [IN_CODE.price(call) for call in CALLS]
    assert all(book.price(call).cost is not None for call in CALLS)
    assert book.price(CALLS[2]).cost == Decimal("0.286")
    assert (book.on_unpriced, book.name, repr(book)) == ("raise", "acme 2026", repr(IN_CODE))


def test_a_book_is_named_after_its_file(tmp_path: Path) -> None:
    """Reports tell by which file they were priced, without the path to it."""
    book = PriceBook.from_file(str(write(tmp_path, "[hosts]\n")))

    assert book.name == "acme.toml"
    assert str(tmp_path) not in book.version + repr(book)


@pytest.mark.parametrize(
    ("text", "suffix", "words"),
    [
        ("[[overrides]", ".toml", "it is not valid TOML"),
        ("{", ".json", "it is not valid JSON"),
        ("[" * 100_000, ".json", "it is not valid JSON"),
        ("[]", ".json", "must hold a table"),
        ("", ".yaml", "must end in .toml or .json"),
        ("overides = []", ".toml", r"'overides' is not a key; did you mean 'overrides'\?"),
        ("overrides = 1", ".toml", "overrides must be a list of tables, not int"),
        ("overrides = [1]", ".toml", "each of overrides must be a table with provider, model and rates"),
        ('[[overrides]]\nprovider = "openai"', ".toml", "each of overrides must be a table with provider"),
        ('[[overrides]]\nprovider = "openai"\nmodel = "m"\ninput = -1', ".toml", "input must be a number"),
        ('[[overrides]]\nprovider = "openai"\nmodel = "m"\nimput = 1', ".toml", "did you mean 'input'"),
        ('[[overrides]]\nprovider = "openai"\nmodel = "m"\ninput = nan', ".toml", "input must be a number"),
        ('[[overrides]]\nprovider = 1\nmodel = "m"\ninput = 1', ".toml", "provider must be a string, not 1"),
        ('[[models]]\nname = "x"', ".toml", "each of models must be a table with base_url, model, name"),
        (
            '[[models]]\nbase_url = "h"\nname = 1\nmodel = "m"',
            ".toml",
            "base_url, model, name, all strings",
        ),
        ('[[models]]\nbase_url = "h"\nname = "x"\nmodel = "m"\n' * 2, ".toml", "models names 'x' twice"),
        ('on_unpriced = "shout"', ".toml", "on_unpriced must be one of"),
        ("name = 7", ".toml", "name must be given as a string, not 7"),
        ("hosts = 1", ".toml", "hosts must be a table, not 1"),
        ('[multipliers]\n"" = 1', ".toml", "multipliers: a key must be a base URL"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, suffix: str, words: str) -> None:
    """The message says which file, what is wrong and what was expected."""
    with pytest.raises(ConfigError, match=words) as caught:
        PriceBook.from_file(write(tmp_path, text, suffix))

    assert f"price file acme{suffix}" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A missing file is a mistake of the caller, and an error of ours."""
    with pytest.raises(ConfigError, match=r"price file none\.toml: it cannot be read: No such file"):
        PriceBook.from_file(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are no price file."""
    path = tmp_path / "acme.json"
    path.write_bytes(b"\xff\xfe{}")

    with pytest.raises(ConfigError, match="it is not UTF-8"):
        PriceBook.from_file(path)
