"""Private prices: whose rates count, what a book refuses, and that it stays what it was made."""

from __future__ import annotations

import copy
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import genai_prices
import pytest
from genai_prices import data_snapshot

from tests.prices.cases import a_call
from token_meter.exceptions import ConfigError
from token_meter.prices import DEFAULT_BOOK, PriceBook, Rates, _fees
from token_meter.prices._book import _KEPT
from token_meter.prices._by_model import MAKERS
from token_meter.prices._pricing import without
from token_meter.types import Call, Price, Usage

TEXT = Usage(prompt_tokens=1_000_000, completion_tokens=1_000_000)
CACHED = TEXT._replace(cached_tokens=500_000)
ROUTER = "https://openrouter.ai/api/v1"
AZURE = "https://acme.openai.azure.com/openai/v1/"
CONTRACT = Rates(
    "openai", "gpt-6.1-terra", input="0.80", output=Decimal(4), tier=None, as_of="2026-11-01", note="contract 4711"
)


@pytest.fixture
def no_custom_prices() -> Iterator[None]:
    """Leave genai-prices as it was found."""
    yield
    data_snapshot.set_custom_snapshot(None)


def cost(book: PriceBook, model: str, usage: Usage = TEXT, **fields: Any) -> Decimal | None:
    return book.price(a_call(model, usage, **fields)).cost


def test_an_override_comes_before_every_list() -> None:
    """A private row wins over the overlay and the public list, and says which contract it is."""
    book = PriceBook([CONTRACT, Rates("openai", "omni-moderation-latest", input="1", output="1")])

    assert book.price(a_call("gpt-6.1-terra", TEXT)) == Price(
        Decimal("4.80"), "override contract 4711 of 2026-11-01", None
    )
    assert cost(book, "omni-moderation-latest") == 2


def test_an_override_replaces_the_whole_row() -> None:
    """What the private row does not name has no price, though the public list has one."""
    price = PriceBook([CONTRACT]).price(a_call("gpt-6.1-terra", CACHED))

    assert (price.missing, price.reason) == (("cached input",), "no rate is known for cached input")
    assert price.cost == cost(PriceBook([CONTRACT]), "gpt-6.1-terra", without(CACHED, "cached_input"))


def test_an_override_is_for_its_tier_only() -> None:
    """Other tiers and batches keep their list price."""
    book = PriceBook(
        [
            CONTRACT,
            Rates("openai", "gpt-6.1-terra", tier="ultrafast", input="7", output="7"),
            Rates("openai", "gpt-6.1-terra", processing="batch", input="3", output="3"),
        ]
    )
    small = Usage(prompt_tokens=100_000, completion_tokens=0)

    found = {
        tier: cost(book, "gpt-6.1-terra", small, service_tier=tier) for tier in ("default", "ultrafast", "flex", "x")
    }

    assert found == {"default": Decimal("0.08"), "ultrafast": Decimal("0.7"), "flex": Decimal("0.05"), "x": None}
    assert cost(book, "gpt-6.1-terra", small, processing="batch") == Decimal("0.3")


def test_an_override_has_bands() -> None:
    """Above a number of input tokens all tokens cost the other rates."""
    book = PriceBook([Rates("openai", "m", input="1", output="2", above={"1_000": {"input": "3", "output": "4"}})])

    assert cost(book, "m", Usage(prompt_tokens=1000, completion_tokens=10)) == Decimal("0.00102")
    assert cost(book, "m", Usage(prompt_tokens=1001, completion_tokens=10)) == Decimal("0.003043")


def test_an_override_by_pattern() -> None:
    """An exact name comes before a pattern, a longer pattern before a shorter."""
    book = PriceBook(
        [
            Rates("openai", "ft:gpt-4o-*", input="1", output="1"),
            Rates("openai", "ft:gpt-4o-mini-*", input="2", output="2"),
            Rates("openai", "ft:gpt-4o-mini-2024-07-18:acme::x", input="3", output="3"),
        ]
    )

    assert cost(book, "ft:gpt-4o-2024-08-06:acme::y") == 2
    assert cost(book, "ft:gpt-4o-mini-2024-07-18:acme::y") == 4
    assert cost(book, "FT:gpt-4o-mini-2024-07-18:acme::x") == 6


