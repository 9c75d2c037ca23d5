"""Nothing secret leaves: canaries in every place where a secret may stand, searched for in everything that we write."""

from __future__ import annotations

import json
import logging
import traceback
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import OpenAI, OpenAIError

from tests.proof.canned import DONE, USAGE, Pieces, event, json_body
from tests.wire.by_name import APIS, DeltaReader, StreamReader, read_answer, read_body
from token_meter import BudgetExceededError, CallbackHandler, Meter, meter
from token_meter.handlers import FileHandler, LoggingHandler, StdOutHandler
from token_meter.ledger import Ledger, read_run
from token_meter.providers import route_of
from token_meter.report import FORMATS, remember, render, summarise
from token_meter.types import Reading
from token_meter.wire import read_request

CANARIES = {
    "prompt": "CANARY-prompt-7f3a", "answer": "CANARY-answer-19bc", "key": "sk-CANARY-key-55d0",
    "header": "CANARY-header-e4e2", "query": "CANARY-query-0a91", "user": "CANARYuser8d", "password": "CANARYpass3e",
    "organization": "org-CANARY-2b7c", "response id": "chatcmpl-CANARY-91aa", "tool arguments": "CANARY-args-6d6d",
    "request id": "req_CANARY_4f4f", "end user": "CANARY-enduser-aa10", "error text": "CANARY-error-77e1",
}  # fmt: skip
COMMAND = (
    "env", f"OPENAI_API_KEY={CANARIES['key']}", "python", "app.py", "--prompt", CANARIES["prompt"],
    f"--user={CANARIES['end user']}", f"-p{CANARIES['password']}", f"https://h/v1?api-key={CANARIES['query']}",
)  # fmt: skip
"""What `token-meter run` was given."""


class Outputs(NamedTuple):
    """Everything that one run has written, by where."""

    texts: dict[str, str]

    def leaks(self) -> list[str]:
        """Which canary sits where."""
        return [
            f"{what} in {where}"
            for where, text in self.texts.items()
            for what, canary in CANARIES.items()
            if canary in text
        ]


