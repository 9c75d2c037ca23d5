"""Hosted tools and other fees: counted from the answer, priced by the published rate, or named as missing."""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from tests.bill.posts import ANTHROPIC, AZURE, GEMINI, OPENAI, Answer, posted
from token_meter import Usage
from token_meter._fees import Fees
from token_meter.ledger._line import usage_of
from token_meter.prices import PriceBook
from token_meter.prices._fees import FEES

HI = {"type": "message", "content": [{"type": "output_text", "text": "hi"}]}
SEARCH = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
PAGE = {"type": "web_search_call", "status": "completed", "action": {"type": "open_page", "url": "u"}}
FILES = {"type": "file_search_call", "status": "completed", "queries": ["q"]}
CODE = {"type": "code_interpreter_call", "status": "completed", "container_id": "c"}
IMAGE = {"type": "image_generation_call", "status": "completed", "result": "xx"}
SHELL = {"type": "shell_call", "status": "completed", "environment": {"type": "container_reference"}}
LOCAL = {"type": "shell_call", "status": "completed", "environment": {"type": "local"}}
CALLED = {"type": "function_call", "status": "completed", "name": "f", "arguments": "{}"}
TOMORROW = {"type": "oracle_call", "status": "completed"}
DRAWN = {
    "input_tokens": 50, "input_tokens_details": {"image_tokens": 0, "text_tokens": 50}, "output_tokens": 1056,
    "output_tokens_details": {"image_tokens": 1056, "text_tokens": 0}, "total_tokens": 1106,
}  # fmt: skip
NONE_DRAWN = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
SVG = {"type": "image_generation_call", "status": "completed", "svg_usage": {
    "model": "gpt-5", "input_tokens": 100, "output_tokens": 200, "reasoning_tokens": 0, "total_tokens": 300}}  # fmt: skip
TOKENS = Decimal("0.00225")  # 1,000 + 100 of gpt-5
BIG = {"type": "message", "content": [{"type": "output_text", "text": "x" * 40_000}]}


