"""The bill and the ledger: every difference that was planted is named by its cause, and nothing stays unexplained."""

from __future__ import annotations

import json
import random
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.bills.worlds import DAY_S, MODELS, START, World, a_world, base_url
from token_meter.bills import FORMATS, ours_of, reconcile
from token_meter.bills._sources import parse, saved
from token_meter.cli import main
from token_meter.ledger import Ledger, read_run
from token_meter.prices import DEFAULT_BOOK
from token_meter.simulator import Simulator, admin
from token_meter.simulator.bill import Books
from token_meter.simulator.options import read_options

PERIOD = ("--since", "2026-11-01", "--until", "2026-11-20", "--settled-before", "2026-11-08")


def tm(*words: object) -> Result:
    """`token-meter WORDS`, in this process."""
    return CliRunner().invoke(main, ["reconcile", *map(str, words)])


def _pages(books: Books, *, rough: bool = False, **options: object) -> dict[str, list[dict[str, Any]]]:
    """What the endpoints answer, without a socket."""
    entries, chosen = books.bill().entries, read_options((name, str(value)) for name, value in options.items())
    by = ["api_key_id", "project_id"]
    found: dict[str, list[dict[str, Any]]] = {}
    for endpoint, more in (
        ("usage/completions", ["model", "batch", "service_tier"]), ("usage/embeddings", ["model"]), ("costs", ["line_item"])
    ):  # fmt: skip
        query: dict[str, list[str]] = {
            "start_time": [str(START)], "end_time": [str(START + 9 * DAY_S)], "limit": ["4"],
            "group_by[]": [*([] if rough else by), *more],
        }  # fmt: skip
        found[endpoint] = [admin.report(f"/v1/organization/{endpoint}", query, "sim-admin", entries, chosen)]
        while (page := found[endpoint][-1])["has_more"]:
            again = {**query, "page": [page["next_page"]]}
            found[endpoint].append(admin.report(f"/v1/organization/{endpoint}", again, "sim-admin", entries, chosen))
    text = saved("openai", found)
    pages: dict[str, list[dict[str, Any]]] = json.loads(text, parse_float=Decimal)["pages"]
    return pages


def _found(
    world: World, folder: Path, settled: str = "2026-11-20", since: str = "2026-11-01", **options: object
) -> Any:
    ours = ours_of(read_run(folder, merge=False), DEFAULT_BOOK)
    bill = parse("openai", _pages(world.books, **options))
    return reconcile(bill, ours, DEFAULT_BOOK, mine=["key_ours"], since=since, until="2026-11-20", settled=settled)


@pytest.mark.parametrize("seed", range(60))
def test_every_planted_cause_is_named(tmp_path: Path, seed: int) -> None:
    """Lost and timed-out requests, cut streams, other keys, midnights, batches, unpriced tiers, fees, wrong rates,
    rounding, and a provider who is late.
    """
    rng = random.Random(-seed)
    options: dict[str, object] = {}
    world = a_world(tmp_path, Books(), seed)
    expected = set(world.causes)
    if rng.random() < 0.4:
        options["fee"] = 0.35
        expected.add("fees")
    if rng.random() < 0.4:
        options["rate"] = 1.25
        expected.add("rates")
    elif rng.random() < 0.6:
        options["round"] = 4
        expected.add("rounding")
    if rng.random() < 0.5:  # the last day of the world
        late_s = START + 6 * DAY_S + 43_200
        options["lag"] = time.time() - late_s
        world.both(late_s + 600, MODELS[0])
        expected.add("not-settled")
    world.ledger.close()
    found = _found(world, tmp_path, settled="2026-11-08", since="2026-11-02", **options)
    named = {cause.code for cause in found.causes if cause.parts}

    assert not found.unexplained.parts, (found.unexplained, expected)
    assert expected <= named <= expected | {"rounding"}
    assert sum((cause.amount for cause in found.causes), Decimal(0)) == found.bill_amount - found.our_amount
    assert sum(cause.tokens.input for cause in found.causes) == found.bill.input - found.ours.input
    assert sum(cause.tokens.output for cause in found.causes) == found.bill.output - found.ours.output


