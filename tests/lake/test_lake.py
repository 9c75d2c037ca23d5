"""Long ledgers through DuckDB: every figure is the plain reader's, and exports hold each call once."""

from __future__ import annotations

import csv
import io
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.ledger.helpers import T0
from token_meter.cli import main
from token_meter.lake import EngineReader, NotEqualError
from token_meter.lake._duck import database
from token_meter.lake._table import COLUMNS
from token_meter.ledger import COUNTS, Ledger, find_shards, read_run
from token_meter.prices import DEFAULT_BOOK
from token_meter.report import render, summarise
from token_meter.report._grouping import day_of
from token_meter.types import Call, Usage

REQUIRED = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
    "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost",
    "PricingCategory", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName",
    "ServiceSubcategory", "SkuId", "SkuPriceId", "Tags",
)  # fmt: skip
MODELS = ("gpt-4o-mini-2024-07-18", "gpt-5-2025-08-07", "gpt-4.1-2025-04-14", "text-embedding-3-small", "acme-7b")


def tm(*words: object) -> Result:
    """`token-meter WORDS`, in this process."""
    return CliRunner().invoke(main, [str(word) for word in words])


def _call(rng: random.Random, number: int, prefix: str) -> Call:
    """Any call that a service makes: exact, cut, failed, retried, replayed, in long contexts, with sound or a charge."""
    model = rng.choice(MODELS)
    sent = rng.choice((0, 1, rng.randrange(9_000), 300_000))
    made = None if "embedding" in model else rng.randrange(900)
    total = rng.choice((None, sent + (made or 0), sent + (made or 0), sent + (made or 0) + 7))
    usage = Usage(sent, made, total, rng.choice((None, 0, sent // 2, sent + 1)), rng.choice((None, None, 0, 5)), None,
                  rng.choice((None, (made or 0) // 3)))  # fmt: skip
    if rng.random() < 0.05:
        usage = usage._replace(web_searches=2, input_audio_tokens=1)
    if rng.random() < 0.05:
        usage = usage._replace(provider_cost=Decimal("0.0123"))
    status = rng.choice((200, 200, 200, 429, None))
    return Call(
        f"{prefix}-{number:x}", T0 + rng.randrange(10 * 86_400) + rng.randrange(10**6) / 1e6, rng.random(), "api.openai.com",
        "embeddings" if "embedding" in model else "chat", model, rng.choice((model, None)),
        usage if status == 200 and rng.random() < 0.9 else None,
        rng.choice(("exact", "exact", "exact", "estimated", "lower_bound", "unmeasured")),
        rng.choice(("complete", "complete", "closed", "error")), status, rng.choice((None, "APIError")),
        rng.choice((None, "default", "flex", "flex?", "priority")), rng.choice((None, 0.25)), rng.choice((0, 0, 1)),
        rng.choice((True, False)), rng.choice(((), ("customer=1",), ("customer=2", "team=3"), ('odd "name", ,"api":',))),
        rng.choice(("live", "live", "replay", "mock")), rng.choice((None, None, "batch")), "openai",
    )  # fmt: skip


def _ledger(folder: Path, seed: int, calls: int = 700) -> Path:
    """Three processes, with starts, calls in flight, contexts, and lines that are torn or foreign."""
    rng = random.Random(seed)
    for shard in range(3):
        ledger = Ledger.create(folder) if not shard else Ledger.join(next((folder / "runs").iterdir()))
        prefix = f"00000000000000a{shard}"
        for number in range(calls):
            call = _call(rng, number, prefix)
            if rng.random() < 0.3:
                ledger.start(call.id, call.request_model, context="t::x")
            ledger.call(
                call, context=rng.choice((None, "tests/test_a.py::test_x", "tests/test_b.py::test_y")), attempt=1
            )
        ledger.start(f"{prefix}-ffff", "gpt-4o", context="t::flies")
        ledger.start(f"{prefix}-fffe", "gpt-4o")
        ledger.note("drop", id=f"{prefix}-fffe")
        ledger.note("context", id="tests/test_a.py::test_x", outcome="passed", attempts=2)
        if shard != 1:
            ledger.close()
        assert ledger.shard is not None
        whole = ledger.shard.read_bytes().splitlines()[5]
        with open(ledger.shard, "ab") as out:
            out.writelines(
                line + b"\n"
                for line in (
                    whole[:90],
                    b"garbage",
                    b"",
                    b'{"t":"call","v":9}',
                    whole.replace(b'"api"', b'"ap"').replace(b'"id":"0000', b'"id":"1111'),
                    whole[:-20] + b"}",
                )
            )
    return folder


def _told(summary: Any) -> Any:
    """The whole report, but what depends on the order of calls: the last digit of durations, and which of several reasons,
    sources and tiers of a model is told.
    """
    found = json.loads(render(summary, "json"), parse_float=Decimal)
    for line in found["models"]:
        for name in ("service_tier", "processing", "request_model", "response_model", "provider", "host", "api"):
            line.pop(name, None)

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: sorted(map(str, inner)) if key == "usages" and inner else plain(inner)
                for key, inner in value.items()
                if key not in ("created", "duration_s", "unpriced_reason", "price_source", "text")
            }  # fmt: skip
        if isinstance(value, list):
            return sorted((plain(inner) for inner in value), key=str)
        return value

    return plain(found)


@pytest.mark.parametrize("by", ["test", "model", "day", "tag", "tag:customer", "process"])
def test_the_engine_says_what_the_plain_reader_says(tmp_path: Path, by: str) -> None:
    """Money to the last digit, tokens, doubts, what was skipped, lost and in flight."""
    folder = _ledger(tmp_path, 1, calls=250)
    engine, plain = EngineReader(find_shards([folder])), read_run(folder)

    assert _told(summarise(engine, by=by)) == _told(summarise(plain, by=by))
    assert engine.facts == plain.facts


@pytest.mark.parametrize("by", ["test", "model", "day", "label", "tag", "tag:customer", "process"])
def test_the_plain_reader_adds_up_what_it_would_price_one_by_one(tmp_path: Path, by: str) -> None:
    """Money to the last digit, tokens, doubts, and usages to price again, however the ledger came about."""
    for seed in range(10, 13):
        folder = _ledger(tmp_path / str(seed), seed, calls=120)
        one_by_one, added_up = read_run(folder, merge=False), read_run(folder)
        rows = list(one_by_one)

        assert _told(summarise(added_up, by=by)) == _told(summarise(rows, by=by, facts=one_by_one.facts))
        assert added_up.facts == one_by_one.facts


@pytest.mark.parametrize("since_s", [T0 + 3 * 86_400 + 0.5, T0 + 10**8])
def test_the_engine_reads_a_period(tmp_path: Path, since_s: float) -> None:
    """To the second, as the plain reader."""
    folder = _ledger(tmp_path, 3, calls=100)
    engine = summarise(EngineReader(find_shards([folder]), since_s=since_s), by="model")

    assert _told(engine)["totals"] == _told(summarise(read_run(folder, since_s=since_s), by="model"))["totals"]


@pytest.mark.parametrize("how", ["a record twice", "combined", "no opening line", "not text"])
def test_what_the_engine_cannot_know_it_leaves_to_the_plain_reader(tmp_path: Path, how: str) -> None:
    """The command says the same figures either way."""
    folder = _ledger(tmp_path / "data", 4, calls=50)
    shard = find_shards([folder])[0]
    if how == "a record twice":
        line = next(line for line in shard.read_bytes().splitlines() if line.startswith(b'{"t":"call"'))
        shard.write_bytes(shard.read_bytes() + line + b"\n")
    elif how == "combined":
        assert tm("combine", folder, "-o", tmp_path / "one.jsonl").exit_code == 0
        folder = tmp_path / "one.jsonl"
    elif how == "no opening line":
        shard.write_bytes(shard.read_bytes().partition(b"\n")[2])
    else:
        shard.write_bytes(shard.read_bytes() + b"\xff\xfe\x1f\n")

    with pytest.raises(NotEqualError):
        summarise(EngineReader(find_shards([folder])), by="model")
    told = [tm("report", folder, "--json", "--by", "model", "--engine", engine) for engine in ("duckdb", "python")]
    first, second = (json.loads(done.stdout) for done in told)
    assert {**first, "created": ""} == {**second, "created": ""}
    assert "read without the engine" in told[0].stderr


def test_an_export_holds_each_call_once(tmp_path: Path) -> None:
    """A file for each day; again, it replaces itself byte for byte; and SQL over both says the same."""
    folder = _ledger(tmp_path / "data", 5, calls=60)
    done = tm("export", folder, "--to", tmp_path / "out")
    files = sorted((tmp_path / "out").rglob("*.parquet"))
    before = [file.read_bytes() for file in files]
    assert tm("export", folder, "--to", tmp_path / "out").exit_code == 0
    sums = ", ".join(f"sum({name}) as {name}" for name in COUNTS)
    sql = f"select day, response_model, count(*) as n, {sums}, sum(web_searches) as w from calls group by all order by all"
    from_ledger, from_files = tm("query", sql, folder, "--json"), tm("query", sql, tmp_path / "out", "--json")
    rows = list(read_run(folder, merge=False))

    assert done.exit_code == 0, done.output
    assert f"{len(rows)} calls in {len(files)} files" in done.stdout
    assert "that cannot be read" in done.stderr
    assert before == [file.read_bytes() for file in sorted((tmp_path / "out").rglob("*")) if file.is_file()]
    assert from_ledger.stdout == from_files.stdout
    found = [json.loads(line) for line in from_files.stdout.splitlines()]
    assert sum(row["n"] for row in found) == len(rows)
    for name in (*COUNTS, "web_searches"):
        key = "w" if name == "web_searches" else name
        assert sum(int(row[key] or 0) for row in found) == sum(getattr(row.call.tokens, name) or 0 for row in rows)


def test_the_table_has_every_field_of_a_call() -> None:
    """Columns are only ever added."""
    names = {name for name, _ in COLUMNS}

    assert set(Usage._fields) <= names
    assert {*Call._fields} - {"started_s", "usage", "price", "base_url"} <= names
    assert [name for name, _ in COLUMNS][:5] == ["id", "started_at", "day", "duration_s", "first_token_s"]


def test_focus_has_the_cost_of_each_day(tmp_path: Path) -> None:
    """Amounts as the report has them, with a decimal point, in periods of a UTC day and month; tags as an object. Parquet
    says the same as CSV.
    """
    folder = _ledger(tmp_path / "data", 6, calls=60)
    for name in ("costs.csv", "costs.parquet"):
        assert tm("export", folder, "--to", tmp_path / name, "--format", "focus").exit_code == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "costs.csv").read_text())))
    summary = summarise(read_run(folder), by="day")
    with database() as con:
        told = con.execute(
            f"select sum(BilledCost), sum(x_Calls)::BIGINT, count(*) from '{tmp_path / 'costs.parquet'}'"
        ).fetchone()

    assert sum(Decimal(row["BilledCost"]) for row in rows) == summary.totals.cost
    assert sum(int(row["x_Calls"]) for row in rows) == summary.totals.calls
    assert told == (summary.totals.cost, summary.totals.calls, len(rows))
    assert {row["BillingPeriodStart"] for row in rows} == {"2026-11-01T00:00:00Z"}
    assert {"customer": "2", "team": "3"} in [json.loads(row["Tags"]) for row in rows]


