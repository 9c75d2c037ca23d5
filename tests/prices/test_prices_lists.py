"""Lists of prices in files, and rows of a list: what holds, for how long, by whose word, and what is refused."""

from __future__ import annotations

import hashlib
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.prices.cases import a_call
from token_meter.exceptions import ConfigError
from token_meter.prices import DEFAULT_BOOK, Listed, PriceBook, Rates, describe, known_models, known_providers
from token_meter.prices import _update as updating
from token_meter.prices._update import update
from token_meter.types import Price, Usage

K = Usage(1_000, 100, 1_100)
LONG = Usage(300_000, 100, 300_100)
QWEN = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"
DAY = date(2026, 12, 1)


def price_of(book: PriceBook, model: str, usage: Usage = K, at: str | None = None, **fields: Any) -> Price:
    if at is not None:
        fields["started_s"] = datetime.fromisoformat(at).timestamp()
    return book.price(a_call(model, usage, **fields))


def genai(**prices: Any) -> list[dict[str, Any]]:
    """genai-prices' published data with one provider and some models of two rates."""
    models = [
        {"id": name.replace("_", "-"), "match": {"equals": name.replace("_", "-")}, "prices": rates}
        for name, rates in prices.items()
    ]
    return [{"id": "openai", "name": "OpenAI", "api_pattern": "https://api\\.openai\\.com", "models": models}]


def litellm(**rows: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "-"): {"litellm_provider": "openai", "mode": "chat", **row} for name, row in rows.items()}


