"""Whatever LangChain asks for, a meter reads the bill: tokens, cost and requests, sync and async."""

from __future__ import annotations

import asyncio
import json
import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import httpx
import httpx2
import pytest

from tests.langchain.conftest import QUESTION, Models, drain
from token_meter import meter
from token_meter.handlers import FileHandler

pytest.importorskip("langchain_openai", reason="the dependency group `langchain`")
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import PromptTemplate
from pydantic import BaseModel

pytestmark = [
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainDeprecationWarning"),
    # LangChain adds up token details that are None, and serialises what it parsed: its own affair.
    pytest.mark.filterwarnings("ignore:Unexpected type for token usage"),
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
]

OTHER = "What does a pink rose mean?"
DIALOGUE = (
    "我姐姐明天要过生日，我需要一束生日花束。",
    "她喜欢粉色玫瑰，颜色是粉色的。",
    "我又来了，还记得我昨天为什么要来买花吗？",
)
WITH_USAGE = {"stream_options": {"include_usage": True}}


class Rose(BaseModel):
    """A rose."""

    name: str
    petals: int


class Way(NamedTuple):
    """A way to ask. *calls*: how many are billed; *estimated*: for how many of them the server tells no usage."""

    sync: Callable[[Models], Any]
    asyn: Callable[[Models], Any]
    calls: int = 1
    estimated: int = 0


def talk(models: Models, memory: Any) -> Any:
    """The lesson's chain."""
    from langchain_classic.chains import ConversationChain

    llm = models.text(temperature=0.5)
    return ConversationChain(llm=llm, memory=memory(llm))


def said(stack: Any) -> None:
    for line in DIALOGUE:
        stack.invoke(line)


async def asaid(stack: Any) -> None:
    for line in DIALOGUE:
        await stack.ainvoke(line)


def buffer(llm: Any) -> Any:
    from langchain_classic.memory import ConversationBufferMemory

    return ConversationBufferMemory()


def window(llm: Any) -> Any:
    from langchain_classic.memory import ConversationBufferWindowMemory

    return ConversationBufferWindowMemory(k=1)


def summary(llm: Any) -> Any:
    from langchain_classic.memory import ConversationSummaryMemory

    return ConversationSummaryMemory(llm=llm)


def with_own_client(models: Models, library: Any) -> None:
    """LangChain's own HTTP clients are kept for all; a program may bring its own."""
    with library.Client() as http:
        models.chat(http_client=http).invoke(QUESTION)


async def awith_own_client(models: Models, library: Any) -> None:
    async with library.AsyncClient() as http:
        await models.chat(http_async_client=http).ainvoke(QUESTION)


def sum_chain(models: Models) -> Any:
    from langchain_classic.chains import LLMChain

    return LLMChain(llm=models.text(), prompt=PromptTemplate.from_template("1 + {number} = "))


def lcel(models: Models, **options: Any) -> Any:
    return PromptTemplate.from_template("1 + {number} = ") | models.chat(**options) | StrOutputParser()


def over_responses(models: Models, **options: Any) -> Any:
    return models.chat(use_responses_api=True, **options)


def fallen_back(models: Models) -> Any:
    """A model that always fails, and what stands in for it."""
    return models.chat({"status": 500}, max_retries=0).with_fallbacks([models.chat()])


TEXTS = ["Pink roses mean gratitude.", "Red roses mean love."]


def nearest(vectors: list[list[float]], question: list[float]) -> str:
    """The text that is nearest to the question."""
    return max(zip(TEXTS, vectors, strict=True), key=lambda row: sum(map(operator.mul, row[1], question)))[0]


def answered_from_texts(models: Models) -> Any:
    """Retrieval: texts are embedded, then the question, and the model answers from the nearest text."""
    embeddings = models.embeddings()
    found = nearest(embeddings.embed_documents(TEXTS), embeddings.embed_query(OTHER))
    return models.chat().invoke(f"{found}\n{OTHER}")


async def aanswered_from_texts(models: Models) -> Any:
    embeddings = models.embeddings()
    found = nearest(await embeddings.aembed_documents(TEXTS), await embeddings.aembed_query(OTHER))
    return await models.chat().ainvoke(f"{found}\n{OTHER}")