def test_focus_has_tags_as_they_were_given(tmp_path: Path) -> None:
    """Commas and quotes belong to them; a set of tags has its own row."""
    ledger = Ledger.create(tmp_path / "data")
    sets = (
        ("customer=acme, inc", "beta"), ("customer=acme", "inc", "beta"), ('name="x", y=z',), ('"quoted"',), ("a=b=c, d",), (),
    )  # fmt: skip
    for number, tags in enumerate(sets):
        call = Call(f"a-{number}", T0, 0.1, "api.openai.com", "chat", MODELS[0], MODELS[0], Usage(9, 9, 18), status=200)
        ledger.call(call._replace(tags=tags))
    ledger.close()
    assert tm("export", tmp_path / "data", "--to", tmp_path / "costs.csv", "--format", "focus").exit_code == 0
    rows = csv.DictReader(io.StringIO((tmp_path / "costs.csv").read_text()))

    assert sorted((row["Tags"], row["x_Calls"]) for row in rows) == sorted(
        (json.dumps(told), "1")
        for told in (
            {"customer": "acme, inc", "beta": True}, {"customer": "acme", "inc": True, "beta": True},
            {"name": '"x", y=z'}, {'"quoted"': True}, {"a": "b=c, d"}, {},
        )
    )  # fmt: skip


