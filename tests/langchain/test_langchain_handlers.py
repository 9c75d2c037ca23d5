"""LangChain's handlers and token_meter's, side by side: neither gets fewer or other events because of the other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import token_meter
from tests.handlers.conftest import Told, ToldAsync
from tests.langchain.conftest import QUESTION, Models, drain
from token_meter import AsyncCallbackHandler, BudgetExceededError, CallbackHandler, attach, callbacks, detach, meter
from token_meter.handlers import StdOutHandler

pytest.importorskip("langchain_openai", reason="the dependency group `langchain`")
from langchain_classic.chains import LLMChain
from langchain_core import callbacks as theirs
from langchain_core.messages import HumanMessage
from langchain_core.prompts import PromptTemplate

from tests.langchain.test_langchain_operations import ASKED, agent

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainDeprecationWarning")

EVENTS = (
    "on_chain_start", "on_chain_end", "on_chain_error", "on_llm_start", "on_chat_model_start", "on_llm_new_token",
    "on_llm_end", "on_llm_error", "on_tool_start", "on_tool_end", "on_text",
)  # fmt: skip


def recorder(base: type, events: list[str]) -> Any:
    """A handler of LangChain's that writes down each event, with the token where there is one."""

    def note(name: str) -> Callable[..., Any]:
        def told(self: Any, first: Any, *args: Any, **kwargs: Any) -> None:
            events.append(f"{name} {first}" if isinstance(first, str) else name)

        async def atold(self: Any, first: Any, *args: Any, **kwargs: Any) -> None:
            told(self, first, *args, **kwargs)

        return atold if issubclass(base, theirs.AsyncCallbackHandler) else told

    return type("Recorder", (base,), {name: note(name) for name in EVENTS})()


def chain_of(model: Any, **options: Any) -> Any:
    return LLMChain(llm=model, prompt=PromptTemplate.from_template("1 + {number} = "), **options)


@contextlib.contextmanager
def failing() -> Any:
    """The error is the program's own to see; here it is what the events are about."""
    with contextlib.suppress(Exception):
        yield


def whole(models: Models, handler: Any) -> Any:
    models.chat(callbacks=[handler]).invoke(QUESTION)


def on_request(models: Models, handler: Any) -> Any:
    models.chat().invoke(QUESTION, config={"callbacks": [handler]})


def on_both(models: Models, handler: Any) -> Any:
    models.chat(callbacks=[handler]).invoke(QUESTION, config={"callbacks": [handler]})


def streamed(models: Models, handler: Any) -> Any:
    list(models.chat(callbacks=[handler]).stream(QUESTION))


def text_streamed(models: Models, handler: Any) -> Any:
    models.text(streaming=True, callbacks=[handler]).invoke(QUESTION)


def stack(models: Models, handler: Any) -> Any:
    chain_of(models.chat(streaming=True), callbacks=[handler]).run(number=2)


def chain_on_request(models: Models, handler: Any) -> Any:
    chain_of(models.chat(streaming=True)).run(number=2, callbacks=[handler])


def failed(models: Models, handler: Any) -> Any:
    with failing():
        models.chat({"status": 500}, max_retries=0, callbacks=[handler]).invoke(QUESTION)


def cut(models: Models, handler: Any) -> Any:
    with failing():
        list(models.chat({"cut": "4"}, callbacks=[handler]).stream(QUESTION))


def agent_on_request(models: Models, handler: Any) -> Any:
    agent(models).invoke(ASKED, config={"callbacks": [handler]})


async def awhole(models: Models, handler: Any) -> Any:
    await models.chat(callbacks=[handler]).agenerate([[HumanMessage(QUESTION)]])


async def astreamed(models: Models, handler: Any) -> Any:
    await drain(models.chat(callbacks=[handler]).astream(QUESTION))


async def achain(models: Models, handler: Any) -> Any:
    await chain_of(models.chat(streaming=True)).ainvoke({"number": 2}, config={"callbacks": [handler]})


async def aagent_on_request(models: Models, handler: Any) -> Any:
    await agent(models).ainvoke(ASKED, config={"callbacks": [handler]})


async def acut(models: Models, handler: Any) -> Any:
    with failing():
        await drain(models.chat({"cut": "4"}, callbacks=[handler]).astream(QUESTION))