def agent(models: Models) -> Any:
    """A graph with a tool that asks the openai SDK itself."""
    from langchain_core.runnables import RunnableLambda
    from langchain_core.tools import tool
    from langgraph.graph import MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode, tools_condition

    @tool
    def find_rose(name: str) -> str:
        """Look up a rose."""
        with models.simulator.client() as client:
            found = client.responses.create(model="gpt-4o-mini", input=f"Describe {name}")
        return found.output_text

    thinking = models.chat(stream_usage=True).bind_tools([find_rose])

    def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [thinking.invoke(state["messages"])]}

    async def athink(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await thinking.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", RunnableLambda(think, afunc=athink))
    graph.add_node("tools", ToolNode([find_rose]))
    graph.set_entry_point("think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    return graph.compile()


ASKED = {"messages": [HumanMessage("Find a rose for my sister")]}
TWO = [[HumanMessage(QUESTION)], [HumanMessage(OTHER)]]

WAYS: dict[str, Way] = {
    # The chat model.
    "invoke": Way(lambda m: m.chat().invoke(QUESTION), lambda m: m.chat().ainvoke(QUESTION)),
    "generate": Way(lambda m: m.chat().generate(TWO), lambda m: m.chat().agenerate(TWO), calls=2),
    "batch": Way(lambda m: m.chat().batch([QUESTION] * 3), lambda m: m.chat().abatch([QUESTION] * 3), calls=3),
    "batch as completed": Way(
        lambda m: list(m.chat().batch_as_completed([QUESTION, OTHER])),
        lambda m: drain(m.chat().abatch_as_completed([QUESTION, OTHER])),
        calls=2,
    ),
    "n=2": Way(lambda m: m.chat(n=2).generate(TWO[:1]), lambda m: m.chat(n=2).agenerate(TWO[:1])),
    "Azure": Way(lambda m: m.azure().invoke(QUESTION), lambda m: m.azure().ainvoke(QUESTION)),
    "headers": Way(
        lambda m: m.chat(include_response_headers=True).invoke(QUESTION),
        lambda m: m.chat(include_response_headers=True).ainvoke(QUESTION),
    ),
    "a model that thinks": Way(
        lambda m: m.chat(model="gpt-5-mini").invoke(QUESTION), lambda m: m.chat(model="gpt-5-mini").ainvoke(QUESTION)
    ),
    "own HTTP client": Way(lambda m: with_own_client(m, httpx2), lambda m: awith_own_client(m, httpx2)),
    "own HTTP client, legacy": Way(lambda m: with_own_client(m, httpx), lambda m: awith_own_client(m, httpx)),
    # Streams. Off api.openai.com LangChain does not ask for their usage.
    "stream": Way(
        lambda m: list(m.chat().stream(QUESTION)), lambda m: drain(m.chat().astream(QUESTION)), estimated=1
    ),
    "stream with usage": Way(
        lambda m: list(m.chat(stream_usage=True).stream(QUESTION)),
        lambda m: drain(m.chat(stream_usage=True).astream(QUESTION)),
    ),
    "streaming=True": Way(
        lambda m: m.chat(streaming=True).invoke(QUESTION),
        lambda m: m.chat(streaming=True).agenerate(TWO[:1]),
        estimated=1,
    ),
    "stream with headers": Way(
        lambda m: list(m.chat(include_response_headers=True).stream(QUESTION)),
        lambda m: drain(m.chat(include_response_headers=True).astream(QUESTION)),
        estimated=1,
    ),
    "stream of Azure": Way(
        # LangChain asks Azure for the usage of its own accord.
        lambda m: list(m.azure().stream(QUESTION)), lambda m: drain(m.azure().astream(QUESTION))
    ),
    "stream of events": Way(
        lambda m: drain(m.chat().astream_events(QUESTION, version="v2")),  # there is no sync one
        lambda m: drain(m.chat().astream_events(QUESTION, version="v2")),
        estimated=1,
    ),
    "usage in every chunk": Way(
        lambda m: list(m.chat({"usage": "every"}).stream(QUESTION)),
        lambda m: drain(m.chat({"usage": "every"}).astream(QUESTION)),
    ),
    "usage in choices[0]": Way(
        lambda m: list(m.chat({"usage": "choices0"}).stream(QUESTION)),
        lambda m: drain(m.chat({"usage": "choices0"}).astream(QUESTION)),
    ),
    "usage missing": Way(
        lambda m: m.chat({"usage": "none"}).invoke(QUESTION),
        lambda m: m.chat({"usage": "none"}).ainvoke(QUESTION),
        estimated=1,
    ),
    # The text model.
    "text": Way(lambda m: m.text().invoke(QUESTION), lambda m: m.text().ainvoke(QUESTION)),
    "text, several prompts": Way(
        lambda m: m.text().generate([QUESTION, OTHER]), lambda m: m.text().agenerate([QUESTION, OTHER])
    ),
    "text, n=2": Way(
        lambda m: m.text(n=2, best_of=2).generate([QUESTION]), lambda m: m.text(n=2, best_of=2).agenerate([QUESTION])
    ),
    "text stream": Way(
        lambda m: list(m.text().stream(QUESTION)), lambda m: drain(m.text().astream(QUESTION)), estimated=1
    ),
    "text stream with usage": Way(
        lambda m: m.text(streaming=True, model_kwargs=WITH_USAGE).invoke(QUESTION),
        lambda m: m.text(streaming=True, model_kwargs=WITH_USAGE).ainvoke(QUESTION),
    ),
    # Over the Responses API.
    "responses": Way(lambda m: over_responses(m).invoke(QUESTION), lambda m: over_responses(m).ainvoke(QUESTION)),
    "responses, streamed": Way(
        lambda m: list(over_responses(m).stream(QUESTION)), lambda m: drain(over_responses(m).astream(QUESTION))
    ),
    "responses, structured": Way(
        lambda m: over_responses(m).with_structured_output(Rose).invoke(QUESTION),
        lambda m: over_responses(m).with_structured_output(Rose).ainvoke(QUESTION),
    ),
    "responses, unasked": Way(
        # Some arguments, and some models, make LangChain choose that API by itself.
        lambda m: m.chat(model="gpt-5-mini", reasoning={"effort": "low"}).invoke(QUESTION),
        lambda m: m.chat(model="gpt-5-mini", reasoning={"effort": "low"}).ainvoke(QUESTION),
    ),
    # Structured answers.
    "structured, json_schema": Way(
        lambda m: m.chat().with_structured_output(Rose).invoke(QUESTION),
        lambda m: m.chat().with_structured_output(Rose).ainvoke(QUESTION),
    ),
    "structured, function_calling": Way(
        lambda m: m.chat().with_structured_output(Rose, method="function_calling").invoke(QUESTION),
        lambda m: m.chat().with_structured_output(Rose, method="function_calling").ainvoke(QUESTION),
    ),
    "structured, json_mode": Way(
        lambda m: m.chat().with_structured_output(None, method="json_mode").invoke(QUESTION),
        lambda m: m.chat().with_structured_output(None, method="json_mode").ainvoke(QUESTION),
    ),
    "structured, streamed": Way(
        lambda m: list(m.chat(stream_usage=True).with_structured_output(Rose).stream(QUESTION)),
        lambda m: drain(m.chat(stream_usage=True).with_structured_output(Rose).astream(QUESTION)),
    ),
    # Embeddings, alone and in what is built on them.
    "embed_query": Way(
        lambda m: m.embeddings().embed_query(QUESTION), lambda m: m.embeddings().aembed_query(QUESTION)
    ),
    "embed_documents": Way(
        lambda m: m.embeddings().embed_documents([QUESTION, OTHER]),
        lambda m: m.embeddings().aembed_documents([QUESTION, OTHER]),
    ),
    "retrieval and answer": Way(answered_from_texts, aanswered_from_texts, calls=3),
    # Chains and agents.
    "LLMChain": Way(lambda m: sum_chain(m).invoke({"number": 2}), lambda m: sum_chain(m).ainvoke({"number": 2})),
    "LLMChain.run": Way(lambda m: sum_chain(m).run(number=2), lambda m: sum_chain(m).arun(number=2)),
    "LLMChain.apply": Way(
        # Two inputs go in one request, as two prompts.
        lambda m: sum_chain(m).apply([{"number": 2}, {"number": 3}]),
        lambda m: sum_chain(m).aapply([{"number": 2}, {"number": 3}]),
    ),
    "LCEL": Way(lambda m: lcel(m).invoke({"number": 2}), lambda m: lcel(m).ainvoke({"number": 2})),
    "LCEL, streamed": Way(
        lambda m: list(lcel(m).stream({"number": 2})), lambda m: drain(lcel(m).astream({"number": 2})), estimated=1
    ),
    "dialogue, buffer": Way(lambda m: said(talk(m, buffer)), lambda m: asaid(talk(m, buffer)), calls=3),
    "dialogue, window": Way(lambda m: said(talk(m, window)), lambda m: asaid(talk(m, window)), calls=3),
    # LangChain's summary memory has no async side: `ainvoke` would keep all and summarise nothing.
    "dialogue, summary": Way(
        lambda m: said(talk(m, summary)), lambda m: asyncio.to_thread(said, talk(m, summary)), calls=6
    ),
    "agent with the SDK in its tool": Way(
        lambda m: agent(m).invoke(ASKED), lambda m: agent(m).ainvoke(ASKED), calls=3
    ),
    "agent, streamed": Way(
        lambda m: list(agent(m).stream(ASKED, stream_mode="messages")),
        lambda m: drain(agent(m).astream(ASKED, stream_mode="messages")),
        calls=3,
    ),
    # What went wrong first.
    "retried": Way(
        lambda m: m.chat({"fail": "429x1"}).invoke(QUESTION), lambda m: m.chat({"fail": "429x1"}).ainvoke(QUESTION)
    ),
    "fallback": Way(lambda m: fallen_back(m).invoke(QUESTION), lambda m: fallen_back(m).ainvoke(QUESTION)),
}  # fmt: skip


@pytest.mark.parametrize("colour", ["sync", "asyn"])
@pytest.mark.parametrize("name", WAYS)
def test_a_meter_reads_the_bill(models, name, colour):
    """Tokens, cost, requests; and the meter says how many of them reported no usage."""
    way = WAYS[name]
    with meter(prices=models.prices) as cb:
        models.run(lambda: getattr(way, colour)(models))
    bill = models.bill()

    assert bill.calls == cb.successful_requests == way.calls
    assert (cb.prompt_tokens, cb.completion_tokens) == (bill.prompt_tokens, bill.completion_tokens)
    assert cb.total_tokens == bill.total_tokens > 0
    assert cb.cost == bill.cost > 0
    assert (cb.estimated_calls, cb.unmeasured_calls, cb.unpriced_calls) == (way.estimated, 0, 0)


@pytest.mark.parametrize("name", [name for name in WAYS if WAYS[name].estimated and name != "usage missing"])
@pytest.mark.parametrize("colour", ["sync", "asyn"])
def test_stream_usage_makes_a_silent_stream_exact(models, name, colour):
    """`meter(stream_usage=True)` asks for the usage that LangChain did not ask for."""
    with meter(prices=models.prices, stream_usage=True) as cb:
        models.run(lambda: getattr(WAYS[name], colour)(models))
    bill = models.bill()

    assert (cb.total_tokens, cb.cost, cb.is_complete) == (bill.total_tokens, bill.cost, True)


@pytest.mark.parametrize("colour", ["sync", "asyn"])
def test_a_structured_stream_is_estimated_or_made_exact(models, colour):
    """A schema is counted by each provider in its own way: the estimate says that it is one."""

    def ask() -> Any:
        rose = models.chat().with_structured_output(Rose)
        return drain(rose.astream(QUESTION)) if colour == "asyn" else list(rose.stream(QUESTION))

    with meter(prices=models.prices) as guessed:
        models.run(ask)
    models.simulator.reset()
    with meter(prices=models.prices, stream_usage=True) as exact:
        models.run(ask)
    bill = models.bill()

    assert (guessed.estimated_calls, guessed.completion_tokens) == (1, bill.completion_tokens)
    assert (exact.total_tokens, exact.cost, exact.is_complete) == (bill.total_tokens, bill.cost, True)


@pytest.mark.parametrize("colour", ["sync", "asyn"])
def test_records_of_a_batch_are_one_json_line_a_call(models, tmp_path, colour):
    """Three prompts and one failure: their sum is the total, and the failed one is marked."""
    path = tmp_path / "llm.jsonl"

    async def ask() -> None:
        await models.chat().abatch([QUESTION, OTHER, QUESTION])
        await models.chat({"status": "500"}, max_retries=0).abatch([QUESTION], return_exceptions=True)

    def ask_sync() -> None:
        models.chat().batch([QUESTION, OTHER, QUESTION])
        models.chat({"status": "500"}, max_retries=0).batch([QUESTION], return_exceptions=True)

    with meter(prices=models.prices, handlers=[FileHandler(path)]) as cb:
        models.run(ask if colour == "asyn" else ask_sync)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    bill = models.bill()

    assert [record["event"] for record in records] == ["llm_end"] * 3 + ["llm_error"]
    assert sum(record["usage"]["total_tokens"] for record in records[:3]) == cb.total_tokens == bill.total_tokens
    assert sum(Decimal(record["cost"]) for record in records[:3]) == bill.cost


def test_every_attempt_of_a_retried_request_is_known(models):
    """One success, and the failures."""
    with meter() as cb:
        models.chat({"fail": "429x1+500x1"}).invoke(QUESTION)

    assert (cb.successful_requests, cb.failed_requests) == (1, 2)
