"""A gateway with models of several providers, priced by the model where the user says so; and a slip in `hosts`."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from token_meter import ConfigError
from token_meter.cli import main
from token_meter.prices import DEFAULT_BOOK, PriceBook, Rates
from token_meter.types import Call, Price, Usage

GATEWAY = PriceBook(hosts={"https://gw.corp": "by-model"})
USAGE = Usage(1_000_000, 0, 1_000_000)


def price(model: str, book: PriceBook = GATEWAY, **more: Any) -> Price:
    made = Call(
        "1", 1_795_169_700.0, 0.1, "gw.corp", "chat", model, model, USAGE, status=200, base_url="https://gw.corp/v1"
    )
    return book.price(made._replace(**more))


def at_home(model: str, host: str) -> Decimal | None:
    """What the maker itself takes."""
    return price(model, DEFAULT_BOOK, host=host, base_url=f"https://{host}").cost


@pytest.mark.parametrize(
    ("model", "name", "host"),
    [
        ("gpt-4o", "gpt-4o", "api.openai.com"),
        ("claude-sonnet-4-5", "claude-sonnet-4-5", "api.anthropic.com"),
        ("anthropic/claude-sonnet-4-5", "claude-sonnet-4-5", "api.anthropic.com"),
        ("openai/gpt-4o-mini", "gpt-4o-mini", "api.openai.com"),
        ("gemini/gemini-2.5-flash", "gemini-2.5-flash", "generativelanguage.googleapis.com"),
    ],
)
def test_f152_a_gateway_is_priced_by_the_model(model: str, name: str, host: str) -> None:
    """As its maker prices it, and the source says that the user asked for that."""
    found = price(model)

    assert found.cost == at_home(name, host) is not None
    assert (found.source or "").endswith(", by-model as hosts says")


def test_f152_private_rates_and_factors_hold_there_too() -> None:
    """The user's own words come first."""
    own = PriceBook(
        [Rates("acme", "acme-7b", input="3")],
        hosts={"https://gw.corp": "by-model"},
        multipliers={"https://gw.corp": "2"},
    )

    assert price("acme-7b", own).cost == 3
    assert price("gpt-4o", own).cost == 2 * (at_home("gpt-4o", "api.openai.com") or 0)


@pytest.mark.parametrize(
    ("model", "cost"), [("acme/acme-7b", 3), ("acme/acme-x9", 5), ("acme-x9", 5), ("acme/acme-8b", None)]
)
def test_f152_private_rates_are_found_by_prefix_and_by_pattern(model: str, cost: int | None) -> None:
    """A gateway spells a private provider as it spells a maker, and `*` means there what it means elsewhere."""
    own = PriceBook(
        [Rates("acme", "acme-7b", input="3"), Rates("acme", "acme-x*", input="5")],
        hosts={"https://gw.corp": "by-model"},
    )

    assert price(model, own).cost == cost


def test_f152_a_pattern_takes_no_model_whose_maker_is_named() -> None:
    """`*` of one provider is not a word about another's models."""
    own = PriceBook([Rates("acme", "*", input="3")], hosts={"https://gw.corp": "by-model"})

    assert price("openai/gpt-4o", own).cost == at_home("gpt-4o", "api.openai.com")


@pytest.mark.parametrize("model", ["acme-7b", "acme/gpt-4o", "openai/acme-7b"])
def test_f152_what_nobody_lists_has_no_price(model: str) -> None:
    """Nothing is guessed."""
    assert price(model).cost is None


