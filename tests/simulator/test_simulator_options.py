"""Each option does on the wire what its name says."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import httpx
import httpx2
import openai
import pytest
from openai import OpenAI

from token_meter.estimate import count_text
from token_meter.exceptions import ConfigError
from token_meter.simulator import Simulator
from token_meter.simulator.options import describe_options, read_options

Ask = Callable[..., OpenAI]
Post = Callable[..., httpx.Response]
HELLO: list[Any] = [{"role": "user", "content": "Say hello to the roses"}]
BODY: dict[str, Any] = {"model": "gpt-4o-mini", "messages": HELLO}
STREAM = BODY | {"stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture
def post(sim: Simulator) -> Iterator[Post]:
    """Post a body with options, and give the bare response."""
    with httpx.Client() as client:

        def send(body: dict[str, Any], headers: dict[str, str] | None = None, /, **options: object) -> httpx.Response:
            base = sim.base_url_with(**options) if options else sim.base_url
            key = {"authorization": "Bearer sim-test"}
            return client.post(f"{base}/chat/completions", json=body, headers=key | (headers or {}))

        yield send


def events(raw: bytes, end: bytes = b"\n") -> list[Any]:
    """The JSON of every event in a raw stream."""
    blocks = [block for block in raw.split(end + end) if block]
    found = []
    for block in blocks:
        data = b"\n".join(line[6:] for line in block.split(end) if line.startswith(b"data: "))
        if data != b"[DONE]":
            found.append(json.loads(data))
    return found


def told(found: list[Any]) -> list[Any]:
    """The usages at the top of events."""
    return [event["usage"] for event in found if event.get("usage")]


def tokens_of(chunks: list[Any]) -> int:
    """Tokens of the text in the deltas of chunks."""
    return count_text("".join(chunk.choices[0].delta.content or "" for chunk in chunks), "gpt-4o-mini").tokens


@pytest.mark.parametrize(("name", "end"), [("lf", b"\n"), ("crlf", b"\r\n"), ("cr", b"\r")])
def test_line_sets_the_line_end(post: Post, name: str, end: bytes) -> None:
    """Events end with two of the asked line ends, and hold no other."""
    raw = post(STREAM, line=name).content

    assert raw.endswith(b"data: [DONE]" + end + end)
    assert set(raw) & set(b"\r\n") == set(end)
    assert len(told(events(raw, end))) == 1


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_chunk_sets_the_size_of_every_piece(sim: Simulator, size: int) -> None:
    """Pieces have the same size across the borders of events; only the last one is shorter."""
    url = f"{sim.base_url_with(chunk=size)}/chat/completions"
    with httpx.Client() as client, client.stream("POST", url, json=STREAM) as answer:
        sizes = [len(piece) for piece in answer.iter_raw()]

    assert set(sizes[:-1]) == {size}
    assert 0 < sizes[-1] <= size


def test_chunk_cuts_a_json_body_too(sim: Simulator) -> None:
    """Byte by byte, and still the same body."""
    url = f"{sim.base_url_with(chunk=1)}/chat/completions"
    with httpx.Client() as client, client.stream("POST", url, json=BODY) as answer:
        pieces = list(answer.iter_raw())

    assert json.loads(b"".join(pieces))["usage"]["total_tokens"] > 0


def test_usage_openai_has_nulls_and_a_last_chunk_without_choices(post: Post) -> None:
    """What OpenAI does with include_usage."""
    *chunks, last = events(post(STREAM).content)

    assert all("usage" in chunk and chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(("style", "value"), [("none", "absent"), ("null", None)])
def test_usage_can_be_withheld(sim: Simulator, post: Post, style: str, value: object) -> None:
    """Neither the body nor the stream tells it, asked or not; the bill does."""
    body = post(BODY, usage=style).json()
    found = events(post(STREAM, usage=style).content)

    assert body.get("usage", "absent") == value
    assert all(event.get("usage", "absent") == value for event in found if event["choices"])
    assert told(found) == []
    assert sim.bill().delivered == 0
    assert sim.bill().total_tokens > 0


def test_usage_every_is_cumulative(sim: Simulator, post: Post) -> None:
    """Every chunk tells what was used so far; the last one is the bill."""
    found = [usage["total_tokens"] for usage in told(events(post(STREAM, usage="every").content))]

    assert found == sorted(found)
    assert len(found) > 10
    assert found[-1] == sim.bill().total_tokens < sum(found)


def test_usage_choices0_hides_in_the_last_choice(sim: Simulator, post: Post) -> None:
    """As Moonshot does."""
    found = events(post(BODY | {"stream": True}, usage="choices0").content)

    assert told(found) == []
    assert found[-1]["choices"][0]["usage"]["total_tokens"] == sim.bill().total_tokens


def test_usage_deepseek_splits_the_prompt_by_cache(post: Post) -> None:
    """Hit and miss at the top of usage, in the last chunk with choices."""
    usage = post(BODY, usage="deepseek").json()["usage"]
    last = events(post(BODY | {"stream": True}, usage="deepseek").content)[-1]

    assert usage["prompt_cache_hit_tokens"] + usage["prompt_cache_miss_tokens"] == usage["prompt_tokens"]
    assert "prompt_tokens_details" not in usage
    assert last["choices"]
    assert last["usage"] == usage


def test_usage_openrouter_tells_the_cost(sim: Simulator, post: Post) -> None:
    """The told cost is the billed one."""
    usage = json.loads(post(BODY, usage="openrouter").content, parse_float=Decimal)["usage"]

    assert usage["cost"] == sim.bill().cost > 0


def test_usage_xai_adds_reasoning_in_the_total_only(sim: Simulator, post: Post) -> None:
    """completion_tokens leaves out what was thought; ticks are 1e-10 dollars."""
    usage = post(BODY, usage="xai", reasoning=50).json()["usage"]

    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] + 50
    assert Decimal(usage["cost_in_usd_ticks"]) / 10**10 == sim.bill().cost
    assert sim.bill().completion_tokens == usage["completion_tokens"]


def test_usage_after_done_comes_last(post: Post) -> None:
    """The usage event follows [DONE]."""
    raw = post(BODY | {"stream": True}, usage="after_done").content

    assert b'"usage":{' in raw.partition(b"data: [DONE]")[2]


def test_responses_tell_no_usage_either(ask: Ask) -> None:
    """The style holds for other routes."""
    client = ask(usage="none")

    assert client.responses.create(model="gpt-4o", input="x").usage is None
    assert client.embeddings.create(model="text-embedding-3-small", input="x").to_dict().get("usage") is None


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip+br"])
@pytest.mark.parametrize("body", [BODY, STREAM], ids=["json", "sse"])
def test_compress_is_undone_by_the_client(encoding: str, body: dict[str, Any], sim: Simulator) -> None:
    """JSON and SSE come through every encoding, and through two of them."""
    url = sim.base_url_with(compress=encoding) + "/chat/completions"
    with httpx2.Client() as client:
        answer = client.post(url, json=body)

    assert answer.headers["content-encoding"] == encoding.replace("+", ", ")
    text = answer.content
    assert b'"usage":{' in text
    assert text.startswith(b"data: " if "stream" in body else b"{")


def test_compressed_events_arrive_one_by_one(sim: Simulator) -> None:
    """Each event is flushed: the first one can be read before the last one was sent."""
    url = f"{sim.base_url_with(compress='gzip')}/chat/completions"
    with httpx.Client() as client, client.stream("POST", url, json=STREAM) as answer:
        first = next(answer.iter_raw())

    assert zlib.decompressobj(31).decompress(first).startswith(b"data: {")


def test_fail_answers_errors_first(sim: Simulator, ask: Ask) -> None:
    """The SDK retries through them; only the answer is billed."""
    client = ask({"max_retries": 3}, fail="429x2+500x1")

    assert client.chat.completions.create(**BODY).usage is not None
    bill = sim.bill()
    assert (bill.calls, bill.requests, bill.failures) == (1, 4, 3)


def test_fail_counts_for_clients_without_retry_header(post: Post) -> None:
    """The same request again is the next attempt; another request is a first attempt."""
    statuses = [post(BODY, fail="503x1").status_code for _ in range(3)]

    assert statuses == [503, 200, 200]
    assert post(BODY | {"n": 2}, fail="503x1").status_code == 503


def test_fail_outlasts_the_retries(sim: Simulator, ask: Ask) -> None:
    """Too many failures surface as the SDK's own error, and nothing is billed."""
    with pytest.raises(openai.RateLimitError):
        ask({"max_retries": 1}, fail="429x5").chat.completions.create(**BODY)

    assert (sim.bill().calls, sim.bill().failures) == (0, 2)