GENAI = genai(gpt_5={"input_mtok": 2, "output_mtok": 20}, gpt_7={"input_mtok": 3, "output_mtok": 30})
LITELLM = litellm(
    gpt_7={
        "input_cost_per_token": 3e-06, "output_cost_per_token": 3e-05, "cache_read_input_token_cost": 3e-07,
        "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06,
        "input_cost_per_token_above_272k_tokens": 6e-06, "output_cost_per_token_above_272k_tokens": 4.5e-05,
        "input_cost_per_token_batches": 1.5e-06, "output_cost_per_token_batches": 1.5e-05,
        "input_cost_per_token_priority": 6e-06, "output_cost_per_token_priority": 6e-05,
        "input_cost_per_token_above_272k_tokens_priority": 1.2e-05,
        "output_cost_per_token_above_272k_tokens_priority": 9e-05,
    },
    noisy={"input_cost_per_token": 1.0000000000000001e-07, "output_cost_per_token": 4e-07},
    zero={"input_cost_per_token": 0, "output_cost_per_token": 0},
    thinking={"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "output_cost_per_reasoning_token": 4e-06},
    beside={"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "input_cost_per_request": 0.01},
    unit={"input_cost_per_token": 2.5, "output_cost_per_token": 10},
    heard={"input_cost_per_second": 0.0001, "output_cost_per_second": 0, "mode": "audio_transcription"},
) | {
    "sample_spec": {"input_cost_per_token": 0.0, "litellm_provider": "one of them", "max_tokens": "a number"},
    "dashscope/qwen9": {
        "litellm_provider": "dashscope",
        "tiered_pricing": [
            {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "range": [0, 32000.0]},
            {"input_cost_per_token": 2e-06, "output_cost_per_token": 4e-06, "range": [32000.0, 128000.0]},
        ],
    },
    "gemini/gemini-9": {"litellm_provider": "gemini", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
    "vertex_ai/gemini-9": {"litellm_provider": "vertex_ai", "input_cost_per_token": 5e-06, "output_cost_per_token": 0},
    "vertex_ai/claude-9": {
        "litellm_provider": "vertex_ai-anthropic_models", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06,
    },
}  # fmt: skip


def written(path: Path, data: Any) -> Path:
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


@pytest.fixture
def listed(tmp_path: Path) -> Callable[[Any], PriceBook]:
    """A book of a list that an update has written."""

    def make(data: Any) -> PriceBook:
        target = tmp_path / "token-meter-prices.json"
        update(str(written(tmp_path / "data.json", data)), target, day=DAY, may_go_back=True)
        return PriceBook.from_file(target)

    return make


LITELLM_ROWS: dict[str, tuple[str, Usage, str | None, dict[str, Any]]] = {
    "standard": ("gpt-7", K, "0.006", {}),
    "long": ("gpt-7", LONG, "1.8045", {}),
    "cached and written": ("gpt-7", K._replace(cached_tokens=400, cache_write_tokens=200), "0.00507", {}),
    "written for an hour": (
        "gpt-7", K._replace(cache_write_tokens=1_000, cache_write_long_tokens=1_000), "0.009", {},
    ),
    "batch": ("gpt-7", K, "0.003", {"processing": "batch"}),
    "priority": ("gpt-7", K, "0.012", {"service_tier": "priority"}),
    "priority, long": ("gpt-7", LONG, "3.609", {"service_tier": "priority"}),
    "a tier that it lacks": ("gpt-7", K, None, {"service_tier": "flex"}),
    "in a region, at least": ("gpt-7", K, "0.006", {"base_url": "https://eu.api.openai.com/v1"}),
    "noise at the end": ("noisy", K, "0.00014", {}),
    "0 may be a missing price": ("zero", K, None, {}),
    "two rates of output": ("thinking", K, None, {}),
    "a price per 1M tokens for one per token": ("unit", K, None, {}),
    "a charge for each request": ("beside", K, None, {}),
    "by the second": ("heard", Usage(audio_seconds=30.0), "0.003", {"api": "transcriptions"}),
    "a vendor's name before it": ("qwen9", K, "0.0012", {"base_url": QWEN}),
    "a band of theirs": ("qwen9", Usage(40_000, 100, 40_100), "0.0804", {"base_url": QWEN}),
    "the Gemini API's before Vertex's": (
        "gemini-9", K, "0.0012", {"base_url": "https://generativelanguage.googleapis.com/v1beta/openai"},
    ),
    "Vertex's own": ("claude-9", K, "0.0012", {"base_url": "https://aiplatform.googleapis.com/v1"}),
    "Vertex's own in a region": (
        "claude-9", K, "0.00132", {"base_url": "https://europe-west1-aiplatform.googleapis.com/v1"},
    ),
    "not in it, but in the package's list": ("gpt-4o", K, "0.0035", {}),
}  # fmt: skip


@pytest.mark.parametrize(("model", "usage", "cost", "fields"), LITELLM_ROWS.values(), ids=LITELLM_ROWS)
def test_litellms_file_prices_by_its_own_rates(
    model: str, usage: Usage, cost: str | None, fields: dict[str, Any], tmp_path: Path,
    listed: Callable[[Any], PriceBook],
) -> None:  # fmt: skip
    """As it is, and as an update keeps it: the same amounts."""
    as_it_is = PriceBook.from_file(written(tmp_path / "model_prices.json", LITELLM))

    for book in (as_it_is, listed(LITELLM)):
        assert price_of(book, model, usage, **fields).cost == (None if cost is None else Decimal(cost))


def test_genais_data_prices_as_the_packages_own_list_does(listed: Callable[[Any], PriceBook]) -> None:
    """What it has counts before the package's list, what it lacks is found there, and each source says which."""
    book = listed(GENAI)
    digest = json.loads(written_text(book))

    assert price_of(book, "gpt-7") == Price(
        Decimal("0.006"), f"genai-prices data of 2026-12-01 (sha256 {digest})", None
    )
    assert price_of(book, "gpt-5").cost == Decimal("0.004")
    assert price_of(book, "gpt-4o") == price_of(DEFAULT_BOOK, "gpt-4o")
    assert price_of(book, "gpt-5", service_tier="flex").cost is None, "the new list has no such tier any more"
    assert book.as_of == DAY
    assert book.version.startswith(f"genai-prices data of 2026-12-01 (sha256 {digest}) + genai-prices ")
    assert book.digest


def written_text(book: PriceBook) -> str:
    """The digest of a book's list, as JSON."""
    return json.dumps(book._terms.sources.public.digest)  # type: ignore[attr-defined]


def test_a_list_that_has_moved_on_counts_before_the_overlay(listed: Callable[[Any], PriceBook]) -> None:
    """The overlay was written against the package's list: where a list says another thing, it is the newer one."""
    same = genai(**{"gpt-4o-mini-transcribe": {"input_mtok": 1.25, "output_mtok": 5, "input_audio_mtok": 3}})
    newer = genai(
        **{"gpt-4o-mini-transcribe": {"input_mtok": 9, "output_mtok": 5, "input_audio_mtok": 9}},
        gpt_6_2_sol={"input_mtok": 1, "output_mtok": 1},
    )
    newer[0]["models"][1] |= {"id": "gpt-6.2-sol", "match": {"equals": "gpt-6.2-sol"}}
    heard = K._replace(input_audio_tokens=1_000)

    assert price_of(listed(same), "gpt-4o-mini-transcribe", heard).cost == Decimal("0.00175")
    assert price_of(listed(newer), "gpt-4o-mini-transcribe", heard).cost == Decimal("0.0095")
    assert price_of(listed(newer), "gpt-6.2-sol").cost == Decimal("0.0011")
    assert price_of(DEFAULT_BOOK, "gpt-6.2-sol").cost == Decimal("0.003")


def test_a_dated_file_says_its_day_its_origin_and_the_hash_of_its_data(tmp_path: Path) -> None:
    target = tmp_path / "prices.json"
    update(str(written(tmp_path / "data.json", LITELLM)), target, day=DAY)
    told = json.loads(target.read_text(encoding="utf-8"))
    body = target.read_text(encoding="utf-8").partition('"data":\n')[2].removesuffix("\n}\n")

    assert (told["date"], told["format"], told["from"]) == ("2026-12-01", "litellm", "data.json")
    assert told["sha256"] == hashlib.sha256(body.encode()).hexdigest()
    assert PriceBook.from_file(target).version.startswith(f"litellm file of 2026-12-01 (sha256 {told['sha256'][:12]})")
    target.write_bytes(target.read_bytes().replace(b"\n", b"\r\n"))  # as git may check it out on Windows
    assert PriceBook.from_file(target).as_of == DAY


def test_a_dated_file_can_be_handed_on_with_its_day(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    update(str(written(tmp_path / "data.json", GENAI)), first, day=DAY)

    done = update(str(first), second)

    assert second.read_bytes() == first.read_bytes()
    assert (done.held.as_of, done.models) == (DAY, 2)


def test_an_update_says_what_has_changed(tmp_path: Path) -> None:
    target, data = tmp_path / "prices.json", tmp_path / "data.json"
    first = update(str(written(data, GENAI)), target, day=DAY)
    newer = genai(gpt_5={"input_mtok": 1, "output_mtok": 20}, gpt_8={"input_mtok": 3, "output_mtok": 30})
    second = update(str(written(data, newer)), target, day=DAY)

    assert first[1:] == (2, 2, 0, 0)
    assert second[1:] == (2, 1, 1, 1)


BAD: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "it is not valid JSON"),
    "cut off": (json.dumps(LITELLM)[:-40], "it is not valid JSON"),
    "nested without end": ("[" * 100_000, "it is not valid JSON"),
    "a page": ("<html>404</html>", "it is not valid JSON"),
    "nothing": ("", "it is not valid JSON"),
    "another table": ({"overrides": []}, "it is no list of prices; it must be a file of `token-meter prices update`"),
    "an empty list": ([], "it is no list of prices"),
    "a list of numbers": ([1, 2], "it is no list of prices"),
    "a negative rate": (
        litellm(m={"input_cost_per_token": -1e-06}), "'m': input_cost_per_token must be a number that is at least 0",
    ),
    "a rate in words": (litellm(m={"input_cost_per_token": "cheap"}), "must be a number that is at least 0"),
    "no number": ('{"m": {"litellm_provider": "openai", "input_cost_per_token": NaN}}', "must be a number"),
    "true": (litellm(m={"input_cost_per_token": True}), "must be a number"),
    "a model twice": (
        '{"m": {"litellm_provider": "openai"}, "m": {"litellm_provider": "openai"}}', "'m' stands twice in one table",
    ),
    "a row that is none": ({**LITELLM, "m": 7}, "'m' must be a table of rates, not int"),
    "a band without a range": (
        litellm(m={"tiered_pricing": [{"input_cost_per_token": 1e-06}]}), "must have a range such as",
    ),
    "another currency": (
        litellm(m={"input_cost_per_token": 1e-06, "currency": "CNY"}), "'m' is priced in 'CNY'; prices are US dollars",
    ),
    "no price at all": (litellm(m={"mode": "chat"}), "it has no price per token"),
    "genai: a negative rate": (genai(m={"input_mtok": -1}), "m at openai: input_mtok must be at least 0, not -1"),
    "genai: a rate of another unit": (genai(m={"input_mtok": 2_500_000}), "2500000 is more than 10000"),
    "genai: a pattern that is none": (
        [{**GENAI[0], "models": [{"id": "m", "match": {"or": [{"regex": "(("}]}, "prices": {"input_mtok": 1}}]}],
        "m at openai: '((' is no pattern",
    ),
    "a rate of another unit alone": (litellm(m={"input_cost_per_token": 2.5}), "it has no price per token"),
    "genai: a rate in words": (genai(m={"input_mtok": "cheap"}), "does not understand its rows"),
    "genai: a model twice": ([{**GENAI[0], "models": GENAI[0]["models"] * 2}], "it has gpt-5 at openai twice"),
    "genai: another currency": (genai(m={"input_mtok": 1, "currency": "EUR"}), "m at openai is priced in 'EUR'"),
    "genai: no prices": ([{**GENAI[0], "models": [{"id": "m", "match": {"equals": "m"}}]}], "m at openai has no prices"),
    "genai: a match of nothing": (
        [{**GENAI[0], "models": [{"id": "m", "match": {}, "prices": {"input_mtok": 1}}]}], "does not understand its rows",
    ),
    "bands that are none": (
        litellm(m={"input_cost_per_token": 1e-06, "tiered_pricing": 7}), "tiered_pricing must be a list of tables",
    ),
    "a band that begins nowhere": (
        litellm(m={"tiered_pricing": [{"input_cost_per_token": 1e-06, "range": [-1, 2]}]}), "must have a range such as",
    ),
    "genai: not its rows": ([{"id": "openai", "models": [{"id": "m"}]}], "m at openai has no prices"),
    "genai: models of another kind": ([{"id": "openai", "models": 7}], "does not understand its rows"),
    "bytes that are no text": (b"\xff\xfe\x00", "byte 0 is not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "words"), BAD.values(), ids=BAD)
def test_a_list_that_is_refused_changes_nothing(data: Any, words: str, tmp_path: Path) -> None:
    """The message says what is wrong, in which file, and that the old list is kept."""
    target, given = tmp_path / "prices.json", tmp_path / "new.json"
    update(str(written(tmp_path / "data.json", GENAI)), target, day=DAY)
    before = target.read_bytes()
    given.write_bytes(data if isinstance(data, bytes) else written(given, data).read_bytes())

    with pytest.raises(ConfigError) as refused:
        update(str(given), target, day=DAY)

    assert words in str(refused.value)
    assert "new.json" in str(refused.value)
    assert "nothing was changed" in str(refused.value)
    assert target.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_an_older_list_does_not_take_the_place_of_a_newer_one_unasked(tmp_path: Path) -> None:
    target, data = tmp_path / "prices.json", str(written(tmp_path / "data.json", GENAI))
    update(data, target, day=DAY)

    with pytest.raises(ConfigError, match="data.json is of 2026-11-01, older than prices.json, which is of 2026-12-01"):
        update(data, target, day=date(2026, 11, 1))

    assert update(data, target, day=date(2026, 11, 1), may_go_back=True).held.as_of == date(2026, 11, 1)


def test_a_file_of_others_is_not_overwritten(tmp_path: Path) -> None:
    target = written(tmp_path / "prices.json", {"overrides": []})

    with pytest.raises(ConfigError, match="is there, and no list that token-meter has written; nothing was changed"):
        update(str(written(tmp_path / "data.json", GENAI)), target, day=DAY)


def test_a_clock_before_this_release_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = str(written(tmp_path / "data.json", GENAI))
    monkeypatch.setattr(updating.time, "time", lambda: 0.0)

    with pytest.raises(ConfigError, match="clock says 1970-01-01, before the day of this release"):
        update(data, tmp_path / "prices.json")

    assert update(data, tmp_path / "prices.json", day=DAY).held.as_of == DAY


def test_a_file_that_was_changed_by_hand_is_no_dated_list_any_more(tmp_path: Path) -> None:
    target = tmp_path / "prices.json"
    data = str(written(tmp_path / "data.json", LITELLM))
    update(data, target, day=DAY)
    text = target.read_text(encoding="utf-8")

    for wrong, words in (
        (text.replace('"3"', '"1"'), "it was changed after it was written"),
        (text[: len(text) // 2], "it ends before its data does"),
        (text.replace('"date"', '"day"'), "its first lines must name date, format and sha256"),
        (text.replace("2026-12-01", "soon"), "its first lines must name date, format and sha256"),
    ):
        target.write_text(wrong, encoding="utf-8")
        with pytest.raises(ConfigError, match=words):
            PriceBook.from_file(target)
    update(data, target, day=DAY)
    assert target.read_text(encoding="utf-8") == text


def test_an_update_can_fetch_from_an_address(tmp_path: Path) -> None:
    """Only here, and the address is noted without user, password and query."""
    answers = {"/data.json": json.dumps(GENAI).encode(), "/broken.json": b"{"}

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.get(self.path.partition("?")[0])
            self.send_response(200 if body else 404)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args: Any) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        done = update(f"{here}/data.json?key=secret", tmp_path / "prices.json", day=DAY)
        for path, words in (("/none.json", "cannot be fetched"), ("/broken.json", "it is not valid JSON")):
            with pytest.raises(ConfigError, match=words) as refused:
                update(here + path, tmp_path / "prices.json", day=DAY)
            assert "nothing was changed" in str(refused.value)
        server.shutdown()

    assert done.held.origin == "127.0.0.1/data.json"
    assert "secret" not in (tmp_path / "prices.json").read_text(encoding="utf-8")


def test_no_program_ever_comes_near_the_update(tmp_path: Path) -> None:
    """Importing the package loads no price; pricing by a list in a file loads nothing that could fetch."""
    target = tmp_path / "prices.json"
    update(str(written(tmp_path / "data.json", LITELLM)), target, day=DAY)
    told = (
        "import sys, token_meter; assert not [m for m in sys.modules if m.startswith('token_meter.prices')]\n"
        "from token_meter import Call, Usage; from token_meter.prices import PriceBook\n"
        f"book = PriceBook.from_file({str(target)!r})\n"
        "call = Call('c', 1.8e9, 1.0, 'api.openai.com', 'chat', response_model='gpt-7', usage=Usage(1000, 100, 1100))\n"
        "assert str(book.price(call).cost) == '0.006', book.price(call)\n"
        "assert not {'token_meter.prices._update', 'urllib.request'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", told], check=True, timeout=60)


# Rows of a list in a price file.

BOOK = PriceBook(
    overrides=[Rates("openai", "gpt-8-contract", input="1", output="1")],
    listed=[
        Listed("openai", "gpt-7", like="gpt-6.1-sol", input="4", output="20"),
        Listed("openai", "gpt-7-same", like="gpt-6.1-sol", times={"ultrafast": "4", "flex": "0.25"}),
        Listed("openai", "gpt-7-bands", like="gpt-6.1-sol", above={128_000: {"input": "3", "output": "12"}}),
        Listed("openai", "gpt-8", input="1", output="2", times={"priority": "2", "batch": "0.5"}, until="2026-11-30"),
        Listed("openai", "gpt-8", input="2", output="4", cached_input="0.2", until=date(2026, 12, 31)),
        Listed("openai", "gpt-8*", input="9", output="9"),
        Listed("openai", "gpt-8-contract", input="9", output="9"),
        Listed("openai", "gpt-5", input="9", output="9"),
        Listed("local", "*", input="0", output="0"),
    ],
    hosts={"http://127.0.0.1:9999": "local"},
    multipliers={"https://gw.corp/v1": "0.5"},
)
LISTED: dict[str, tuple[str, Usage, str | None, dict[str, Any]]] = {
    "own rates": ("gpt-7", K, "0.006", {}),
    "cached input in the ratio of like": ("gpt-7", K._replace(cached_tokens=1_000), "0.0022", {}),
    "a band in the ratio of like": ("gpt-7", LONG, "2.403", {}),
    "a tier in the ratio of like": ("gpt-7", K, "0.012", {"service_tier": "priority"}),
    "batch in the ratio of like": ("gpt-7", K, "0.003", {"processing": "batch"}),
    "a tier of like that the overlay has": ("gpt-7", K, "0.036", {"service_tier": "ultrafast"}),
    "in a region, as old as like": ("gpt-7", K, "0.0066", {"base_url": "https://eu.api.openai.com/v1"}),
    "a dated snapshot": ("gpt-7-2027-01-01", K, "0.006", {}),
    "nothing of its own": ("gpt-7-same", K, "0.003", {}),
    "a factor of its own": ("gpt-7-same", K, "0.012", {"service_tier": "ultrafast"}),
    "a factor before like's tier": ("gpt-7-same", K, "0.00075", {"service_tier": "flex"}),
    "bands of its own": ("gpt-7-bands", Usage(200_000, 100, 200_100), "0.6012", {}),
    "bands of its own, not like's": ("gpt-7-bands", LONG, "0.9012", {}),
    "until": ("gpt-8", K, "0.0012", {"at": "2026-11-30T23:59:59Z"}),
    "after it, the next row": ("gpt-8", K, "0.0024", {"at": "2026-12-01T00:00:00Z"}),
    "after the last of them": ("gpt-8", K, None, {"at": "2027-01-01T00:00:00Z"}),
    "times": ("gpt-8", K, "0.0024", {"at": "2026-11-30T00:00:00Z", "service_tier": "priority"}),
    "times of a batch": ("gpt-8", K, "0.0006", {"at": "2026-11-30T00:00:00Z", "processing": "batch"}),
    "no such tier": ("gpt-8", K, None, {"at": "2026-12-01T00:00:00Z", "service_tier": "priority"}),
    "a rate that it has": ("gpt-8", K._replace(cached_tokens=500), "0.0015", {"at": "2026-12-02T00:00:00Z"}),
    "a rate that it lacks": ("gpt-8", K._replace(cached_tokens=500), None, {"at": "2026-11-02T00:00:00Z"}),
    "a pattern": ("gpt-8-mini", K, "0.0099", {}),
    "a contract counts first": ("gpt-8-contract", K, "0.0011", {}),
    "before the public list": ("gpt-5", K, "0.0099", {}),
    "free, because a row says so": ("llama9", K, "0", {"base_url": "http://127.0.0.1:9999/v1"}),
}


@pytest.mark.parametrize(("model", "usage", "cost", "fields"), LISTED.values(), ids=LISTED)
def test_a_listed_row_is_a_list_price(model: str, usage: Usage, cost: str | None, fields: dict[str, Any]) -> None:
    price = price_of(BOOK, model, usage, **fields)

    assert (price.cost if price.is_whole else None) == (None if cost is None else Decimal(cost))


def test_a_multiplier_moves_a_listed_row_and_no_contract() -> None:
    book = PriceBook(
        overrides=[Rates("openai", "a", input="1", output="1")],
        listed=[Listed("openai", "b", input="1", output="1", note="their page")],
        hosts={"https://gw.corp/v1": "openai"},
        multipliers={"https://gw.corp/v1": "0.5"},
    )

    assert price_of(book, "a", base_url="https://gw.corp/v1").cost == Decimal("0.0011")
    assert price_of(book, "b", base_url="https://gw.corp/v1") == Price(
        Decimal("0.00055"), "listed their page x 0.5", None
    )


def test_a_listed_row_in_a_file_is_the_row_in_code(tmp_path: Path) -> None:
    path = written(
        tmp_path / "prices.toml",
        """
[[listed]]
provider = "openai"
model = "gpt-7"
like = "gpt-6.1-sol"
input = 4
output = "20"
above = { 272000 = { input = "9" } }
times = { priority = 3, batch = 0.25 }
until = 2027-02-28
""",
    )
    book = PriceBook.from_file(path)

    assert book.version.endswith("prices.toml (0 overrides, 1 list row)")
    assert price_of(book, "gpt-7", LONG).cost == Decimal("2.703")
    assert price_of(book, "gpt-7", service_tier="priority").cost == Decimal("0.018")
    assert price_of(book, "gpt-7", at="2027-02-28T23:00:00Z").cost == Decimal("0.006")
    assert price_of(book, "gpt-7", at="2027-03-01T00:00:00Z").cost is None
    assert book.digest != PriceBook().digest


ROW = '[[listed]]\nprovider = "openai"\nmodel = "m"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ROW, "has no rate; give at least one"),
        (ROW + "input = -1", "input must be a number that is at least 0"),
        (ROW + "imput = 1", "'imput' is not a rate; did you mean 'input'"),
        (ROW + "input = 1\nlik = 'x'", "'lik' is not a rate; did you mean 'like'"),
        (ROW + 'like = "m"', "like names the model itself"),
        (ROW + "like = 7", "like must be a name"),
        (ROW + 'input = 1\nuntil = "soon"', "until must be a day such as 2027-02-28, not 'soon'"),
        (ROW + "input = 1\nuntil = 2027-02-28T00:00:00Z", "until must be a day"),
        (ROW + "input = 1\ntimes = 2", "times must be a table"),
        (ROW + "input = 1\ntimes = { standard = 2 }", "which is the standard price itself"),
        (ROW + "input = 1\ntimes = { flex = -1 }", "times.flex must be a number that is at least 0"),
        (ROW + "input = 1\nabove = { soon = { input = 1 } }", "above must name a number of input tokens"),
        ((ROW + "input = 1\n") * 2, "two listed rows for openai m without an end"),
        (ROW + 'input = 1\ncurrency = "EUR"', "'m' is in 'EUR'; prices are US dollars"),
        ('currency = "CNY"', "it is in 'CNY'; prices are US dollars"),
        ("listed = 7", "listed must be a list of tables"),
        ('public = "none.json"', "price list none.json: it cannot be read: No such file"),
        ("public = 7", "public must be the path of a list of prices"),
        ('public = "here.toml"', "price list here.toml: it is not valid JSON"),
    ],
)
def test_a_slip_in_a_price_file_is_named(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        PriceBook.from_file(written(tmp_path / "here.toml", text))

    assert words in str(refused.value)
    assert str(refused.value).startswith("price file here.toml: ")


def test_a_gateway_by_model_knows_who_sells_in_a_list(listed: Callable[[Any], PriceBook], tmp_path: Path) -> None:
    listed(LITELLM)
    book = PriceBook(hosts={"https://gw/v1": "by-model"}, public=tmp_path / "token-meter-prices.json")

    assert price_of(book, "dashscope/qwen9", base_url="https://gw/v1").cost == Decimal("0.0012")
    assert price_of(book, "gpt-7", base_url="https://gw/v1").cost == Decimal("0.006")


def test_a_list_behind_a_link_stays_behind_it(tmp_path: Path) -> None:
    data, link = str(written(tmp_path / "data.json", GENAI)), tmp_path / "link.json"
    update(data, tmp_path / "prices.json", day=DAY)
    link.symlink_to("prices.json")
    update(data, link, day=date(2026, 12, 2))

    assert link.is_symlink()
    assert PriceBook.from_file(tmp_path / "prices.json").as_of == date(2026, 12, 2)


@pytest.mark.parametrize(
    ("given", "words"), [({"public": 7}, "public must be the path"), ({"listed": [1]}, "listed must")]
)
def test_a_slip_in_code_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        PriceBook(**given)


def test_what_cannot_be_looked_up_through_like_has_no_price() -> None:
    book = PriceBook(
        listed=[
            Listed("openai", "a", like="nothing-like-it"),
            Listed("openai", "b", like="c"),
            Listed("openai", "c", like="gpt-5"),
            Listed("openai", "d", like="whisper-1"),
        ]
    )

    assert price_of(book, "a").reason == "openai has no price for nothing-like-it"
    assert price_of(book, "b").reason == "b is listed like c, which is itself listed like another; name that one"
    assert price_of(book, "c").cost == price_of(book, "gpt-5").cost
    assert "not one of rates per token" in (price_of(book, "d").reason or "")


def test_the_rows_of_lists_are_shown_with_all_others(listed: Callable[[Any], PriceBook]) -> None:
    tiers = {row.tier for row in describe("gpt-7", book=BOOK)}
    of_list = listed(LITELLM)

    assert {"standard", "flex", "priority", "fast", "batch"} <= tiers
    assert {row.tier for row in describe("gpt-7-same", book=BOOK)} >= {"ultrafast", "flex"}
    assert {row.tier for row in describe("gpt-7", book=of_list)} == {"standard", "priority", "batch"}
    assert {"gpt-7", "gpt-8", "gpt-4o"} <= set(known_models(book=BOOK))
    assert {"gpt-7", "noisy", "gpt-4o"} <= set(known_models(book=of_list))
    assert "local" in known_providers(book=BOOK)
    assert "zero" not in known_models(book=of_list)
