"""Bills as providers and tools write them, and files that are none."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.bills.worlds import PAGE, reconciled
from token_meter.bills import read_bill
from token_meter.ledger import Ledger

PERIOD = ("--since", "2026-11-01", "--until", "2026-11-20")
FOCUS = (
    "ChargePeriodStart,ChargePeriodEnd,BilledCost,BillingCurrency,ProviderName,ConsumedQuantity,ConsumedUnit,SkuMeter"
)
DAY = "2026-11-03T00:00:00Z,2026-11-04T00:00:00Z"


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
    done = reconciled(tmp_path / "data", "--bill", tmp_path / "bill", *PERIOD, "-f", "json")
    found = json.loads(done.stdout)

    assert Decimal(found["bill"]["cost"]) == Decimal(cost), done.output
    assert found["bill"]["input"] + found["bill"]["output"] == tokens


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b" \n", "is empty"),
        (bytes(range(256)), "is no text"),
        (b"PAR1\0\0PAR1", "is Parquet"),
        (b"\x1f\x8b\xff", "is compressed"),
        (b"<html>403</html>", "no FOCUS export"),
        (b"[1, 2]", "is no bill that is known"),
        (b'{"error": {"message": "no permission"}}', "no permission"),
        (b'{"schema": "token-meter/report/v1"}', "it is token-meter/report/v1, not token-meter/bill/v1"),
        (b'{"schema": "token-meter/bill/v1", "provider": "x", "pages": {}}', "bills of x are not known"),
        ((PAGE % ("1", "eur")).encode(), "the bill is in EUR"),
        ((PAGE % ("NaN", "usd")).encode(), "nan is no amount"),
        ((PAGE % ("1e9999", "usd")).encode(), "is no amount"),
        (f"{FOCUS}\n{DAY},1,EUR,OpenAI,1,Tokens,x\n".encode(), "the bill has no rows; rows in 'EUR' are left out"),
        (f'{FOCUS}\n{DAY},"1,250.25",USD,OpenAI,1,Tokens,x\n'.encode(), "line 2: '1,250.25' is no number"),
        (f"{FOCUS}\n11/03/2026,11/04/2026,1,USD,OpenAI,1,Tokens,x\n".encode(), "is no time such as"),
        (f"{FOCUS}\n2026-11-01,2026-12-01,1,USD,OpenAI,1,Tokens,x\n".encode(), "covers more than a day"),
    ],
)
def test_what_is_no_bill_is_told(tmp_path: Path, data: bytes, said: str) -> None:
    """A wrong file, another currency, another calendar: in a line that says which."""
    (tmp_path / "bill").write_bytes(data)
    done = reconciled("--bill", tmp_path / "bill", "--until", "2026-11-20", "--data-dir", tmp_path)

    assert (done.exit_code, said in done.stderr) == (1, True), done.output


@pytest.mark.parametrize(
    "text",
    [
        f"{FOCUS}\n2026-11-02T20:00:00-05:00,2026-11-03T20:00:00-05:00,0.25,USD,OpenAI,100,Tokens,gpt-4o input\n",
        f"{FOCUS}\n{DAY},0.25,USD,Microsoft,100,Tokens,gpt-4o-Inp-glbl\n",
        f"{FOCUS}\n{DAY},0.25,USD,OpenAI,0.1,1K Tokens,gpt-4o input\n".replace(",", ";"),
        f"{FOCUS}\r\n{DAY},0.25,USD,OpenAI,0.0001,1M Tokens,gpt-4o input\r\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_focus_is_read_as_tools_write_it(tmp_path: Path, text: str, encoding: str) -> None:
    """Time zones, separators, units of thousands, and what a spreadsheet saves."""
    (tmp_path / "bill.csv").write_text(text, encoding=encoding)
    bill = read_bill(tmp_path / "bill.csv")
    (row,) = bill.costs

    assert (row.day, row.amount, row.kind, row.quantity) == ("2026-11-03", Decimal("0.25"), "input", 100)


def test_pages_of_several_endpoints_may_stand_in_one_list(tmp_path: Path) -> None:
    """Each is read for what it is; and a provider without usage says nothing about tokens."""
    usage = {"start_time": 1793664000, "results": [{"input_tokens": 9, "num_model_requests": 1, "model": "gpt-4o"}]}
    costs = json.loads(PAGE % ("0.5", "usd"))
    theirs = {"starting_at": "2026-11-03T00:00:00Z", "results": [{"amount": "250", "model": "claude-opus-4"}]}
    (tmp_path / "bill.json").write_text(json.dumps([{"data": []}, {"data": [usage]}, costs, {"data": [theirs]}]))
    Ledger.create(tmp_path / "data").close()
    found = json.loads(reconciled(tmp_path / "data", "--bill", tmp_path / "bill.json", "-f", "json").stdout)

    assert (found["providers"], Decimal(found["bill"]["cost"]), found["bill"]["input"]) == (
        ["anthropic", "openai"],
        3,
        9,
    )
    assert found["notes"] == [f"the ledger has no calls of {name} on these days" for name in ("anthropic", "openai")]


def test_a_bill_with_no_day_in_the_period_does_not_pass(tmp_path: Path) -> None:
    """A comparison of nothing would say that all is explained."""
    (tmp_path / "bill").write_text("ChargePeriodStart,BilledCost,BillingCurrency\n2026-11-03T00:00:00Z,0.25,USD\n")
    Ledger.create(tmp_path / "data").close()
    done = reconciled(tmp_path / "data", "--bill", tmp_path / "bill", "--since", "2026-11-04", "--until", "2026-11-05")

    assert done.exit_code == 1
    assert "the bill has no rows from 2026-11-04 to before 2026-11-05" in done.stderr
