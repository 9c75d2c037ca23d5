"""The bill and the ledger: every difference that was planted is named by its cause, and nothing stays unexplained."""

from __future__ import annotations

import json
import random
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.bills.worlds import DAY_S, MODELS, PAGE, START, World, a_world, base_url, reconciled
from token_meter.bills import FORMATS, ours_of, read_bill, reconcile
from token_meter.bills._sources import parse, saved
from token_meter.ledger import Ledger, read_run
from token_meter.prices import DEFAULT_BOOK
from token_meter.simulator import Simulator, admin
from token_meter.simulator.bill import Books
from token_meter.simulator.options import read_options

PERIOD = ("--since", "2026-11-01", "--until", "2026-11-20", "--settled-before", "2026-11-08")


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
    asked = reconciled("--openai", "--base-url", url, "--save", tmp_path / "bill.json", *words)
    again = reconciled("--bill", tmp_path / "bill.json", *words)

    assert asked.exit_code == again.exit_code == 0, asked.output
    assert asked.stdout == again.stdout
    causes = {cause["code"] for cause in json.loads(asked.stdout)["causes"] if cause["rows"]}
    assert live.causes | {"fees"} <= causes
    assert (tmp_path / "bill.json").stat().st_mode & 0o077 == 0


def test_cents_are_cents(tmp_path: Path, simulator: Simulator, live: World) -> None:
    """Anthropic's amounts are a hundred times their dollars; its usage says no number of requests."""
    done = reconciled(
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
    assert {cause["code"] for cause in found["causes"] if cause["rows"]} == {"not-settled", "never-seen"}
    assert reconciled(tmp_path / "data", "--bill", tmp_path / "a.json", *PERIOD, "-f", "json").stdout == done.stdout


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_the_outcome(tmp_path: Path, simulator: Simulator, live: World, name: str) -> None:
    """To a file, or to the output."""
    words = (tmp_path / "data", *PERIOD, "--openai", "--base-url", simulator.base_url)
    done = reconciled(*words, "-f", f"{name}:{tmp_path / 'out'}")

    assert done.exit_code in (0, 3), done.output
    assert (tmp_path / "out").read_text()


def test_above_the_tolerance_the_command_fails(tmp_path: Path, simulator: Simulator, live: World) -> None:
    """With 3, as for every limit."""
    live.ledger.call(next(iter(read_run(tmp_path / "data", merge=False))).call._replace(id="00000000000000c1-1"))
    live.ledger.close()
    words = (tmp_path / "data", *PERIOD, "--openai", "--base-url", simulator.base_url, "--mine", "key_ours")

    assert [reconciled(*words, "--tolerance", share).exit_code for share in ("0%", "100%")] == [3, 0]


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        ((), "say which bill", 2),
        (("--openai", "--bill", "x"), "say which bill", 2),
        (("--bill", "missing.json"), "cannot be read", 1),
        (("--bill", __file__), "no FOCUS export", 1),
        (("--bill", "x", "-f", "tabel"), "is none of", 2),
        (("--bill", "x", "--map", "gpt-4o"), "--map must be such as", 2),
        (("--bill", "x", "--tolerance", "much"), "--tolerance must be a share", 2),
        (("--bill", "x", "--since", "soon"), "a day must be such as", 2),
        (("--bill", "x", "--save", "y"), "--save keeps", 2),
    ],
)
def test_a_mistake_is_told(words: tuple[str, ...], said: str, code: int) -> None:
    """In a line."""
    done = reconciled(*words)

    assert (done.exit_code, said in done.stderr) == (code, True), done.output