def test_f152_no_other_host_goes_by_the_model() -> None:
    """A local server may give its models any names; who is paid is told of the gateway's calls alone."""
    call = Call("1", 0.0, 0.1, "gw.corp", "chat", "gpt-4o", "gpt-4o", USAGE, status=200, base_url="https://gw.corp/v1")

    assert price("gpt-4o", base_url="https://other.corp", host="other.corp").cost is None
    assert [GATEWAY.priced(call).provider, GATEWAY.priced(call._replace(response_model="acme")).provider] == [
        "openai",
        None,
    ]


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ('"x" = "opnai"', "did you mean 'openai'?"),
        ('"x" = "openai"\n"gw.corp" = "antropic"', "did you mean 'anthropic'?"),
        ('"x" = "by model"', "did you mean 'by-model'?"),
        ('"x" = "zzz"', "whom nothing prices"),
    ],
)
def test_f155_a_misspelt_provider_is_refused_with_a_suggestion(tmp_path: Path, hosts: str, said: str) -> None:
    """A gateway would be unpriced for ever."""
    (tmp_path / "p.toml").write_text(f"[hosts]\n{hosts}\n")
    done = CliRunner().invoke(main, ["prices", "check", str(tmp_path / "p.toml")])

    assert (done.exit_code, said in done.output) == (2, True), done.output


@pytest.mark.parametrize(
    ("provider", "close"), [("opnai", "openai"), ("antropic", "anthropic"), ("by_model", "by-model")]
)
def test_a_price_book_refuses_a_misspelt_provider_and_names_the_one_that_was_meant(provider: str, close: str) -> None:
    """Any other name may be registered later, and a name with rows of its own is the book's."""
    with pytest.raises(ConfigError, match=f"is paid to '{provider}', whom nothing prices; did you mean '{close}'"):
        PriceBook(hosts={"gw.corp": provider})
    assert PriceBook(hosts={"gw.corp": "house"}).provider_of("https://gw.corp/v1") == "house"
    assert PriceBook([Rates(provider, "*", input=0, output=0)], hosts={"gw.corp": provider})


@pytest.mark.parametrize(
    "text",
    [
        '[hosts]\n"x" = "openai"\n', '[hosts]\n"x" = "by-model"\n', '[hosts]\n"x" = "dashscope-cn"\n',
        '[hosts]\n"x" = "acme"\n[[overrides]]\nprovider = "acme"\nmodel = "m"\ninput = "1"\n',
    ],
)  # fmt: skip
def test_f155_a_provider_whom_something_prices_passes(tmp_path: Path, text: str) -> None:
    """A list, a row of the file itself, the word for the model; and one that is known to take no dollars."""
    (tmp_path / "p.toml").write_text(text)

    assert CliRunner().invoke(main, ["prices", "check", str(tmp_path / "p.toml")]).exit_code == 0


@pytest.mark.parametrize(
    ("provider", "hosts", "said"),
    [
        ("opnai", "", "note: overrides of 'opnai'"), ("opnai", "", "did you mean 'openai'?"), ("openai", "", None),
        ("acme", '[hosts]\n"gw.corp" = "acme"\n', None), ("acme", '[hosts]\n"gw.corp" = "by-model"\n', None),
    ],
)  # fmt: skip
def test_f155_private_rates_that_no_host_leads_to_are_noted(
    tmp_path: Path, provider: str, hosts: str, said: str | None
) -> None:
    """A slip, or the provider of a program: so it is a note, and the file is in order."""
    (tmp_path / "p.toml").write_text(f'{hosts}[[overrides]]\nprovider = "{provider}"\nmodel = "m"\ninput = "1"\n')
    done = CliRunner().invoke(main, ["prices", "check", str(tmp_path / "p.toml")])

    assert (done.exit_code, "note: " in done.output) == (0, said is not None), done.output
    assert (said or "") in done.output


def test_a_gateway_that_is_mapped_to_one_maker_learns_of_the_other() -> None:
    """The reason names who lists the model, and what to write; an unknown name has neither."""
    gateway = PriceBook(hosts={"https://gw.corp": "openai"})

    assert price("claude-sonnet-4-5", gateway).reason == (
        "openai has no price for claude-sonnet-4-5 (anthropic lists it: map a gateway's host to 'by-model')"
    )
    assert price("acme-7b", gateway).reason == "openai has no price for acme-7b"