def test_an_override_for_the_alias_covers_the_snapshot_that_it_stands_for() -> None:
    """Who asks for gpt-4o gets gpt-4o-2024-08-06; a gateway that serves another model is not covered."""
    book = PriceBook([Rates("openai", "gpt-4o", input="1", output="1")])

    assert cost(book, "gpt-4o-2024-08-06", request_model="gpt-4o") == 2
    assert cost(book, "gpt-4o-2024-08-06", request_model="gpt-4o-2024-08-06") == Decimal("12.5")
    assert cost(book, "gpt-4o-mini-2024-07-18", request_model="gpt-4o") == Decimal("0.75")


def test_what_the_provider_charged_comes_before_an_override() -> None:
    """A bill is a bill."""
    book = PriceBook([Rates("openrouter", "gpt-6.1-terra", input="0.80", output="4")])
    charged = TEXT._replace(provider_cost=Decimal("0.5"))

    assert cost(book, "gpt-6.1-terra", charged, base_url=ROUTER) == Decimal("0.5")


def test_a_multiplier_is_for_list_prices_and_not_for_private_ones() -> None:
    """An override is the price that is paid; a factor on top of it would be wrong."""
    book = PriceBook([Rates("azure", "gpt-4o", input="1", output="1")], {AZURE: "1.1"})

    assert cost(book, "gpt-4o", base_url=AZURE) == 2
    assert cost(book, "gpt-4o-mini", base_url=AZURE) == Decimal("0.825")


def test_a_multiplier_and_a_region_multiply() -> None:
    """A negotiated discount on a regional host: 0.5 x 1.1."""
    book = PriceBook(multipliers={"https://eu.api.openai.com": "0.5"})
    usage = Usage(prompt_tokens=100_000, completion_tokens=0)

    assert cost(book, "gpt-6.1-terra", usage, base_url="https://eu.api.openai.com/v1") == Decimal("0.055")


def test_a_deployment_is_priced_as_the_model_it_is() -> None:
    """The user's word counts more than the answer's."""
    book = PriceBook(models={("https://acme.openai.azure.com/", "Prod-Chat"): "gpt-4o-2024-08-06"})

    assert cost(book, "prod-chat", base_url=AZURE) == Decimal("12.5")
    assert cost(book, "gpt-4o-mini", base_url=AZURE, request_model="prod-chat") == Decimal("12.5")
    assert cost(book, "prod-chat", base_url="https://other.openai.azure.com/openai/v1/") is None


def test_web_searches_are_priced_when_asked() -> None:
    """The rate of the book, on top of the tokens; a provider's bill already includes them."""
    book = PriceBook(web_search="20")
    searched = TEXT._replace(web_searches=3)

    assert book.price(a_call("gpt-4o", searched)) == Price(
        Decimal("12.56"), f"genai-prices {genai_prices.__version__} + fees {_fees.AS_OF}", None
    )
    assert cost(book, "gpt-4o", TEXT) == Decimal("12.5")
    assert cost(book, "gpt-4o", searched._replace(provider_cost=Decimal(1)), base_url=ROUTER) == 1
    assert cost(book, "gpt-9", searched) is None


def test_an_estimate_is_priced_like_a_report() -> None:
    """How the tokens are known does not change what they cost."""
    assert cost(DEFAULT_BOOK, "gpt-4o", certainty="estimated") == cost(DEFAULT_BOOK, "gpt-4o") == Decimal("12.5")


@pytest.mark.parametrize(("total", "out"), [(None, 50), (120, 20), (150, 50), (400, 300)])
def test_a_total_beside_the_sum(total: int | None, out: int) -> None:
    """A total above the sum holds hidden output where as much reasoning is said; below it, it is the least."""
    usage = Usage(prompt_tokens=100, completion_tokens=50, total_tokens=total, reasoning_tokens=250)

    assert cost(DEFAULT_BOOK, "gpt-4o", usage) == (100 * Decimal("2.5") + out * 10) / 1_000_000


