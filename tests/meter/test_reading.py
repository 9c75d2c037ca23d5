"""What a meter reads as: every name of a sum, its text, its line, its card, plain data; and what it is told wrongly."""

from __future__ import annotations

import copy
import json
from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal, Inexact, localcontext
from typing import Any

import pytest

from tests.conftest import take_internal_errors
from token_meter import Meter, current, meter
from token_meter._money import format_usd, scale_of
from token_meter.exceptions import ConfigError, UnpricedWarning
from token_meter.totals.totals import BoundedGroups, Totals, TotalsView
from token_meter.types import Call, Usage

FULL = Usage(
    100, 50, 150, cached_tokens=40, cache_write_tokens=20, reasoning_tokens=10, input_audio_tokens=5, output_audio_tokens=6,
    input_image_tokens=7, output_image_tokens=8, tool_usage_tokens=9,
)  # fmt: skip


def call(model: str = "gpt-4o-mini", usage: Usage | None = None, **more: Any) -> Call:
    """A finished call to OpenAI."""
    made = Call("1", 0.0, 0.1, "api.openai.com", "chat", model, model, usage or Usage(10**6, 0, 10**6), status=200)
    return made._replace(**more)


def filled(*calls: Call, **options: Any) -> Any:
    """A closed meter that holds *calls*."""
    with meter(**options) as cb:
        for each in calls:
            cb.add(each)
    return cb


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt_tokens", 100), ("completion_tokens", 50), ("total_tokens", 150), ("input_tokens", 100),
        ("output_tokens", 50), ("cached_tokens", 40), ("prompt_tokens_cached", 40), ("cache_write_tokens", 20),
        ("reasoning_tokens", 10), ("audio_tokens", 11), ("image_tokens", 15), ("successful_requests", 1),
        ("failed_requests", 0), ("estimated_calls", 0), ("unmeasured_calls", 0), ("late_calls", 0), ("open_streams", 0),
        ("unpriced_calls", 1), ("cost", Decimal(0)), ("total_cost", 0.0), ("is_complete", False),
    ],
)  # fmt: skip
def test_every_sum_has_its_names(name, value):
    """Of the meter, of a model, of a tag; ours and LangChain's."""
    cb = filled(call("acme", FULL, tags=("a",)), on_unpriced="ignore")

    assert getattr(cb, name) == value
    assert getattr(cb.by_model["acme"], name) == value
    assert getattr(cb.by_tag["a"], name) == value


def test_what_stands_beside_the_usage_is_kept_apart():
    """Another model's tokens are in no total."""
    cb = filled(call("acme", FULL), on_unpriced="ignore")

    assert cb._counted().tool_usage_tokens == 9


@pytest.mark.parametrize("name", ["_counted", "_charged"])
def test_sums_without_a_place_are_none(name):
    """`Readable` itself holds nothing."""
    with pytest.raises(NotImplementedError):
        getattr(TotalsView(), name)()


@pytest.mark.parametrize(
    ("calls", "shown"),
    [
        ([call()], "$0.1500"),
        ([call(certainty="estimated")], "~$0.1500"),
        ([call(), call("acme")], ">= $0.1500"),
        ([call(), call(usage=None)._replace(usage=None, certainty="unmeasured")], ">= $0.1500"),
        ([call("acme")], "unknown"),
        ([], "$0.00"),
    ],
)
def test_a_cost_never_hides_what_is_missing(calls, shown):
    """In the line and in the block alike."""
    cb = filled(*calls, on_unpriced="ignore")

    assert f" {shown}" in repr(cb)
    assert f" {shown}" in str(cb).replace("  ", " ")


