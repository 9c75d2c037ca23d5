"""Who is paid is read from the host, anchored, and from nothing else."""

from __future__ import annotations

from decimal import Decimal

import pytest
from genai_prices import data_snapshot
from hypothesis import given
from hypothesis import strategies as st

from tests.prices.cases import a_call
from token_meter.exceptions import ConfigError
from token_meter.prices import DEFAULT_BOOK, PriceBook
from token_meter.prices._hosts import HOSTS, STATES_DOLLARS
from token_meter.types import Usage

ONE_INPUT = Usage(prompt_tokens=1_000_000, completion_tokens=0)


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://api.openai.com/v1/", "openai"),
        ("https://API.OpenAI.com:443/v1", "openai"),
        ("https://user:secret@api.openai.com/v1", "openai"),
        ("wss://api.openai.com/v1", "openai"),
        ("https://api.openai.com./v1", "openai"),
        ("api.openai.com", "openai"),
        ("api.openai.com:443", "openai"),
        ("https://eu.api.openai.com/v1", "openai"),
        ("https://acme.openai.azure.com/openai/deployments/prod", "azure"),
        ("https://acme.eastus.services.ai.azure.com/models", "azure"),
        ("https://us-central1-aiplatform.googleapis.com/v1beta1/x/endpoints/openapi", "google"),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", "google"),
        ("https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1", "aws"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "dashscope"),
        ("https://dashscope.aliyuncs.com/compatible-mode/v1", "dashscope-cn"),
        # look-alikes
        ("https://api.openai.com.evil.example/v1", None),
        ("https://evil.example/api.openai.com/v1", None),
        ("https://evil.example?host=api.openai.com", None),
        ("https://evil.example#api.openai.com", None),
        ("https://api.openai.com@evil.example/v1", None),
        ("https://api.openai.com\\@evil.example/v1", None),
        ("https://evil-api.openai.com/v1", None),
        ("https://xapi.openai.com/v1", None),
        ("https://openai.azure.com.evil.example/", None),
        ("https://evilopenai.azure.com/", None),
        ("https://storage.googleapis.com/", None),
        ("https://fr.api.openai.com/v1", None),
        ("https://api.openai.com:x/v1", None),
        # nobody's
        ("http://localhost:11434/v1", None),
        ("http://127.0.0.1:8000/v1", None),
        ("http://[::1]:8000/v1", None),
        ("", None),
        (None, None),
        ("https://", None),
        ("not a url", None),
    ],
)
def test_provider_of_base_url(url: str | None, provider: str | None) -> None:
    """User, password, port, path and case do not matter; a host that only looks similar is unknown."""
    assert DEFAULT_BOOK.provider_of(url) == provider


@given(st.text())
def test_provider_of_never_raises(url: str) -> None:
    """Any text is a base URL or is not, without an exception."""
    assert DEFAULT_BOOK.provider_of(url) in {None, *HOSTS.values()}


def test_every_known_provider_has_a_price_list_or_a_reason() -> None:
    """A host in the table is worth nothing when its provider is misspelt."""
    listed = {provider.id for provider in data_snapshot.get_snapshot().providers}

    assert set(HOSTS.values()) - listed - STATES_DOLLARS == {
        "dashscope", "dashscope-cn", "moonshotai-cn", "minimax-cn",
        # Named, so that one who has their prices can say so; the public list has none.
        "github-models", "hyperbolic", "nebius", "nvidia", "sambanova", "snowflake", "watsonx",
    }  # fmt: skip


def test_an_unknown_host_says_how_to_map_it() -> None:
    """The reason names the host, without user, password, path and query."""
    call = a_call("gpt-4o", ONE_INPUT, base_url="http://me:secret@gw.corp:8080/v1?key=hidden")

    reason = DEFAULT_BOOK.price(call).reason

    assert reason == (
        'host gw.corp:8080 has no known provider; say who is paid by hosts = { "gw.corp:8080" = "PROVIDER" } in a price '
        "file (meter(prices=FILE), TOKEN_METER_PRICES, prices in pyproject.toml, or --prices)"
    )