def test_names_of_the_ledger_are_those_of_the_bill(tmp_path: Path) -> None:
    """A deployment and its model; and whose key calls with a tag are on, so that two services are compared apart."""
    world = World(Ledger.create(tmp_path), Books(), random.Random(1))
    for n, key in enumerate(("key_shop", "key_blog")):
        usage = world.usage(MODELS[1])
        world.bill(usage, START + 50_000, MODELS[1], key_id=key)
        world.record(usage, START + 50_000 + n, "prod-chat", tags=("app=shop",) if key == "key_shop" else ())
    world.bill(world.usage(MODELS[1]), START + 60_000, MODELS[1], key_id="key_shop")
    world.ledger.close()
    names = {"prod-chat": MODELS[1], "tag:app=shop": "key_shop"}
    ours = ours_of(read_run(tmp_path, merge=False), DEFAULT_BOOK, names=names)
    bill = parse("openai", _pages(world.books))
    found = reconcile(bill, ours, DEFAULT_BOOK, since="2026-11-01", until="2026-11-20", settled="2026-11-20")
    (cause,) = (cause for cause in found.causes if any(part.tokens.requests for part in cause.parts))

    assert (cause.code, [part.model for part in cause.parts]) == ("never-seen", [f"{MODELS[1]} of key_shop"])


def test_a_ledger_of_mocked_calls_says_what_to_do(tmp_path: Path, simulator: Simulator, live: World) -> None:
    """Nothing of it is on a bill, unless the bill is a test server's."""
    ledger = Ledger.create(tmp_path / "mocked")
    call = next(iter(read_run(tmp_path / "data", merge=False))).call
    ledger.call(call._replace(id="00000000000000c2-1", source="mock"))
    ledger.close()
    words = ("--openai", "--base-url", simulator.base_url, *PERIOD)

    assert "Then say --count-mocked" in reconciled(tmp_path / "mocked", *words).stderr
    assert reconciled(tmp_path / "mocked", *words, "--count-mocked").stderr == ""


def test_a_credit_does_not_hide_what_is_unexplained(tmp_path: Path) -> None:
    """A bill below 0 has a share all the same."""
    world = World(Ledger.create(tmp_path), Books(), random.Random(1))
    world.both(START + 50_000, MODELS[1])
    world.ledger.close()
    (tmp_path / "bill").write_text(
        (PAGE % ("-0.512345", "usd")).replace('"results": [{', '"results": [{"line_item": "credit", ')
    )
    costs = read_bill(tmp_path / "bill")
    ours = ours_of(read_run(tmp_path, merge=False), DEFAULT_BOOK)
    found = reconcile(costs, ours, DEFAULT_BOOK, since="2026-11-02", until="2026-11-20", settled="2026-11-20")

    assert found.unexplained.parts
    assert found.share > 0


@pytest.mark.parametrize(("live_", "key"), [("--openai", "OPENAI_ADMIN_KEY"), ("--anthropic", "ANTHROPIC_ADMIN_KEY")])
def test_a_refusal_of_the_provider_is_told(
    tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, live_: str, key: str
) -> None:
    """A key that is none of an administrator; nothing that listens; a server of something else."""
    monkeypatch.setenv(key, "sk-wrong")
    base = simulator.base_url if live_ == "--openai" else simulator.url
    refused = reconciled(live_, "--base-url", base, *PERIOD)
    monkeypatch.setenv("OPENAI_MAX_RETRIES", "0")
    unreachable = reconciled(live_, "--base-url", "http://127.0.0.1:9", *PERIOD)

    assert (refused.exit_code, "401" in refused.stderr) == (1, True), refused.output
    assert (unreachable.exit_code, "does not say what it billed" in unreachable.stderr) == (1, True), unreachable.output


def test_administrators_only(simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoints refuse other keys, wrong groups and wrong limits as the provider does."""
    import httpx

    url, admin_key = f"{simulator.base_url}/organization/costs", {"authorization": "Bearer sim-admin"}

    assert httpx.get(url).status_code == 401
    assert httpx.get(url, params={"group_by[]": "model"}, headers=admin_key).status_code == 400
    assert httpx.get(url, params={"limit": 999}, headers=admin_key).status_code == 400
    assert httpx.get(url, params={"start_time": START}, headers=admin_key).status_code == 200