@pytest.mark.parametrize(
    ("owner", "name", "look"),
    [(Meter, "priced", "calls"), (Totals, "copy", "by_model"), (Totals, "copy", "by_tag")],
    ids=["calls", "by_model", "by_tag"],
)
def test_a_call_that_a_finalizer_brings_disturbs_no_look(monkeypatch, owner, name, look):
    """It ends in the thread that reads, between one call or model and the next, and shows at the next look."""
    cb = filled(call("one", tags=("a",)), call("two", tags=("b",)), on_unpriced="ignore", keep_calls=True)
    original, late = getattr(owner, name), [call("three", tags=("c",))]

    def finalized(*args: Any) -> Any:
        if late:
            cb.add(late.pop())
        return original(*args)

    monkeypatch.setattr(owner, name, finalized)

    assert (len(getattr(cb, look)), len(getattr(cb, look))) == (2, 3)


def test_the_line_names_every_gap():
    """What keeps the numbers from being the bill, in words."""
    with meter("shop", on_unpriced="ignore") as cb:
        cb.add(call("a\nb"))
        for number in range(5):
            cb.add(call(f"m{number}"))
        cb.add(call(certainty="estimated"))
        cb.add(call()._replace(usage=None, certainty="unmeasured"))
        cb.opened_stream()
        cb.count_late_call()

        assert repr(cb) == (
            "<meter 'shop' open: 7,000,000 tokens, >= $0.1500 (6 calls unpriced: a\\u000ab, m0, m1, m2 and 2 more; "
            "1 call unmeasured; 1 call estimated; 1 still open; 1 call after the block, not counted)>"
        )
        cb.closed_stream()


def test_the_block_shows_the_ten_largest_models():
    """Largest first, parts in brackets, and how many more there are."""
    calls = [call(f"m{n}", Usage(n, 0, n)) for n in range(12)]
    text = str(filled(*calls, call("big", FULL), call(status=500, usage=None), name="x", on_unpriced="ignore"))

    assert "requests           13 ok, 1 failed" in text
    assert "(40 cached)" in text
    assert "(10 reasoning)" in text
    assert "… and 4 more models" in text
    assert text.index("big") < text.index("m11")
    assert max(map(len, text.splitlines())) <= 200


def test_a_model_that_only_failed_is_not_shown_as_free():
    """Nothing was priced there: `$0.00` would look like a price."""
    refused = call("gpt-4o", status=429, outcome="error", error="HTTP 429")._replace(usage=None)
    cb = filled(call(), refused)
    (line,) = (line for line in str(cb).splitlines() if "gpt-4o " in line)

    assert line.split() == ["gpt-4o", "0", "tokens", "failed"]
    assert ">failed<" in cb._repr_html_()


def test_the_card_of_a_notebook_is_inert():
    """A model may be called anything."""
    html = filled(call("<img src=x>"), name="<b>", on_unpriced="ignore")._repr_html_()

    assert "<img" not in html
    assert "&lt;img src=x&gt;" in html
    assert "<b>&lt;b&gt;</b>" in html
    assert "token_meter" in filled()._repr_html_()


def test_the_plain_data_is_json():
    """Money as a string, so that nothing is rounded."""
    data = filled(call(tags=("a",)), tags={"team": "x", "n": 1}).to_dict()

    assert json.loads(json.dumps(data)) == data
    assert data["tags"] == ["team=x", "n=1"]
    assert data["cost"] == "0.15"
    assert data["by_model"]["gpt-4o-mini"]["total_tokens"] == data["by_tag"]["a"]["total_tokens"] == 10**6