def test_focus_keeps_the_rules_that_can_be_read_off_a_row(tmp_path: Path) -> None:
    """The columns that FOCUS 1.2 has in every file, the words that it allows, and what must not be empty.

    From focus-validator 2.2.1, rules 1.2.0.1, run on 2026-11-27; docs/fleet.md names the one that stays open.
    """
    folder = _ledger(tmp_path / "data", 6, calls=30)
    assert tm("export", folder, "--to", tmp_path / "costs.csv", "--format", "focus").exit_code == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "costs.csv").read_text())))

    for name in REQUIRED:
        assert all(row[name] for row in rows), name
    for row in rows:
        assert (row["ChargeCategory"], row["BillingCurrency"], row["PricingCategory"]) == ("Usage", "USD", "Standard")
        assert row["ServiceCategory"] == "AI and Machine Learning"
        assert all("." in row[name] for name in ("BilledCost", "ListCost", "PricingQuantity", "ConsumedQuantity"))
        assert row["ChargePeriodStart"] < row["ChargePeriodEnd"]
        assert row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["BillingPeriodEnd"]
        assert isinstance(json.loads(row["Tags"]), dict)
        assert not row["ChargeClass"]


def test_each_call_has_its_cost(tmp_path: Path) -> None:
    """In a query and in the files, exactly the price book's; a call without a price has no cost, which is not 0."""
    folder = _ledger(tmp_path / "data", 9, calls=60)
    assert tm("export", folder, "--to", tmp_path / "out").exit_code == 0
    sql = "select id, cost_usd, price_source, missing from calls order by id"
    told = [tm("query", sql, place, "--json").stdout for place in (folder, tmp_path / "out")]
    prices = {row.call.id: DEFAULT_BOOK.price(row.call) for row in read_run(folder, merge=False)}
    with database() as con:
        files = f"read_parquet('{tmp_path / 'out'}/**/*.parquet')"
        found = con.execute(sql.replace("from calls", f"from {files}")).fetchall()

    assert told[0] == told[1]
    assert len(found) == len(prices)
    for id_, cost, source, missing in found:
        price = prices[id_]
        assert (cost, source, missing) == (price.cost, price.source, list(price.missing)), id_