def test_what_is_right_differs_in_nothing(tmp_path: Path) -> None:
    """No cause is made up."""
    world = World(Ledger.create(tmp_path), Books(), random.Random(1))
    for n in range(30):
        world.both(START + n * 20_000, MODELS[n % 4])
    world.ledger.close()
    found = _found(world, tmp_path)

    assert [cause.code for cause in found.causes if cause.parts if cause.code != "rounding"] == []
    assert abs(found.bill_amount - found.our_amount) < Decimal("1e-9")


def test_what_has_no_cause_is_unexplained(tmp_path: Path) -> None:
    """The ledger has more than the bill, or other tokens in as many exact calls."""
    world = World(Ledger.create(tmp_path), Books(), random.Random(1))
    world.both(START + 50_000, MODELS[0])
    usage = world.usage(MODELS[0])
    world.record(usage, START + 50_000, MODELS[0])
    world.ledger.close()
    found = _found(world, tmp_path)

    assert found.unexplained.tokens.requests == -1
    assert found.unexplained.tokens.input == -(usage.prompt_tokens or 0)
    assert found.share > Decimal("0.01")


def test_days_that_may_still_change_are_left_out(tmp_path: Path) -> None:
    """A provider is late; what it has not counted yet is no loss of ours."""
    world = World(Ledger.create(tmp_path), Books(), random.Random(1))
    for n in range(6):
        world.both(START + n * DAY_S, MODELS[1])
    world.record(world.usage(MODELS[1]), START + 5 * DAY_S + 9, MODELS[1])
    world.ledger.close()
    found = _found(world, tmp_path, settled="2026-11-07")
    (cause,) = (cause for cause in found.causes if cause.parts and cause.code != "rounding")

    assert (cause.code, cause.tokens.requests) == ("not-settled", -1)