@pytest.mark.parametrize("model", ["gpt-4o-mini", "claude-opus-4-5", "grok-4", "acme-7b"])
@pytest.mark.parametrize("host", ["llm.corp.example:8443", "api.vendor.example", "10.1.2.3:8000"])
def test_f158_an_unknown_host_says_where_to_write_who_is_paid_and_guesses_nobody(host: str, model: str) -> None:
    """Each place that takes a price file is named; no provider is, for the model's maker need not be the one."""
    reason = DEFAULT_BOOK.price(a_call(model, ONE_INPUT, base_url=f"https://{host}/v1")).reason or ""

    assert reason.startswith(f"host {host} has no known provider")
    for place in ("meter(prices=", "TOKEN_METER_PRICES", "pyproject.toml", "--prices"):
        assert place in reason
    assert f'hosts = {{ "{host}" = "PROVIDER" }}' in reason
    assert not any(provider in reason for provider in {*HOSTS.values()})


def test_the_models_name_is_never_a_hint() -> None:
    """A local server may call its model gpt-4o; that does not make it cost what OpenAI takes."""
    assert DEFAULT_BOOK.price(a_call("gpt-4o", ONE_INPUT, base_url="http://localhost:8000/v1")).cost is None


def test_the_recorded_provider_counts_when_the_host_is_nobodys() -> None:
    """A record from a ledger has no base URL: what was decided at departure holds."""
    call = a_call("gpt-4o", ONE_INPUT, base_url=None, host="gw.corp", provider="openai")

    assert DEFAULT_BOOK.price(call).cost == Decimal("2.5")


@pytest.mark.parametrize("region", ["us", "eu", "au", "in", "jp"])
def test_regional_hosts_cost_a_tenth_more_for_newer_models(region: str) -> None:
    """gpt-6.1-terra came after 2026-03-05, gpt-4o before; the date of gpt-realtime-2 is not known."""
    url = f"https://{region}.api.openai.com/v1"
    terra, old, unknown = (
        DEFAULT_BOOK.price(a_call(model, ONE_INPUT._replace(prompt_tokens=100_000), base_url=url))
        for model in ("gpt-6.1-terra", "gpt-4o", "gpt-realtime-2")
    )

    assert terra.cost == Decimal("0.11")
    assert str(terra.source).endswith(" x 1.1")
    assert old.cost == Decimal("0.25")
    assert unknown.reason == f"whether gpt-realtime-2 costs more on {region}.api.openai.com is not known"


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("http://localhost:8000/v1", "openai"),
        ("http://localhost:8001/v1", None),
        ("https://gw.corp/openai/v1", "openai"),
        ("https://gw.corp/openai", "openai"),
        ("https://gw.corp/openai-eu/v1", None),
        ("https://gw.corp:9000/anthropic/v1/", "anthropic"),
        ("https://gw.corp/anthropic/mine/v1", "acme"),
        ("https://gw.corp.evil.example/openai", None),
        ("http://[::1]:9/v1", "openai"),
        ("https://api.openai.com/v1", "acme"),
    ],
)
def test_mapped_hosts(url: str, provider: str | None) -> None:
    """A key binds its host, its port when it names one, and whole path segments; the longest path wins."""
    book = PriceBook(
        hosts={
            "localhost:8000": "openai",
            "https://gw.corp/openai": "openai",
            "https://gw.corp/anthropic/": "Anthropic",
            "https://gw.corp/anthropic/mine": "acme",
            "http://[::1]:9": "openai",
            "api.openai.com": "acme",
        }
    )

    assert book.provider_of(url) == provider


def test_a_mapped_host_is_priced() -> None:
    """The demo maps its simulator to OpenAI."""
    book = PriceBook(hosts={"http://127.0.0.1:5000": "openai"})

    assert book.price(a_call("gpt-4o", ONE_INPUT, base_url="http://127.0.0.1:5000/v1")).cost == Decimal("2.5")


@pytest.mark.parametrize("key", ["", "https://", "http://user@:80", 7])
def test_a_key_that_names_no_host_is_refused(key: object) -> None:
    """A mapping that can never match is a mistake."""
    with pytest.raises(ConfigError, match="hosts: a key must be a base URL or host"):
        PriceBook(hosts={key: "openai"})  # type: ignore[dict-item]  # the mistake