def response(*items: Any, model: str = "gpt-5", **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100,
             "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip
    return {"id": "r", "object": "response", "model": model, "status": "completed", "output": [*items, HI],
            "usage": usage, **more}  # fmt: skip


def used(searches: int = 0, **more: Any) -> dict[str, Any]:
    return {"tool_usage": {"web_search": {"num_requests": searches}, "image_gen": NONE_DRAWN, **more}}


class Row(NamedTuple):
    """One answer: what it costs, and what that leaves out."""

    body: Any
    cost: Decimal | str
    missing: tuple[str, ...] = ()


PREVIEW = {"tools": [{"type": "web_search_preview"}]}
RESPONSES = {
    "searches that tool_usage counts": Row(response(SEARCH, SEARCH, SEARCH, **used(3)), TOKENS + Decimal("0.03")),
    "searches that the items show": Row(response(SEARCH, SEARCH), TOKENS + Decimal("0.02")),
    "discounted searches": Row(response(SEARCH, SEARCH, **used(0)), TOKENS),
    "an opened page, a failed search": Row(response(PAGE, {**SEARCH, "status": "failed"}), TOKENS),
    "a search in a big answer": Row(response(SEARCH, BIG), TOKENS + Decimal("0.01")),
    "the preview with a reasoning model": Row(response(SEARCH, **PREVIEW), TOKENS + Decimal("0.01")),
    "the preview with a classic one": Row(response(SEARCH, model="gpt-4.1", **PREVIEW), "0.0278"),
    "a mini's search": Row(response(SEARCH, model="gpt-4o-mini"), "0.01021", ("search content tokens",)),
    "a mini's search by the preview": Row(response(SEARCH, model="gpt-4o-mini", **PREVIEW), "0.02521"),
    "file searches": Row(response(FILES, FILES, FILES, FILES), TOKENS + Decimal("0.01")),
    "file and web searches": Row(response(FILES, SEARCH), TOKENS + Decimal("0.0125")),
    "code in a container": Row(response(CODE), TOKENS, ("code_interpreter",)),
    "code and a search": Row(response(CODE, CODE, SEARCH), TOKENS + Decimal("0.01"), ("code_interpreter",)),
    "a hosted shell": Row(response(SHELL), TOKENS, ("shell",)),
    "the caller's shell and functions": Row(response(LOCAL, CALLED), TOKENS),
    "an image of unknown size": Row(response(IMAGE), TOKENS, ("image_generation",)),
    "an image of an unnamed model": Row(response(IMAGE, **used(image_gen=DRAWN)), TOKENS, ("tokens of another model",)),
    "an image of a named model": Row(
        response(IMAGE, tools=[{"type": "image_generation", "model": "gpt-image-1"}], **used(image_gen=DRAWN)),
        TOKENS + (50 * 5 + 1056 * 40) / Decimal(1_000_000),
    ),
    "an image of a model without a price": Row(
        response(IMAGE, tools=[{"type": "image_generation", "model": "gpt-image-9"}], **used(image_gen=DRAWN)),
        TOKENS, ("input tokens of gpt-image-9", "output_image of gpt-image-9"),
    ),
    "an SVG": Row(response(SVG), TOKENS + (100 * Decimal("1.25") + 200 * 10) / 1_000_000),
    "a tool of tomorrow": Row(response(TOMORROW), TOKENS, ("oracle",)),
    "a tool of tomorrow in tool_usage": Row(response(**used(oracle={"num": 2})), TOKENS, ("oracle",)),
    "its use deep inside": Row(response(**used(oracle={"sessions": [{"n": 2}]})), TOKENS, ("oracle",)),
    "its use as a fraction": Row(response(**used(oracle={"minutes": 0.5})), TOKENS, ("oracle",)),
    "a tool of tomorrow that was not used": Row(response(**used(oracle={"sessions": [{"n": 0}]})), TOKENS),
}  # fmt: skip


def check(url: str, asked: Any, row: Row, **options: Any) -> Any:
    cb = posted(url, asked, row.body, **options)

    assert cb.cost == Decimal(row.cost), cb.calls[0].price
    assert cb.calls[0].price is not None
    assert cb.calls[0].price.missing == row.missing
    assert (cb.is_complete, cb.partly_priced_calls) == (not row.missing, 1 if row.missing else 0)
    assert cb.unpriced_calls == cb.unmeasured_calls == 0
    return cb


@pytest.mark.parametrize("row", RESPONSES.values(), ids=RESPONSES)
def test_a_hosted_tool_of_a_response_is_on_the_bill(row: Row) -> None:
    check(f"{OPENAI}/responses", {"model": "m", "input": "x"}, row)


@pytest.mark.parametrize("row", RESPONSES.values(), ids=RESPONSES)
def test_a_hosted_tool_of_a_streamed_response_is_on_the_bill(row: Row) -> None:
    events = [
        {"type": "response.created", "response": {**row.body, "status": "in_progress", "output": [], "usage": None}},
        *(
            {"type": "response.output_item.done", "output_index": n, "item": i}
            for n, i in enumerate(row.body["output"])
        ),
        {"type": "response.completed", "response": row.body},
    ]
    check(f"{OPENAI}/responses", {"model": "m", "input": "x", "stream": True}, row._replace(body=events))


CHAT_USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


def chat(model: str, message: Any = None, usage: Any = CHAT_USAGE, **more: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": "hi", **(message or {})}
    return {"id": "c", "model": model, "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
            "usage": usage, **more}  # fmt: skip


def sonar(model: str, **more: Any) -> dict[str, Any]:
    return chat(model, usage={"prompt_tokens": 14, "completion_tokens": 100, "total_tokens": 114, **more})


MOONSHOT_CALL = {"tool_calls": [{"id": "1", "type": "builtin_function", "function": {"name": "$web_search"}}]}
PERPLEXITY, GROQ, MOONSHOT = "https://api.perplexity.ai", "https://api.groq.com/openai/v1", "https://api.moonshot.ai/v1"
XAI = "https://api.x.ai/v1"
CHATS = {
    "a search model": (OPENAI, Row(chat("gpt-4o-search-preview"), "0.0285")),
    "a snapshot of one of today": (OPENAI, Row(chat("gpt-5-search-api-2025-10-14"), "0.01225")),
    "its snapshot": (OPENAI, Row(chat("gpt-4o-search-preview-2025-03-11"), "0.0285")),
    "a search model at another provider": (
        AZURE, Row(chat("gpt-4o-search-preview"), "0.0035", ("search_model",)),
    ),
    "a small search model": (OPENAI, Row(chat("gpt-4o-mini-search-preview"), "0.02521")),
    "a search model of today": (OPENAI, Row(chat("gpt-5-search-api"), "0.01225")),
    "a request of low context": (PERPLEXITY, Row(sonar("sonar", search_context_size="low"), "0.005114")),
    "of medium context": (PERPLEXITY, Row(sonar("sonar-pro", search_context_size="medium"), "0.011542")),
    "of high context": (PERPLEXITY, Row(sonar("sonar-reasoning-pro", search_context_size="high"), "0.014828")),
    "of unknown context": (PERPLEXITY, Row(sonar("sonar"), "0.000114", ("request",))),
    "deep research without its searches": (
        PERPLEXITY, Row(sonar("sonar-deep-research", citation_tokens=1000, reasoning_tokens=2000), "0.008828",
                        ("search_queries",)),
    ),
    "a compound system's tool": (
        GROQ, Row(chat("openai/gpt-oss-20b", {"executed_tools": [{"type": "search"}]}), "0.000105",
                  ("executed search",)),
    ),
    "Moonshot's search": (MOONSHOT, Row(chat("kimi-k2-0905-preview", MOONSHOT_CALL), "0.00585")),
    "sources of xAI without its charge": (
        XAI, Row(chat("grok-4", usage={**CHAT_USAGE, "num_sources_used": 4}), "0.0045", ("sources",)),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("base", "row"), CHATS.values(), ids=CHATS)
def test_a_fee_of_the_chat_api_is_on_the_bill(base: str, row: Row) -> None:
    check(f"{base}/chat/completions", {"model": "m", "messages": []}, row)


def message(usage: Any = None, *blocks: Any, model: str = "claude-sonnet-4-5") -> dict[str, Any]:
    return {"id": "m", "type": "message", "role": "assistant", "model": model,
            "content": [*blocks, {"type": "text", "text": "hi"}], "stop_reason": "end_turn",
            "usage": {"input_tokens": 1000, "output_tokens": 100, **(usage or {})}}  # fmt: skip


CLAUDE = Decimal("0.0045")
RUN = {"type": "server_tool_use", "id": "s", "name": "bash_code_execution", "input": {}}
ADVISED = {"iterations": [{"type": "message", "input_tokens": 1000, "output_tokens": 100}, {
    "type": "advisor_message", "model": "claude-opus-4-5", "input_tokens": 200, "output_tokens": 50}]}  # fmt: skip
MESSAGES = {
    "searches": Row(message({"server_tool_use": {"web_search_requests": 2}}), CLAUDE + Decimal("0.02")),
    "fetched pages are free": Row(
        message({"server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 3}}), CLAUDE
    ),
    "code that is run": Row(message(None, RUN), CLAUDE, ("code_execution",)),
    "a server tool of tomorrow": Row(message({"server_tool_use": {"oracle_requests": 1}}), CLAUDE, ("oracle",)),
    "an advisor of another model": Row(message(ADVISED), CLAUDE + (200 * 5 + 50 * 25) / Decimal(1_000_000)),
}


@pytest.mark.parametrize("row", MESSAGES.values(), ids=MESSAGES)
def test_a_server_tool_of_a_message_is_on_the_bill(row: Row) -> None:
    check(f"{ANTHROPIC}/messages", {"model": "m", "messages": [], "max_tokens": 9}, row)


@pytest.mark.parametrize(
    ("tool", "missing"),
    [
        ("web_search_20260209", ()), ("web_fetch_20260318", ()),
        ("web_search_20250305", ("code_execution",)), ("code_execution_20260521", ("code_execution",)),
    ],
)  # fmt: skip
def test_code_is_free_beside_claudes_newer_web_tools(tool: str, missing: tuple[str, ...]) -> None:
    """They run it themselves, to filter what they find."""
    asked = {
        "model": "m",
        "messages": [{"role": "user", "content": '"web_search_20260209"'}],
        "tools": [{"type": tool}],
    }
    check(f"{ANTHROPIC}/messages", asked, Row(message(None, RUN), CLAUDE, missing))


def test_code_that_is_run_in_a_streamed_message_is_on_the_bill() -> None:
    whole = message()
    events = [
        {"type": "message_start", "message": {**whole, "content": [], "usage": {"input_tokens": 1000, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": RUN},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 100}},
        {"type": "message_stop"},
    ]  # fmt: skip
    row = Row(events, CLAUDE, ("code_execution",))
    check(f"{ANTHROPIC}/messages", {"model": "m", "messages": [], "stream": True}, row)


def generated(model: str, ground: Any = None) -> dict[str, Any]:
    candidate = {"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}
    if ground is not None:
        candidate["groundingMetadata"] = ground
    counts = {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}
    return {"candidates": [candidate], "usageMetadata": counts, "modelVersion": model}


ASKED = {"webSearchQueries": ["a", "", "b", "a"], "groundingChunks": [{"web": {"uri": "u"}}]}
GROUNDED = {
    "Gemini 3, each query": ("gemini-3-flash-preview", ASKED, "0.0288", ()),
    "Gemini 2, the prompt": ("gemini-2.5-flash", ASKED, "0.03555", ()),
    "no query": ("gemini-2.5-flash", {"webSearchQueries": []}, "0.00055", ()),
    "queries that are not told": (
        "gemini-3-flash-preview", {"searchEntryPoint": {"renderedContent": "x"}}, "0.0008", ("google_search",)
    ),
    "maps": ("gemini-2.5-flash", {"groundingChunks": [{"maps": {"uri": "u"}}]}, "0.00055", ("google_maps",)),
    "a store of files at the Gemini API": (
        "gemini-2.5-flash", {"groundingChunks": [{"retrievedContext": {"text": "t", "fileSearchStore": "s"}}]}, "0.00055", ()
    ),
    "data of one's own": (
        "gemini-2.5-flash", {"groundingChunks": [{"retrievedContext": {"uri": "u"}}]}, "0.00055", ("retrieval",)
    ),
}  # fmt: skip


@pytest.mark.parametrize(("model", "ground", "cost", "missing"), GROUNDED.values(), ids=GROUNDED)
@pytest.mark.parametrize("streamed", [False, True])
def test_what_grounds_an_answer_of_gemini_is_on_the_bill(
    model: str, ground: Any, cost: str, missing: tuple[str, ...], streamed: bool
) -> None:
    """In a stream it stands in whichever event, not only in the last."""
    body: Any = generated(model, ground)
    method = "generateContent"
    if streamed:
        ends = [generated(model) for _ in range(5)]
        for one in (body, *ends[:-1]):
            one["candidates"][0].pop("finishReason")
        body, method = [body, *ends], "streamGenerateContent?alt=sse"
    check(f"{GEMINI}/models/{model}:{method}", {"contents": []}, Row(body, cost, missing))


def searched(**arguments: Any) -> dict[str, Any]:
    return {"type": "google_search_call", "id": "g", "arguments": arguments}


STEPS = {
    "queries": ([searched(queries=["a", "b"]), searched(queries=["a"])], None, "0.0288", ()),
    "queries that are not told": ([searched()], None, "0.0008", ("google_search",)),
    "maps": ([{"type": "google_maps_call", "id": "m"}], None, "0.0008", ("google_maps",)),
    "a search for enterprises": (
        [{**searched(queries=["a"]), "search_type": "enterprise_web_search"}],
        [],
        "0.0008",
        ("enterprise_web_search",),
    ),
    "a tool of tomorrow": ([{"type": "oracle_call", "id": "o"}], None, "0.0008", ("oracle",)),
    "a store of files": ([{"type": "file_search_call", "id": "f"}], None, "0.0008", ()),
    "tools of the caller": ([{"type": "function_call", "id": "f", "name": "f", "arguments": {}}], None, "0.0008", ()),
    "a count in the usage": ([searched(queries=["a", "b"])], [{"type": "google_search", "count": 1}], "0.0148", ()),
}


@pytest.mark.parametrize(("steps", "counted", "cost", "missing"), STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("streamed", [False, True])
def test_what_the_steps_of_an_interaction_show_is_on_the_bill(
    steps: Any, counted: Any, cost: str, missing: tuple[str, ...], streamed: bool
) -> None:
    usage = {
        "total_input_tokens": 1000,
        "total_output_tokens": 100,
        "total_tokens": 1100,
        "grounding_tool_count": counted,
    }
    whole = {
        "id": "i",
        "object": "interaction",
        "model": "gemini-3-flash-preview",
        "status": "completed",
        "usage": usage,
    }
    body: Any = {**whole, "steps": [*steps, {"type": "model_output", "content": [{"type": "text", "text": "hi"}]}]}
    if streamed:
        shown = [{"event_type": "step.start", "index": n, "step": step} for n, step in enumerate(steps)]
        body = [*shown, {"event_type": "interaction.completed", "interaction": whole}]
    asked = {"model": "gemini-3-flash-preview", "input": "x", "stream": streamed}
    check(f"{GEMINI}/interactions", asked, Row(body, cost, missing))


@pytest.mark.parametrize(("model", "cost"), [("tts-1", "0.00018"), ("tts-1-hd", "0.00036"), ("tts-1-1106", "0.00018")])
def test_speech_is_billed_by_the_characters_that_were_asked_for(model: str, cost: str) -> None:
    asked = {"model": model, "input": "zwölf Zeichn", "voice": "alloy"}

    check(f"{OPENAI}/audio/speech", asked, Row(Answer(b"sound", {"content-type": "audio/mpeg"}), cost))


def conversed(usage: Any = None, *outputs: Any) -> dict[str, Any]:
    said = {"type": "message.output", "model": "mistral-small-2506", "content": "hi"}
    counts = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100, **(usage or {})}
    return {"object": "conversation.response", "conversation_id": "c", "outputs": [said, *outputs], "usage": counts}


CONVERSED = {
    "no connector": (conversed(), ()),
    "connectors that were not called": (conversed({"connectors": {"web_search": 0}}), ()),
    "a search": (conversed({"connectors": {"web_search": 2}}), ("web_search",)),
    "code": (conversed({"connectors": {"code_interpreter": 1}}), ("code_interpreter",)),
    "another agent": (conversed(None, {"type": "agent.handoff"}), ("tokens of another model",)),
}


@pytest.mark.parametrize(("body", "missing"), CONVERSED.values(), ids=CONVERSED)
@pytest.mark.parametrize("streamed", [False, True])
def test_what_a_conversation_of_mistral_used_beside_its_tokens_is_named(
    body: Any, missing: tuple[str, ...], streamed: bool
) -> None:
    done = {"type": "conversation.response.done", "usage": body["usage"]}
    events = [{"type": "message.output.delta", "model": "mistral-small-2506", "content": "hi"}, *body["outputs"], done]
    row = Row(events if streamed else body, "0.00013", missing)
    check("https://api.mistral.ai/v1/conversations", {"agent_id": "a", "inputs": "x"}, row)


@pytest.mark.parametrize(("kind", "missing"), [("server_tool_use", ("nova_grounding",)), (None, ())])
def test_a_tool_that_bedrock_ran_is_named(kind: str | None, missing: tuple[str, ...]) -> None:
    tool = {"toolUseId": "t", "name": "nova_grounding", "input": {}, "type": kind}
    body = {
        "output": {"message": {"role": "assistant", "content": [{"toolUse": tool}, {"text": "hi"}]}},
        "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100},
    }
    url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.amazon.nova-lite-v1%3A0/converse"
    check(url, {"messages": []}, Row(body, "0.000084", missing))


def test_tokens_of_images_have_a_rate_of_their_own_at_cohere() -> None:
    body = {
        "id": "x",
        "embeddings": {"float": [[0.1]]},
        "meta": {"billed_units": {"image_tokens": 1000, "input_tokens": 0}},
    }
    check("https://api.cohere.com/v2/embed", {"model": "embed-v4.0", "images": ["x"]}, Row(body, "0.00047"))


def test_speech_that_is_billed_by_tokens_stays_unmeasured() -> None:
    cb = posted(f"{OPENAI}/audio/speech", {"model": "gpt-4o-mini-tts", "input": "hi"}, Answer(b"sound"))

    assert (cb.unmeasured_calls, cb.is_complete) == (1, False)


def test_a_fee_without_a_published_rate_at_that_provider_is_named() -> None:
    """Azure bills tools at its own rates."""
    check(f"{AZURE}/responses", {"model": "m"}, Row(response(SEARCH, FILES), TOKENS, ("file_search", "web_search")))


@pytest.mark.parametrize(
    ("terms", "cost", "missing"),
    [
        ({"fees": {"web_search": "8"}}, TOKENS + Decimal("0.0105"), ()),
        ({"fees": {"web_search": "0"}}, TOKENS + Decimal("0.0025"), ()),
        ({"web_search": "20"}, TOKENS + Decimal("0.0225"), ()),
        ({"fees": {"oracle": "30"}}, TOKENS + Decimal("0.0125"), ()),
        ({"fees": False}, TOKENS, ("file_search", "web_search")),
    ],
)
def test_a_price_book_has_its_own_fees(terms: Any, cost: Decimal, missing: tuple[str, ...]) -> None:
    check(f"{OPENAI}/responses", {"model": "m"}, Row(response(SEARCH, FILES), cost, missing), prices=PriceBook(**terms))


def test_what_has_no_published_rate_may_have_one_of_the_books_own() -> None:
    book = PriceBook(fees={"code_interpreter": "30"})
    check(f"{OPENAI}/responses", {"model": "m"}, Row(response(CODE, CODE), TOKENS + Decimal("0.06")), prices=book)


def test_a_stream_that_is_left_keeps_the_fees_that_it_had_shown() -> None:
    """Its tokens are an estimate; the searches are billed all the same."""
    events = [
        {"type": "response.created", "response": {"id": "r", "model": "gpt-5", "status": "in_progress"}},
        {"type": "response.output_item.done", "output_index": 0, "item": SEARCH},
        {"type": "response.output_text.delta", "output_index": 1, "delta": "Hello there"},
    ]
    cb = posted(f"{OPENAI}/responses", {"model": "gpt-5", "input": "x", "stream": True}, events)

    assert cb.cost > Decimal("0.01")
    assert not cb.is_complete


@pytest.mark.parametrize(
    ("kind", "shown"),
    [("z" * 100_000 + "_call", "z" * 220), ("a\x1b[31m\n_call", "a?[31m?"), ("</script>_call", "</script>")],
)
def test_a_name_from_outside_is_short_and_inert(kind: str, shown: str) -> None:
    check(f"{OPENAI}/responses", {"model": "m"}, Row(response({"type": kind}), TOKENS, (shown,)))


def test_an_answer_names_a_bounded_number_of_tools() -> None:
    tools = [{"type": f"tool{n}_call"} for n in range(1000)]
    cb = posted(f"{OPENAI}/responses", {"model": "m"}, response(*tools))

    assert len(cb.calls[0].tokens.fees or ()) == 65


ODD = {
    "items that are none": ({**response(), "output": [None, 3, "x", SEARCH]}, "0.01225"),
    "an output that is no list": ({**response(), "output": {"type": "web_search_call"}}, "0.00225"),
    "a count as a text": (response(**used(0) | {"tool_usage": {"web_search": {"num_requests": "3"}}}), "0.03225"),
    "tool usage that is no object": (response(SEARCH, tool_usage=[1]), "0.01225"),
    "types that are no text": (response({"type": 5}, {"type": None}, {"type": ["x_call"]}), "0.00225"),
}


@pytest.mark.parametrize(("body", "cost"), ODD.values(), ids=ODD)
def test_an_odd_answer_is_read_as_far_as_it_says_something(body: Any, cost: str) -> None:
    check(f"{OPENAI}/responses", {"model": "m"}, Row(body, cost))


def test_fees_are_values() -> None:
    """They add up by name, can be keys, and come back from copies, pickles and ledgers."""
    one = Usage(1, 2, 3, fees=Fees({"a": 1, "b": None}))

    assert (one + one).fees == sum([one, one]).fees == Fees({"a": 2, "b": None})
    assert {one: 1}[copy.deepcopy(one)] == {one: 1}[pickle.loads(pickle.dumps(one))] == 1
    assert usage_of(json.loads(json.dumps(one.to_dict()))) == one


def test_every_fee_has_a_source_and_a_rate() -> None:
    for fee in FEES:
        assert Decimal(fee.per_thousand) >= 0
        assert fee.source