def test_a_copy_of_a_book_is_the_book() -> None:
    """A meter that is copied keeps its prices."""
    book = PriceBook([CONTRACT])

    assert copy.copy(book) is copy.deepcopy(book) is book


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Rates("openai", "m", input=0.8), r'input is the float 0\.8.*write it as a string: "0\.8"'),  # type: ignore[arg-type]
        (lambda: Rates("openai", "m", input="-1"), r"input must be a number that is at least 0.*not \'-1\'"),
        (lambda: Rates("openai", "m", input="NaN"), "input must be a number"),
        (lambda: Rates("openai", "m", input=True), "input must be a number"),
        (lambda: Rates("openai", "m", input=None), "input must be a number"),  # type: ignore[arg-type]
        (lambda: Rates("openai", "m", input="cheap"), "input must be a number"),
        (lambda: Rates("openai", "m", imput="1"), r"'imput' is not a rate; did you mean 'input'\?"),
        (lambda: Rates("openai", "m", cached="1"), "'cached' is not a rate"),
        (lambda: Rates("openai", "m"), "has no rate"),
        (lambda: Rates("", "m", input="1"), "provider must be a name such as 'openai'"),
        (lambda: Rates("openai", 7, input="1"), "model must be a string, not 7"),  # type: ignore[arg-type]
        (lambda: Rates("openai", "m", input="1", tier=1), "tier must be a string"),  # type: ignore[arg-type]
        (lambda: Rates("openai", "m", input="1", above={0: {}}), "above must name a number of input tokens"),
        (lambda: Rates("openai", "m", input="1", above={"x": {}}), "above must name a number of input tokens"),
        (lambda: Rates("openai", "m", input="1", above={9: 1}), "must be a table of rates"),  # type: ignore[dict-item]
        (lambda: Rates("openai", "m", input="1", above=9), "above must be a table"),  # type: ignore[arg-type]
        (lambda: Rates("openai", "m", input="1", above={9: {}, "9": {}}), "names one number of input tokens twice"),
        (lambda: Rates("openai", "m", input="1", above={9: {"input": 0.1}}), "input is the float"),
        (lambda: PriceBook(multipliers={"gw.corp": 1.1}), "multipliers is the float 1.1"),  # type: ignore[dict-item]
        (lambda: PriceBook(multipliers={"gw.corp": "-1"}), "multipliers must be a number"),
        (lambda: PriceBook(multipliers=[1]), "multipliers must be a table"),  # type: ignore[arg-type]
        (lambda: PriceBook(hosts={"gw.corp": 1}), "hosts must be given as a string"),  # type: ignore[dict-item]
        (lambda: PriceBook(models={"gw.corp": "gpt-4o"}), r"a key is \(base URL, name\)"),  # type: ignore[dict-item]
        (lambda: PriceBook(web_search=0.01), "web_search is the float"),  # type: ignore[arg-type]
        (lambda: PriceBook(on_unpriced="shout"), "on_unpriced must be one of warn, raise, ignore, not 'shout'"),
        (lambda: PriceBook([{"input": "1"}]), r"overrides must be Rates\(...\)"),  # type: ignore[list-item]
        (lambda: PriceBook([CONTRACT, CONTRACT]), "two overrides for openai gpt-6.1-terra"),
    ],
)
def test_a_mistake_is_refused_at_the_border(make: Any, words: str) -> None:
    """What cannot be meant is said at once, with the value and what to write instead."""
    with pytest.raises(ConfigError, match=words):
        make()


def test_a_book_and_its_rates_are_fixed() -> None:
    """Meters and threads share a book: nothing in it changes."""
    for thing, field in ((PriceBook(), "on_unpriced"), (PriceBook(), "new"), (CONTRACT, "model")):
        with pytest.raises(AttributeError, match="immutable; make"):
            setattr(thing, field, "x")
        with pytest.raises(AttributeError, match="immutable; make"):
            delattr(thing, field)