def test_a_missing_price_is_said_to_who_reads():
    """Once a model, with what to do."""
    cb = filled(call("acme"), call("acme"))
    with pytest.warns(UnpricedWarning, match="'acme'") as said:
        assert cb.cost == cb.cost == 0

    assert len(said) == 1
    assert "in a price file" in str(said[0].message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_calls": -1}, "keep_calls"),
        ({"keep_calls": "all"}, "keep_calls"),
        ({"tags": "nightly"}, r"\['nightly'\]"),
        ({"on_unpriced": "never"}, "'warn', 'raise', 'ignore'"),
        ({"scope": "thread"}, "'context', 'process'"),
        ({"on_exceed": "stop"}, "'raise', 'warn'"),
        ({"name": 5}, "must be a text, not 5"),
        ({"name": filled}, r"@meter\(\), with parentheses"),
        ({"tags": 5}, r"several labels, such as \['nightly'\]"),
        ({"stream_usage": "x"}, "True, False"),
        ({"warn_at": 2}, "at most 1"),
        ({"prices": 5}, "PriceBook, or the path of a price file, not 5"),
        ({"prices": {"gpt-4o": 1}}, "PriceBook, or the path"),
        ({"prices": "no-such-file.toml"}, "no-such-file.toml"),
        ({"ledger": 5}, "a directory, a Ledger or a sink of calls, not 5"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_would_do(options, message):
    """At once, and not at the first call."""
    with pytest.raises(ConfigError, match=message):
        meter(**options)


@pytest.mark.parametrize("decorated", ["cb", property(len), type("Agent", (), {})], ids=["text", "property", "class"])
def test_what_is_no_function_is_not_decorated(decorated):
    """A class would be a function afterwards, which no `isinstance` takes."""
    with pytest.raises(ConfigError, match="a meter decorates a function or a method"):
        meter()(decorated)


def test_every_call_of_a_decorated_function_has_the_tags_of_an_iterator():
    """It can be read once, and there may be many calls."""
    decorated = meter(tags=iter(["nightly", "eu"]))(lambda: current().tags)

    assert [decorated(), decorated()] == [("nightly", "eu")] * 2


def test_a_copy_of_a_meter_is_the_meter():
    """LangChain copies its configurations, with the handlers in them."""
    cb = filled(call())

    assert copy.copy(cb) is copy.deepcopy([cb])[0] is cb


def test_a_cost_is_exact_in_a_coarse_decimal_context():
    """The program may count its own money with six digits, and forbid rounding."""
    with localcontext(prec=2) as context:
        context.traps[Inexact] = True
        cb = filled(*[call(usage=Usage(1_234_567, 0, 1_234_567))] * 3)

        assert cb.cost == Decimal("0.55555515")
        assert cb.by_model["gpt-4o-mini"].cost == cb.cost


def test_plain_data_is_of_one_moment(monkeypatch):
    """A call that ends while it is put together, in a finalizer say, is in all of its sums or in none."""
    cb = filled(call())
    snapshot = BoundedGroups.snapshot
    monkeypatch.setattr(BoundedGroups, "snapshot", lambda groups: (cb.add(call()), snapshot(groups))[1])
    data = cb.to_dict()
    monkeypatch.undo()

    assert data["by_model"]["gpt-4o-mini"]["total_tokens"] == data["total_tokens"] == 10**6
    assert cb.total_tokens == 3 * 10**6


@pytest.mark.parametrize("rounding", [ROUND_DOWN, ROUND_UP, ROUND_HALF_UP])
def test_money_is_shown_alike_however_the_program_rounds(rounding):
    """Half a hundredth of a cent goes to the even neighbour, as Python does it by default."""
    with localcontext(rounding=rounding):
        assert [format_usd(Decimal(a)) for a in ("0.0002125", "0.0001935", "12.345", "1234567.891")] == [
            "$0.000212", "$0.000194", "$12.34", "$1,234,567.89",
        ]  # fmt: skip


def test_an_exit_too_many_does_nothing():
    """`close` in a `finally` without an entered block."""
    cb = meter()
    cb.__exit__(None, None, None)

    assert cb.is_open is False


def test_leaving_a_block_never_fails(monkeypatch):
    """Also when reading what is left does: the user's own exception must get through."""
    with meter() as cb:
        cb.add(call())
        monkeypatch.setattr(cb, "_fold", lambda: 1 / 0)
    errors = take_internal_errors()

    assert errors == {"fold": 1}


def test_langchains_own_events_are_heard_and_ignored():
    """A program may hand its counter to LangChain too."""
    cb = filled(call())

    assert cb.on_text("a", color="b") is None
    assert cb.ignore_llm is cb.ignore_chain is True
    assert cb.total_tokens == 10**6


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"), ("0.00004125", "$0.0000412"), ("0.0000000991", "$0.0000000991"), ("0.0001", "$0.0001"),
        ("0.2031", "$0.2031"), ("12.4", "$12.40"), ("-0.000012", "-$0.000012"), ("0.00231499", "$0.00231"),
        ("0.0029999", "$0.0030"), ("1e-15", "<$0.000000000001"), ("9.99999", "$10.0000"), ("0.0999996", "$0.1000"),
    ],
)  # fmt: skip
def test_f153_a_small_cost_is_shown_with_three_digits(amount, shown):
    """A few calls of a small model cost less than a hundredth of a cent, and still something."""
    assert format_usd(Decimal(amount)) == shown