class _Curious(CallbackHandler):
    """Keeps all that it is told at the end of a call."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.seen += [tuple(response), str(response), repr(response), response.to_dict(), str(kwargs)]

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.seen += [str(kwargs)]


def _answer(request: httpx2.Request) -> httpx2.Response:
    """Four kinds of answers, by the model that is asked for."""
    headers = {"x-request-id": CANARIES["request id"]}
    body = json.loads(request.content)
    if body["model"] == "failing":
        error = {"message": CANARIES["error text"], "type": "server_error", "code": None}
        return httpx2.Response(500, headers=headers, json={"error": error})
    if body["model"] == "broken":
        return httpx2.Response(200, headers=headers, content=f'{{"id": "{CANARIES["answer"]}'.encode())
    if body.get("stream"):
        pieces = [event(None, CANARIES["answer"], id=CANARIES["response id"])]
        if body["model"] != "silent":
            pieces.append(event(USAGE, "", id=CANARIES["response id"]))
        head = {**headers, "content-type": "text/event-stream"}
        return httpx2.Response(200, headers=head, stream=Pieces(*pieces, DONE))
    call = {"name": "find", "arguments": json.dumps({"q": CANARIES["tool arguments"]})}
    message = {
        "role": "assistant", "content": CANARIES["answer"],
        "tool_calls": [{"id": "call_1", "type": "function", "function": call}],
    }  # fmt: skip
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return httpx2.Response(200, headers=headers, json=json_body(USAGE, id=CANARIES["response id"], choices=choices))


def _ask(client: OpenAI, model: str, *, stream: bool = False) -> None:
    messages: list[Any] = [{"role": "user", "content": CANARIES["prompt"]}]
    try:
        answer: Any = client.chat.completions.create(
            model=model, messages=messages, stream=stream, user=CANARIES["end user"],
            extra_headers={"x-secret": CANARIES["header"]}, extra_query={"token": CANARIES["query"]},
        )  # fmt: skip
        for _ in answer if stream else ():
            pass
    except BudgetExceededError:
        raise
    except OpenAIError:  # the SDK's own errors are the SDK's affair
        pass
    except ValueError:  # and so is a body that is no JSON
        assert model == "broken"


def _of_meter(cb: Meter) -> dict[str, str]:
    return {
        "str": str(cb), "repr": repr(cb), "card": cb._repr_html_(), "to_dict": json.dumps(cb.to_dict()),
        "by_model": repr(cb.by_model), "calls": repr(cb.calls), "calls to_dict": str([c.to_dict() for c in cb.calls]),
        "unpriced": repr(cb.unpriced_models),
    }  # fmt: skip


@pytest.fixture
def outputs(tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Outputs:
    """All that is written about calls full of secrets: whole, streamed, silent, failed, broken and refused ones."""
    ledger, curious = Ledger.create(tmp_path / "ledger"), _Curious()
    handlers = [curious, FileHandler(tmp_path / "calls.log"), StdOutHandler(), LoggingHandler()]
    base_url = f"https://{CANARIES['user']}:{CANARIES['password']}@llm.example/v1"
    texts: dict[str, str] = {}
    with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.DEBUG, "token_meter"):
        warnings.simplefilter("always")
        with OpenAI(
            api_key=CANARIES["key"], organization=CANARIES["organization"], base_url=base_url, max_retries=0,
            http_client=httpx2.Client(transport=httpx2.MockTransport(_answer)),
        ) as client:  # fmt: skip
            with meter("shop", handlers=handlers, keep_calls=True, ledger=ledger, tags=["t"]) as cb:
                _ask(client, "gpt-4o-mini")
                for model in ("gpt-4o-mini", "silent"):
                    _ask(client, model, stream=True)
                _ask(client, "failing")
                _ask(client, "broken")
                texts |= _of_meter(cb)
            with meter(max_calls=1) as poor:
                _ask(client, "gpt-4o-mini")
                with pytest.raises(BudgetExceededError) as refused:
                    _ask(client, "gpt-4o-mini")
        texts |= {
            f"refused {name}": repr(getattr(refused.value, name)) for name in ("args", "wanted", "spent", "meter")
        }
        texts["refusal"] = "".join(traceback.format_exception_only(refused.value)) + repr(poor)
    assert (cb.successful_requests, cb.failed_requests) == (4, 1)
    ledger.close()
    texts["warnings"] = "".join(str(warning.message) for warning in warned)
    ours = [record for record in caplog.records if record.name.startswith("token_meter")]
    texts["log"] = "\n".join(f"{record.getMessage()} {record.__dict__} {record.exc_text}" for record in ours)
    texts["handler arguments"] = str(curious.seen)
    printed = capsys.readouterr()
    texts["stdout"], texts["stderr"] = printed.out, printed.err
    for path in tmp_path.rglob("*"):
        if path.is_file():
            texts[str(path.relative_to(tmp_path))] = path.read_text(errors="replace") + path.name
    summary = summarise(read_run(ledger.run_dir), command=COMMAND)
    remember(summary, tmp_path)
    texts["history"] = (tmp_path / "history.jsonl").read_text()
    for name in FORMATS:
        texts[f"report {name}"] = render(summary, name)
    return Outputs(texts)


def test_f90_f91_no_canary_is_found_in_anything_that_we_write(outputs: Outputs) -> None:
    """Prompt, answer, key, header, query, userinfo, organization, ids, tool arguments, the text of errors."""
    assert outputs.leaks() == []


def test_f90_the_search_would_find_a_canary(outputs: Outputs) -> None:
    """The outputs are there and hold what they should; a planted canary is found."""
    assert all("4o-mini" in outputs.texts[name] for name in ("str", "handler arguments", "report json", "calls.log"))
    assert all("env ... python app.py" in outputs.texts[name] for name in ("history", "report html"))
    assert any(name.endswith(".jsonl") and "4o-mini" in text for name, text in outputs.texts.items())

    assert Outputs({"x": f"… {CANARIES['key']} …"}).leaks() == ["key in x"]


# Fuzzers: any bytes, bounded in number; `make soak` is for more.

fuzzed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
texts = st.binary(max_size=400) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["usage", "model", "id", "choices", "prompt_tokens", "error", "status"]), inner
        )
    ),
    max_leaves=20,
).map(lambda value: json.dumps(value).encode())


@fuzzed
@given(api=st.sampled_from(sorted(APIS)), raw=texts, cut=st.integers(0, 400))
def test_f02_no_bytes_make_a_reader_raise(api: str, raw: bytes, cut: int) -> None:
    """Every reader of the wire gives a reading, of any bytes and in any pieces."""
    for body in (raw, b"data: " + raw + b"\n\n"):
        reader, deltas = StreamReader(api), DeltaReader(api)
        for piece in (body[:cut], body[cut:]):
            reader.feed(piece)
            assert isinstance(deltas.feed(piece), list)
        assert isinstance(reader.finish(), Reading)
        assert isinstance(read_body(api, body), Reading)
        reader.answer(), read_answer(api, body), read_request(body)


@fuzzed
@given(method=st.sampled_from(["GET", "POST", "DELETE", ""]), path=st.text(max_size=60).map("/{}".format))
def test_f34_no_path_makes_the_routes_raise(method: str, path: str) -> None:
    """Any path is ours or is not."""
    assert route_of(method, path) is None or route_of(method, "/v1" + path) is not None


@fuzzed
@given(lines=st.lists(texts, max_size=6), place=st.integers(0, 10_000), noise=st.binary(max_size=40))
def test_f86_no_bytes_make_the_ledger_reader_raise(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], place: int, noise: bytes
) -> None:
    """Foreign lines, and noise in the middle of real ones, are skipped; the other calls are read."""
    from tests.proof.test_catalogue_records import CALL

    ledger = Ledger.create(tmp_path_factory.mktemp("fuzz"))
    for number in range(3):
        ledger.call(CALL._replace(id=f"00000000000000a1-{number:x}"))
    ledger.close()
    assert ledger.shard is not None
    whole = ledger.shard.read_bytes()
    cut = place % (len(whole) + 1)
    ledger.shard.write_bytes(whole[:cut] + noise + whole[cut:] + b"\n" + b"\n".join(lines))

    assert sum(row.calls for row in read_run(ledger.run_dir)) <= 3