@pytest.fixture
def live(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sim-admin-1")
    monkeypatch.setenv("ANTHROPIC_ADMIN_KEY", "sim-admin-1")
    simulator.reset()
    return a_world(tmp_path / "data", simulator.app.books, 7)


def test_offline_is_live_byte_for_byte(tmp_path: Path, simulator: Simulator, live: World) -> None:
    """Through the SDK's admin endpoints, in pages; and what was kept reads as what was answered."""
    url = base_url(simulator, fee=0.5, round=4)
    words = (tmp_path / "data", *PERIOD, "--mine", "key_ours", "-f", "json")
    asked = tm("--openai", "--base-url", url, "--save", tmp_path / "bill.json", *words)
    again = tm("--bill", tmp_path / "bill.json", *words)

    assert asked.exit_code == again.exit_code == 0, asked.output
    assert asked.stdout == again.stdout
    causes = {cause["code"] for cause in json.loads(asked.stdout)["causes"] if cause["rows"]}
    assert live.causes | {"fees"} <= causes
    assert (tmp_path / "bill.json").stat().st_mode & 0o077 == 0


def test_cents_are_cents(tmp_path: Path, simulator: Simulator, live: World) -> None:
    """Anthropic's amounts are a hundred times their dollars; its usage says no number of requests."""
    done = tm(
        tmp_path / "data",
        "--anthropic",
        "--base-url",
        simulator.url,
        *PERIOD,
        "-f",
        "json",
        "--save",
        tmp_path / "a.json",
    )
    found = json.loads(done.stdout)
    bill = sum((cost for entry in simulator.app.books.bill().entries for _, _, cost in admin._parts(entry)), Decimal(0))

    assert abs(Decimal(found["bill"]["cost"]) - bill) < Decimal("1e-9")
    assert found["compares"] == {"tokens": True, "requests": False, "money": True}
    assert {cause["code"] for cause in found["causes"] if cause["rows"]} == {"not-settled", "never-seen", "unpriced"}
    assert tm(tmp_path / "data", "--bill", tmp_path / "a.json", *PERIOD, "-f", "json").stdout == done.stdout


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_the_outcome(tmp_path: Path, simulator: Simulator, live: World, name: str) -> None:
    """To a file, or to the output."""
    words = (tmp_path / "data", *PERIOD, "--openai", "--base-url", simulator.base_url)
    done = tm(*words, "-f", f"{name}:{tmp_path / 'out'}")

    assert done.exit_code in (0, 3), done.output
    assert (tmp_path / "out").read_text()


def test_above_the_tolerance_the_command_fails(tmp_path: Path, simulator: Simulator, live: World) -> None:
    """With 3, as for every limit."""
    live.ledger.call(next(iter(read_run(tmp_path / "data", merge=False))).call._replace(id="00000000000000c1-1"))
    live.ledger.close()
    words = (tmp_path / "data", *PERIOD, "--openai", "--base-url", simulator.base_url, "--mine", "key_ours")

    assert [tm(*words, "--tolerance", share).exit_code for share in ("0%", "100%")] == [3, 0]


@pytest.mark.parametrize(
    ("text", "cost", "tokens"),
    [
        (
            '{"data": [{"date": "2026-11-03", "model": "openai/gpt-4o", "usage": 0.01, "byok_usage_inference": 0.2,'
            ' "requests": 2, "prompt_tokens": 10, "completion_tokens": 5, "reasoning_tokens": 0}]}',
            "0.21", 15,
        ),
        (
            "ChargePeriodStart,BilledCost,BillingCurrency,ProviderName,ChargeDescription,ConsumedQuantity,ConsumedUnit,x_Model\n"
            "2026-11-03T00:00:00Z,0.25,USD,OpenAI,gpt-4o input,100000,Tokens,gpt-4o\n"
            "2026-11-03T00:00:00Z,1.5,USD,OpenAI,Vector storage,2,GB,\n",
            "1.75", 100_000,
        ),
        (
            '[{"data": [{"start_time": 1793664000, "results": [{"amount": {"value": 1e-05, "currency": "usd"},'
            ' "line_item": "priority | gpt-9, output, long context", "quantity": null}]}]}]',
            "0.00001", 0,
        ),
    ],
)  # fmt: skip
def test_other_bills_are_read(tmp_path: Path, text: str, cost: str, tokens: int) -> None:
    """OpenRouter's activity with own keys, FOCUS, and pages as they were answered."""
    (tmp_path / "bill").write_text(text)
    Ledger.create(tmp_path / "data").close()
    done = tm(tmp_path / "data", "--bill", tmp_path / "bill", *PERIOD, "-f", "json")
    found = json.loads(done.stdout)

    assert Decimal(found["bill"]["cost"]) == Decimal(cost), done.output
    assert found["bill"]["input"] + found["bill"]["output"] == tokens


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        ((), "say which bill", 2),
        (("--openai", "--bill", "x"), "say which bill", 2),
        (("--bill", "missing.json"), "cannot be read", 1),
        (("--bill", __file__), "is no FOCUS export", 1),
        (("--bill", "x", "-f", "benchmark"), "cannot be written as", 2),
        (("--bill", "x", "--tolerance", "much"), "--tolerance must be a share", 2),
        (("--bill", "x", "--since", "soon"), "a day must be such as", 2),
        (("--bill", "x", "--save", "y"), "--save keeps", 2),
    ],
)
def test_a_mistake_is_told(words: tuple[str, ...], said: str, code: int) -> None:
    """In a line."""
    done = tm(*words)

    assert (done.exit_code, said in done.stderr) == (code, True), done.output


def test_a_bill_with_no_day_in_the_period_does_not_pass(tmp_path: Path) -> None:
    """A comparison of nothing would say that all is explained."""
    (tmp_path / "bill").write_text("ChargePeriodStart,BilledCost,BillingCurrency\n2026-11-03T00:00:00Z,0.25,USD\n")
    Ledger.create(tmp_path / "data").close()
    done = tm(tmp_path / "data", "--bill", tmp_path / "bill", "--since", "2026-11-04", "--until", "2026-11-05")

    assert done.exit_code == 1
    assert "the bill has no rows from 2026-11-04 to before 2026-11-05" in done.stderr


def test_administrators_only(simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoints refuse other keys, wrong groups and wrong limits as the provider does."""
    import httpx

    url, admin_key = f"{simulator.base_url}/organization/costs", {"authorization": "Bearer sim-admin"}

    assert httpx.get(url).status_code == 401
    assert httpx.get(url, params={"group_by[]": "model"}, headers=admin_key).status_code == 400
    assert httpx.get(url, params={"limit": 999}, headers=admin_key).status_code == 400
    assert httpx.get(url, params={"start_time": START}, headers=admin_key).status_code == 200