def test_the_users_tables_are_copied() -> None:
    """A table that changes later does not change the book."""
    hosts = {"gw.corp": "openai"}
    book = PriceBook(hosts=hosts)

    hosts["gw.corp"] = "anthropic"

    assert book.provider_of("https://gw.corp/v1") == "openai"


def test_reprs_hold_no_secret() -> None:
    """User, password, query and path of a base URL stay out of every repr and stamp."""
    url = "https://me:secret@gw.corp/hidden/v1?key=hidden"
    book = PriceBook([CONTRACT], {url: "1.1"}, {(url, "prod"): "gpt-4o"}, {url: "openai"}, name="2026")

    shown = repr(book) + book.version + repr(book.overrides)

    assert "secret" not in shown
    assert "hidden" not in shown
    assert repr(book) == "<PriceBook '2026': 1 overrides, 1 multipliers, 1 models, 1 hosts, on_unpriced='warn'>"
    assert repr(CONTRACT) == "Rates('openai', 'gpt-6.1-terra', input='0.80', output='4', as_of='2026-11-01')"


def test_the_stamp_names_every_source() -> None:
    """A report says which price data, overlay and private book it stands on."""
    public = f"genai-prices {genai_prices.__version__} + overlay 2026-11-27"

    assert DEFAULT_BOOK.version == public
    assert PriceBook([CONTRACT]).version == f"{public} + price book (1 override)"
    assert PriceBook([CONTRACT], name="acme.toml").version == f"{public} + acme.toml (1 override)"
    assert PriceBook(name="acme.toml").version == f"{public} + acme.toml (0 overrides)"


@pytest.mark.parametrize(
    "other",
    [
        PriceBook([Rates("openai", "gpt-6.1-terra", input="0.81", output=4)]),
        PriceBook([CONTRACT], {"https://gw.corp/": "1.1"}),
        PriceBook([CONTRACT], models={("https://gw.corp/", "prod"): "gpt-4o"}),
        PriceBook([CONTRACT], hosts={"https://gw.corp/": "openai"}),
        PriceBook([CONTRACT], web_search="10"),
    ],
)
def test_the_digest_tells_books_of_one_name_apart(other: PriceBook) -> None:
    """Two price files may both be called prices.toml."""
    book = PriceBook([CONTRACT])

    assert other.version == book.version
    assert len({book.digest, other.digest, DEFAULT_BOOK.digest}) == 3
    assert PriceBook([CONTRACT]).digest == book.digest
    assert DEFAULT_BOOK.digest == ""


@pytest.mark.usefixtures("no_custom_prices")
def test_prices_that_the_app_updates_are_honoured() -> None:
    """A book that has priced a call before takes the new price at the next one, and says when it is from."""
    book = PriceBook()
    before = cost(book, "gpt-4o")
    cheap = genai_prices.types.ModelInfo(
        id="gpt-4o",
        match=genai_prices.types.ClauseEquals("gpt-4o"),
        prices=genai_prices.types.ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1)),
    )
    provider = genai_prices.types.Provider(id="openai", name="OpenAI", api_pattern="x", models=[cheap])

    data_snapshot.set_custom_snapshot(data_snapshot.DataSnapshot(providers=[provider], from_auto_update=True))
    after, version = cost(book, "gpt-4o"), book.version
    data_snapshot.set_custom_snapshot(None)

    assert (before, after, cost(book, "gpt-4o")) == (Decimal("12.5"), 2, Decimal("12.5"))
    assert " (updated 20" in version
    assert " (updated 20" not in book.version


@pytest.mark.usefixtures("no_custom_prices")
def test_broken_price_data_is_a_reason_and_no_exception() -> None:
    """Metering never breaks the user's call, with any price data that the app has set."""
    book = PriceBook()
    data_snapshot.set_custom_snapshot(data_snapshot.DataSnapshot(providers=[None], from_auto_update=False))  # type: ignore[list-item]

    price = book.price(a_call("gpt-4o", TEXT))

    assert price.cost is None
    assert price.reason == "pricing failed: AttributeError"