@pytest.mark.parametrize("engine", ["python", "duckdb"])
def test_a_report_has_rows_of_two_levels_in_a_period(tmp_path: Path, engine: str) -> None:
    """`--by day --by tag:customer` is `--by day,tag:customer`; no row stands for calls outside of the period."""
    folder = _ledger(tmp_path / "data", 12, calls=60)
    period = ("--since", "2026-11-21", "--until", "2026-11-23", "--engine", engine, "--json")
    both = (("--by", "day,tag:customer"), ("--by", "day", "--by", "tag:customer"), ("--by", "day"))
    told = [json.loads(tm("report", folder, *by, *period).stdout) for by in both]
    rows = [row for row in read_run(folder, merge=False) if day_of(row) in ("2026-11-21", "2026-11-22")]

    assert told[0]["contexts"] == told[1]["contexts"]
    assert {row["id"] for row in told[0]["contexts"]} == {
        f"2026-11-{day}, {name}" for day in (21, 22) for name in ("1", "2", "(no customer)")
    }
    for one in told:
        assert one["totals"]["calls"] == sum(row["calls"] for row in one["contexts"]) == len(rows)


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("query", "select nothing from nowhere", "DATA"), "the query cannot be answered", 2),
        (("export", "DATA/none", "--to", "x"), "no ledger at", 1),
        (("export", "DATA", "--to", "DATA", "--format", "focus"), "is a directory", 2),
        (("report", "DATA", "--by", "tag:custmer"), "did you mean 'customer'?; calls have customer", 2),
        (("report", "DATA", "--by", "customer"), "for a tag: 'tag:customer'", 2),
        (("report", "DATA", "--by", "day,tags:customer"), "for a tag: 'tag:customer'", 2),
        (("query", "", "DATA"), "the query is empty", 2),
        (("query", " ; /* all */", "DATA"), "the query is empty", 2),
        (("query", "DATA", "select 1"), "the question comes first", 2),
        (("query", "select * from runs", "DATA"), "its tables are calls, tags and costs_by_day", 2),
        (("export", "DATA", "--to", "calls.csv"), "is the name of a file, and --format parquet writes a directory", 2),
        (("export", "DATA", "--to", "calls.xlsx"), "is the name of a file", 2),
        (("export", "DATA", "--to", "costs.json", "--format", "focus"), "writes *.csv or *.parquet", 2),
        (("report", "DATA", "--by", "day", "--by", "day"), "by two of them", 2),
        (("report", "DATA", "--since", "2026-11-02", "--until", "2026-11-01"), "no call can start since", 2),
        (("query", "copy calls to 's3://x/y.csv'", "DATA"), "the query cannot be answered", 2),
    ],
)
def test_a_mistake_is_told_in_a_line(tmp_path: Path, words: tuple[str, ...], said: str, code: int) -> None:
    """No traceback; and no extension is ever downloaded."""
    folder = _ledger(tmp_path / "data", 7, calls=5)
    done = tm(*(word.replace("DATA", str(folder)) for word in words))

    assert (done.exit_code, said in done.stderr) == (code, True), done.output