def test_f138_a_cost_of_which_nothing_is_known_says_so() -> None:
    """`cost` stays a number, as sums need; `cost_is_known` stands beside it, and data has null."""
    unpriced, unmeasured = call("acme-7b"), call()._replace(usage=None, certainty="unmeasured")
    cases = {
        "nothing called": ((), True, "0", False),
        "free": ((call(usage=Usage(0, 0, 0)),), True, "0", False),
        "a refused call": ((call()._replace(usage=None, status=429),), True, "0", False),
        "no price": ((unpriced,), False, None, True),
        "no usage": ((unmeasured,), False, None, True),
        "a part": ((call(), unpriced), True, "0.15", True),
    }
    for name, (calls, is_known, cost, is_bound) in cases.items():
        cb = filled(*calls, on_unpriced="ignore")
        data = cb.to_dict()

        assert cb.cost_is_known is is_known, name
        assert (None if data["cost"] is None else Decimal(data["cost"])) == (cost and Decimal(cost)), name
        assert data["cost_is_lower_bound"] is is_bound, name
    models = filled(call(), unpriced, on_unpriced="ignore").to_dict()["by_model"]
    assert {name: sub["cost"] for name, sub in models.items()} == {"gpt-4o-mini": "0.15", "acme-7b": None}


def test_f138_a_stream_that_has_not_ended_leaves_the_cost_unknown() -> None:
    """Until it ends."""
    cb = filled()
    cb.opened_stream()

    assert (cb.cost_is_known, cb.to_dict()["cost"]) == (False, None)


@pytest.mark.parametrize(
    ("amounts", "shown"),
    [
        (["0.2031", "0.0000123"], ["$0.2031000", "$0.0000123"]),
        (["0.088", "0.0023"], ["$0.0880", "$0.0023"]),
        (["12.4", "0.2031"], ["$12.4000", "$0.2031"]),
        (["1234.5", "0.0000021"], ["$1,234.50000", "<$0.00001"]),  # nine digits, no more
        (["123456789", "0.01"], ["$123,456,789.00", "$0.01"]),
        (["25", "0", None], ["$25.00", "$0.00"]),
        ([None, "0"], ["$0.00"]),
        (["-0.00002", "0.5"], ["-$0.00002", "$0.50000"]),
    ],
)
def test_f153_a_column_has_one_scale(amounts, shown):
    """Enough for its smallest amount, so that digits stand below digits; the largest has nine at most."""
    found = [None if a is None else Decimal(a) for a in amounts]
    places = scale_of(found)

    assert [format_usd(a, places) for a in found if a is not None] == shown


def test_f153_a_meter_prints_its_sum_and_its_models_by_one_scale():
    """On the terminal and in a notebook."""
    cb = filled(call(), call("gpt-4o", usage=Usage(1, 0, 1)))

    for text in (str(cb), cb._repr_html_()):
        assert "$0.1500025" in text
        assert "$0.1500000" in text
        assert "$0.0000025" in text