def test_many_names_do_not_fill_the_memory() -> None:
    """What was resolved is kept, up to a limit; genai-prices is not asked about names that it does not know."""
    book = PriceBook(hosts={"gw.corp": "openai"})
    snapshot = data_snapshot.get_snapshot()
    known = len(snapshot._provider_cache), len(snapshot._lookup_cache)

    for i in range(_KEPT + 10):
        book.price(a_call(f"random-{i}", TEXT, base_url="https://gw.corp"))

    assert len(book._memo.entries) <= _KEPT
    assert len(snapshot._provider_cache) <= known[0] + len(MAKERS)  # each is asked who lists the name
    assert len(snapshot._lookup_cache) == known[1]


def test_threads_share_a_book() -> None:
    """Eight threads over prices that change by the hour all read the right ones."""
    book = PriceBook()
    hours = {1795136400.0 + 3600 * hour: hour for hour in range(24)}  # from 2026-11-20T01:00:00Z
    wrong: list[object] = []

    def work() -> None:
        for started_s, hour in list(hours.items()) * 5:
            peak = hour in (0, 1, 2, 5, 6, 7, 8)
            found = cost(book, "deepseek-flash", started_s=started_s, base_url="https://api.deepseek.com")
            if found != Decimal("1.5" if peak else "0.75"):
                wrong.append((started_s, found))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_the_price_data_is_loaded_at_the_first_list_price() -> None:
    """Not at import, not for a private price; a provider's bill is compared with it."""
    program = """
import sys
from decimal import Decimal
from token_meter.prices import DEFAULT_BOOK, PriceBook, Rates
from token_meter.types import Call, Usage

def price(book, usage):
    host = "openrouter.ai" if usage.provider_cost else "api.openai.com"
    call = Call("1", 1795136400.0, 0.1, host, "chat", response_model="gpt-4o", usage=usage)
    return book.price(call).source

def loaded():
    return any(name.partition(".")[0] in ("genai_prices", "pydantic", "httpx2") for name in sys.modules)

print(price(PriceBook([Rates("openai", "gpt-4o", input=1, output=1)]), Usage(1, 1)), loaded())
print(price(DEFAULT_BOOK, Usage(1, 1, provider_cost=Decimal(1))), DEFAULT_BOOK.version != "", loaded())
print(price(DEFAULT_BOOK, Usage(1, 1))[:12], loaded())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == ["override False", "provider True True", "genai-prices True"]


@pytest.mark.parametrize(
    ("base_url", "provider"),
    [
        ("https://api.openai.com/v1", "openai"), ("https://acme.openai.azure.com/openai", "azure"),
        ("https://gw.corp/v1", "openai"), ("http://127.0.0.1:8000/v1", None), ("::", None),
    ],
)  # fmt: skip
def test_a_priced_call_names_who_is_paid(base_url: str, provider: str | None) -> None:
    """Read from the host, or from the book's own hosts; never from a model's name."""
    book = PriceBook(hosts={"https://gw.corp/v1": "openai"})
    call = Call("1", 0.0, 0.1, None, "chat", "gpt-4o", "gpt-4o", Usage(1, 1, 2), base_url=base_url)

    assert book.priced(call).provider == provider
    assert book.priced(call).price == book.price(call)


_FIRST_PRICES = """
from tests.prices.cases import a_call
from token_meter.prices import PriceBook, _contract
from token_meter.types import Usage

looked_up, found = [], _contract.published
_contract.published = lambda *words: looked_up.append(words) or found(*words)
book = PriceBook()
for _ in range(3):
    assert book.price(a_call("gpt-4o-mini", Usage(5, 2, 7))).cost
print(len(looked_up))
"""


def test_f165_the_first_price_of_a_process_is_looked_up_once() -> None:
    """It loads the list, which is no reason to look again."""
    done = subprocess.run([sys.executable, "-c", _FIRST_PRICES], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "1\n"