SYNC = [whole, on_request, on_both, streamed, text_streamed, stack, chain_on_request, agent_on_request, failed, cut]
ASYNC = [awhole, astreamed, achain, aagent_on_request, acut]


@pytest.mark.parametrize("way", [*SYNC, *ASYNC], ids=lambda f: f.__name__)
def test_langchains_handlers_hear_the_same_with_and_without_a_meter(models, way):
    """Attached to a constructor, to a request, to both; the same events in the same order, also with our handlers."""
    bases = [theirs.BaseCallbackHandler] + [theirs.AsyncCallbackHandler] * (way in ASYNC)
    for base in bases:
        events: list[list[str]] = [[], [], []]
        models.run(lambda: way(models, recorder(base, events[0])))  # noqa: B023  run at once
        with meter():
            models.run(lambda: way(models, recorder(base, events[1])))  # noqa: B023
        with meter(handlers=[Told(), ToldAsync()]):
            models.run(lambda: way(models, recorder(base, events[2])))  # noqa: B023

        assert events[0] == events[1] == events[2] != []
        assert ("on_tool_start" in events[0]) == (way in (agent_on_request, aagent_on_request))


def test_a_verbose_chain_prints_and_logs_the_same_under_a_meter(models, capsys, tmp_path):
    """StdOutCallbackHandler, FileCallbackHandler and `verbose=True`; our own lines come besides, when asked for."""

    def run(path: Path) -> tuple[str, str]:
        with theirs.FileCallbackHandler(str(path)) as to_file:
            handlers = [theirs.StdOutCallbackHandler(), to_file]
            chain_of(models.text(), callbacks=handlers, verbose=True).run(number=2)
        return capsys.readouterr().out, path.read_text()

    bare = run(tmp_path / "bare.log")
    with meter() as cb:
        metered = run(tmp_path / "metered.log")
    with meter(handlers=[StdOutHandler()]):
        told, _ = run(tmp_path / "told.log")

    assert metered == bare
    assert "Prompt after formatting" in bare[0]
    assert "1 + 2 = " in bare[1]
    assert cb.successful_requests == 1
    ours = [line for line in told.splitlines() if line.startswith("[llm end]")]
    assert len(ours) == 1
    assert told.replace(ours[0] + "\n", "") == bare[0]


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_counter_that_is_passed_to_a_call_too_counts_once(models, caplog, colour):
    """Programs do that with LangChain's counter, which is a handler; here it gets no events, without an error."""
    stack = chain_of(models.chat(), verbose=True)

    async def ask(cb: Any) -> None:
        await models.chat().ainvoke(QUESTION, config={"callbacks": [cb]})
        await drain(models.chat().astream(QUESTION, config={"callbacks": [cb]}))
        await stack.ainvoke({"number": 2}, config={"callbacks": [cb]})

    def ask_sync(cb: Any) -> None:
        models.chat().invoke(QUESTION, config={"callbacks": [cb]})
        list(models.chat().stream(QUESTION, config={"callbacks": [cb]}))
        stack.run(number=2, callbacks=[cb])

    with token_meter.get_openai_callback(prices=models.prices) as cb:
        models.run(lambda: ask(cb) if colour == "async" else ask_sync(cb))
    bill = models.bill()

    assert (cb.successful_requests, cb.total_tokens, cb.cost) == (3, bill.total_tokens, bill.cost)
    assert caplog.records == []


# token_meter's handlers under LangChain.


@pytest.mark.parametrize("told", [Told, ToldAsync])
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_handlers_of_the_block_hear_langchains_calls(models, told, colour):
    """A start, each visible piece, an end; LangChain needs not be told of them."""
    subscribers = told()
    chat = models.chat()

    async def ask() -> str:
        return "".join([piece.text async for piece in chat.astream(QUESTION)])

    with meter(handlers=[subscribers]) as cb:
        found = models.run(ask if colour == "async" else lambda: "".join(p.text for p in chat.stream(QUESTION)))

    assert subscribers.events == ["start", *["token"] * (len(subscribers.events) - 2), "end"]
    assert "".join(subscribers.args[1:-1]) == found
    assert subscribers.args[0] == [f"user: {QUESTION}"]
    assert subscribers.args[-1].tokens.total_tokens == cb.total_tokens


def test_each_attempt_is_told(models):
    """LangChain's handlers hear of one call; ours of each attempt that the SDK made for it."""
    subscribers = Told()
    with meter(handlers=[subscribers]):
        models.chat({"fail": "429x1"}).invoke(QUESTION)

    assert subscribers.events == ["start", "error", "start", "end"]