def test_status_is_an_error_with_usage(sim: Simulator, post: Post) -> None:
    """The error body carries a usage that is not billed."""
    answer = post(BODY, status=418)

    assert answer.status_code == 418
    assert answer.json()["usage"]["total_tokens"] == 7
    assert sim.bill().calls == 0


@pytest.mark.parametrize("after", [0, 3])
def test_cut_kills_the_socket(sim: Simulator, ask: Ask, after: int) -> None:
    """The client sees so many chunks and then an error; the bill has what was generated by then."""
    full = ask().chat.completions.create(**BODY).usage
    assert full is not None
    sim.reset()
    seen: list[Any] = []
    with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError, openai.APIConnectionError)):
        seen.extend(ask(cut=after).chat.completions.create(**STREAM))

    entry = sim.bill().entries[0]
    assert len(seen) == after
    assert entry.aborted
    assert not entry.delivered
    assert entry.usage.completion_tokens == tokens_of(seen) < full.completion_tokens


@pytest.mark.parametrize("with_usage", [False, True])
def test_error_comes_as_an_event(sim: Simulator, ask: Ask, with_usage: bool) -> None:
    """The SDK raises its APIError after so many chunks."""
    seen: list[Any] = []
    with pytest.raises(openai.APIError, match="simulated server had an error") as failure:
        seen.extend(ask(error=4, error_usage=with_usage).chat.completions.create(**STREAM))

    assert len(seen) == 4
    assert not isinstance(failure.value, openai.APIConnectionError)
    assert sim.bill().aborted == 1
    assert sim.bill().completion_tokens == tokens_of(seen)