def test_both_are_told_in_the_order_of_the_call(models):
    """LangChain starts, the request departs; a piece passes, LangChain has it; the answer is there, LangChain ends."""
    order: list[str] = []

    class Theirs(theirs.BaseCallbackHandler):
        def on_llm_start(self, serialized: Any, prompts: Any, **kwargs: Any) -> None:
            order.append("langchain start")

        def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
            if token:
                order.append(f"langchain {token}")

        def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            order.append("langchain end")

    class Ours(CallbackHandler):
        def on_llm_start(self, serialized: Any, prompts: Any, **kwargs: Any) -> None:
            order.append("meter start")

        def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
            order.append(f"meter {token}")

        def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            order.append("meter end")

    with meter(handlers=[Ours()]):
        # One event of the server at a time, so that the two can be told apart.
        list(models.chat({"delay": "0.01", "words": "3"}, callbacks=[Theirs()]).stream(QUESTION))

    pieces = [line.partition(" ")[2] for line in order if line.startswith("meter")][1:-1]
    expected = [f"{who} {piece}" for piece in pieces for who in ("meter", "langchain")]
    assert len(pieces) > 2
    assert order == ["langchain start", "meter start", *expected, "meter end", "langchain end"]


def test_a_handler_may_listen_to_both(models):
    """It is told by each of the two; the meter counts once."""
    events: list[str] = []
    handler = recorder(theirs.BaseCallbackHandler, events)
    with meter(handlers=[handler]) as cb:
        models.chat(callbacks=[handler]).invoke(QUESTION)

    assert events == ["on_chat_model_start", "on_chat_model_start", "on_llm_end", "on_llm_end"]
    assert (cb.successful_requests, cb.total_tokens) == (1, models.bill().total_tokens)


def test_a_client_of_langchains_can_be_attached_to(models):
    """The SDK client that a ChatOpenAI holds is a client like any other, with or without a meter."""
    subscribers = Told()
    chat = models.chat()
    attach(chat.root_client, handlers=[subscribers])
    try:
        chat.invoke(QUESTION)
        list(chat.stream(QUESTION))
        models.chat().invoke(QUESTION)  # a model of its own: not listened to
    finally:
        detach(chat.root_client)

    assert subscribers.events.count("start") == subscribers.events.count("end") == 2


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_few_lines_of_langchain_can_be_listened_to(models, colour):
    """`callbacks(handler)` around a chain: all its requests, without passing anything along."""
    subscribers = Told()
    piped = PromptTemplate.from_template("1 + {number} = ") | models.chat()

    async def ask() -> None:
        async with callbacks(subscribers):
            await piped.abatch([{"number": 2}, {"number": 3}])

    def ask_sync() -> None:
        with callbacks(subscribers):
            piped.batch([{"number": 2}, {"number": 3}])

    models.run(ask if colour == "async" else ask_sync)
    models.run(lambda: piped.invoke({"number": 4}))

    assert sorted(subscribers.events) == ["end", "end", "start", "start"]


def test_a_handler_that_asks_langchain_is_metered_and_not_told_of_it(models):
    """Or it would be told of its own calls for ever."""
    judge = models.chat()
    told = []

    def grade(call: token_meter.Call) -> None:
        told.append(call)
        judge.invoke("Is this a good answer?")

    with meter(prices=models.prices, handlers=[grade]) as cb:
        models.chat().invoke(QUESTION)
    bill = models.bill()

    assert (len(told), cb.successful_requests, bill.calls) == (1, 2, 2)
    assert (cb.total_tokens, cb.cost) == (bill.total_tokens, bill.cost)


def test_a_handler_that_raises_leaves_langchain_alone_unless_it_is_meant_to(models, caplog):
    """Logged once; with `raise_error` its exception leaves LangChain's chain as it is."""

    class Broken(CallbackHandler):
        def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            raise LookupError("ours")

    class Meant(Broken):
        raise_error = True

    with meter(handlers=[Broken()]), caplog.at_level(logging.WARNING, "token_meter"):
        models.chat().batch([QUESTION] * 2)
    with meter(handlers=[Meant()]) as cb, pytest.raises(LookupError, match="ours"):
        models.chat().invoke(QUESTION)

    assert len([record for record in caplog.records if record.name == "token_meter"]) == 1
    assert cb.successful_requests == 1