def test_error_of_a_responses_stream_is_an_error_event(sim: Simulator, ask: Ask) -> None:
    """Named events: the error has a name, too."""
    with pytest.raises(openai.APIError):
        list(ask(error=5).responses.create(model="gpt-4o", input="x", stream=True))

    assert sim.bill().aborted == 1


def test_done_can_be_left_out(post: Post) -> None:
    """The stream just ends."""
    assert b"[DONE]" not in post(STREAM, done=0).content


def test_last_blank_can_be_left_out(post: Post) -> None:
    """The last event lacks its blank line."""
    assert post(STREAM, last_blank=0).content.endswith(b"data: [DONE]\n")
    assert not post(STREAM, last_blank=0).content.endswith(b"\n\n")


def test_bom_comes_first_and_once(post: Post) -> None:
    """A byte order mark before the first event."""
    raw = post(STREAM, bom=1).content

    assert raw.startswith(b"\xef\xbb\xbfdata: ")
    assert raw.count(b"\xef\xbb\xbf") == 1


def test_comments_and_multiline_keep_the_meaning(post: Post) -> None:
    """Comment lines and spread data lines read as the same events."""
    plain = events(post(STREAM, id="x").content)
    raw = post(STREAM, id="x", comments=1, multiline=1).content

    assert raw.count(b": simulated\n") == len(plain) + 1
    assert raw.count(b"data: ") > 5 * len(plain)
    assert [event["choices"] for event in events(raw)] == [event["choices"] for event in plain]


def test_body_turns_the_kind_of_answer_round(post: Post) -> None:
    """JSON for a stream request, SSE for a plain one."""
    as_json, as_sse = post(STREAM, body="json"), post(BODY, body="sse")

    assert as_json.headers["content-type"] == "application/json"
    assert as_json.json()["usage"]["total_tokens"] > 0
    assert as_sse.headers["content-type"].startswith("text/event-stream")
    assert events(as_sse.content)


@pytest.mark.parametrize("by_header", [False, True])
def test_redirect_is_followed_once_and_billed_once(sim: Simulator, ask: Ask, by_header: bool) -> None:
    """307 with usage in its body, then the answer; other options hold on."""
    if by_header:
        client = ask({"default_headers": {"x-sim-redirect": "1", "x-sim-id": "fixed"}})
    else:
        client = ask(redirect=1, id="fixed")
    answer = client.chat.completions.with_raw_response.create(**BODY)

    assert [step.status_code for step in answer.http_response.history] == [307]
    assert b'"usage"' in answer.http_response.history[0].content or not answer.http_response.history[0].is_closed
    assert answer.parse().id == "fixed"
    assert sim.bill().calls == 1


def test_truncated_body_is_billed_and_not_delivered(sim: Simulator, ask: Ask) -> None:
    """Each try is paid, none arrives."""
    with pytest.raises(openai.APIConnectionError):
        ask({"max_retries": 1}, truncate=1).chat.completions.create(**BODY)

    assert (sim.bill().calls, sim.bill().delivered, sim.bill().aborted) == (2, 0, 2)