# Limits, which no handler of LangChain's can hold.


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_limit_stops_a_chain_before_the_request(models, colour):
    """LangChain swallows what its handlers raise; a budget of the block refuses, through chains and fallbacks."""
    chat = models.chat().with_fallbacks([models.chat()])
    piped = PromptTemplate.from_template("1 + {number} = ") | chat

    async def ask() -> None:
        for number in range(4):
            await piped.ainvoke({"number": number})

    def ask_sync() -> None:
        for number in range(4):
            piped.invoke({"number": number})

    with meter(max_calls=2, warn_at=None) as cb, pytest.raises(BudgetExceededError):
        models.run(ask if colour == "async" else ask_sync)

    assert cb.successful_requests == models.bill().calls == 2


def test_a_gather_of_langchains_calls_cannot_overshoot_its_limit(models):
    """Ten at once, three allowed: three are sent."""
    chat = models.chat()

    async def ask() -> list[Any]:
        return await asyncio.gather(*[chat.ainvoke(QUESTION) for _ in range(10)], return_exceptions=True)

    with meter(max_calls=3, warn_at=None) as cb:
        found = models.run(ask)

    assert sum(isinstance(answer, BudgetExceededError) for answer in found) == 7
    assert cb.successful_requests == models.bill().calls == 3


# The lesson's own classes.

LESSON = """
class MyFlowerShopSyncHandler(BaseCallbackHandler):
    def on_llm_new_token(self, token: str, **kwargs) -> None:
        print(f"获取花卉数据: token: {token}")

class MyFlowerShopAsyncHandler(AsyncCallbackHandler):

    async def on_llm_start(
        self, serialized: Dict[str, Any], prompts: List[str], **kwargs: Any
    ) -> None:
        print("正在获取花卉数据...")
        await asyncio.sleep(0.5)  # 模拟异步操作
        print("花卉数据获取完毕。提供建议...")

    async def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        print("整理花卉建议...")
        await asyncio.sleep(0.5)  # 模拟异步操作
        print("祝你今天愉快！")
""".replace("sleep(0.5)", "sleep(0.001)")
"""As the lesson has them, but for the length of the pauses."""


def lesson_handlers(bases: tuple[type, type]) -> list[Any]:
    names = {
        "BaseCallbackHandler": bases[0], "AsyncCallbackHandler": bases[1], "asyncio": asyncio,
        "Dict": dict, "List": list, "Any": Any, "LLMResult": object,
    }  # fmt: skip
    exec(compile(LESSON, "the lesson", "exec"), names)
    return [names["MyFlowerShopSyncHandler"](), names["MyFlowerShopAsyncHandler"]()]  # type: ignore[operator]


THEIR_BASES = (theirs.BaseCallbackHandler, theirs.AsyncCallbackHandler)
OUR_BASES = (CallbackHandler, AsyncCallbackHandler)
FLOWERS = [[HumanMessage("哪种花卉最适合生日？只简单说3种，不超过50字")]]


@pytest.mark.parametrize("bases", [THEIR_BASES, OUR_BASES], ids=["LangChain's bases", "our bases"])
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_the_lessons_handlers_say_the_same_to_langchain_and_to_a_meter(models, capsys, bases, colour):
    """Unchanged: given to LangChain's constructor, and to `meter(handlers=...)` round the same stream."""

    def ask(given: list[Any]) -> list[str]:
        chat = models.chat(max_tokens=100, streaming=True, callbacks=given)
        models.run(lambda: chat.agenerate(FLOWERS) if colour == "async" else chat.generate(FLOWERS))
        # LangChain tells of the empty pieces at the borders too.
        return [line for line in capsys.readouterr().out.splitlines() if line != "获取花卉数据: token: "]

    to_langchain = ask(lesson_handlers(THEIR_BASES))
    with meter(handlers=lesson_handlers(bases)) as cb:
        to_meter = ask([])

    assert to_meter == to_langchain
    assert to_meter[:2] == ["正在获取花卉数据...", "花卉数据获取完毕。提供建议..."]
    assert to_meter[-1] == "祝你今天愉快！"
    assert "".join(line.removeprefix("获取花卉数据: token: ") for line in to_meter[2:-2]).startswith("玫瑰")
    assert cb.total_tokens * 2 == models.bill().total_tokens