def test_slow_body_is_left_by_a_hasty_client(sim: Simulator, ask: Ask) -> None:
    """A client that times out in the middle of a body has paid for all of it."""
    with pytest.raises(openai.APITimeoutError):
        ask({"timeout": 0.1}, slow=30).chat.completions.create(**BODY)

    entry = sim.bill().entries[0]
    assert (entry.aborted, entry.delivered, entry.is_open) == (True, False, False)
    assert entry.usage.completion_tokens


def test_latency_is_left_by_a_hasty_client(sim: Simulator, ask: Ask) -> None:
    """The same before the headers."""
    with pytest.raises(openai.APITimeoutError):
        ask({"timeout": 0.1}, latency=30).chat.completions.create(**BODY)

    assert (sim.bill().calls, sim.bill().aborted) == (1, 1)


def test_answer_can_be_dressed(ask: Ask) -> None:
    """Tier, model, id, length, thinking and padding are what the options say."""
    client = ask(tier="flex", model="acme-7b", id="same", words=3, reasoning=11, huge=100_000)
    answers = [client.chat.completions.create(**BODY) for _ in range(2)]

    assert [answer.id for answer in answers] == ["same", "same"]
    assert (answers[0].model, answers[0].service_tier) == ("acme-7b", "flex")
    assert len((answers[0].choices[0].message.content or "").split()) == 3
    assert answers[0].usage is not None
    assert answers[0].usage.completion_tokens_details is not None
    assert answers[0].usage.completion_tokens_details.reasoning_tokens == 11
    assert len(answers[0].model_dump()["padding"]) == 100_000


def test_asked_tier_is_served(ask: Ask) -> None:
    """Without an option the provider serves what was asked for; auto is the default tier."""
    served = [
        ask().chat.completions.create(**BODY, service_tier=tier).service_tier for tier in ("auto", "priority", "flex")
    ]

    assert served == ["default", "priority", "flex"]


def test_cache_can_be_switched_off(ask: Ask) -> None:
    """The same long prompt twice, nothing read from the cache."""
    messages: Any = [{"role": "user", "content": "rose lily tulip " * 800}]
    client = ask(cache=0)
    first, second = (client.chat.completions.create(model="gpt-4o", messages=messages).usage for _ in range(2))

    assert first == second


def test_headers_and_url_mean_the_same(post: Post) -> None:
    """One by one, as a list, in the URL; the URL wins."""
    ways = [
        post(BODY, {"x-sim-id": "fixed"}),
        post(BODY, {"x-sim": "id=fixed,chunk=5"}),
        post(BODY, id="fixed"),
        post(BODY, {"x-sim-id": "other"}, id="fixed"),
    ]

    assert [answer.json()["id"] for answer in ways] == ["fixed"] * 4


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ([("latncy", "1")], "unknown simulator option 'latncy'; there are: body, bom,"),
        ([("line", "lfcr")], "line cannot be 'lfcr': line end of events: lf, crlf, cr"),
        ([("fail", "200x1")], "fail cannot be '200x1'"),
        ([("latency", "-1")], "latency cannot be '-1'"),
        ([("chunk", "１")], "chunk cannot be"),
        ([("bom", "perhaps")], "bom cannot be 'perhaps'"),
        ([("compress", "gzip+rar")], "compress cannot be 'gzip+rar'"),
    ],
)
def test_wrong_options_are_named(pairs: list[tuple[str, str]], says: str) -> None:
    """The error says what was wrong and what there is."""
    with pytest.raises(ConfigError) as failure:
        read_options(pairs)

    assert says in str(failure.value)


def test_wrong_option_is_a_clear_400(ask: Ask, post: Post) -> None:
    """Over the wire as well, and nothing is billed."""
    answer = post(BODY, {"x-sim-latncy": "1"})

    assert answer.status_code == 400
    assert "unknown simulator option 'latncy'" in answer.json()["error"]["message"]


def test_every_option_is_described() -> None:
    """The help has one line for each option."""
    assert len(describe_options().splitlines()) == len(read_options([]).__slots__)


def test_gzip_body_is_real_gzip(sim: Simulator) -> None:
    """Not only our own decoder reads it."""
    url = f"{sim.base_url_with(compress='gzip')}/chat/completions"
    with httpx.Client() as client, client.stream("POST", url, json=BODY) as answer:
        raw = b"".join(answer.iter_raw())

    assert json.loads(gzip.decompress(raw))["object"] == "chat.completion"
