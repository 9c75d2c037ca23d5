"""Frameworks on top of SDKs: each call counts once, and a refusal reaches the program."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.providers import native_fake as bodies
from tests.providers.fake_server import Reply
from tests.providers.native_fake import FakeNative
from token_meter import BudgetExceededError, meter

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # DSPy may bring it: it would ask the net for prices
os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("without_certificates")]
QUESTION = "Which rose is the pinkest?"

Ask = Callable[[str], Any]


def pydantic_ai(url: str) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(base_url=f"{url}/v1", api_key="k"))
    Agent(model).run_sync(QUESTION)


def instructor(url: str) -> None:
    import openai
    from instructor import Mode, from_openai
    from pydantic import BaseModel

    class Rose(BaseModel):
        name: str

    client = from_openai(openai.OpenAI(base_url=f"{url}/v1", api_key="k"), mode=Mode.JSON)
    client.chat.completions.create(
        model="gpt-4o-mini", response_model=Rose, max_retries=1, messages=[{"role": "user", "content": QUESTION}]
    )


def smolagents(url: str) -> None:
    import smolagents

    model = smolagents.OpenAIServerModel("gpt-4o-mini", api_base=f"{url}/v1", api_key="k")
    model.generate([{"role": "user", "content": [{"type": "text", "text": QUESTION}]}])


def agents(url: str) -> None:
    import openai
    from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled

    set_tracing_disabled(True)
    model = OpenAIChatCompletionsModel("gpt-4o-mini", openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k"))
    Runner.run_sync(Agent("rose", model=model), QUESTION)


def dspy(url: str) -> None:
    import dspy

    dspy.LM("openai/gpt-4o-mini", api_base=f"{url}/v1", api_key="k", cache=False)(QUESTION)


def llama_index(url: str) -> None:
    from llama_index.llms.openai import OpenAI

    OpenAI(model="gpt-4o-mini", api_base=f"{url}/v1", api_key="k").complete(QUESTION)


def langchain_mistral(url: str) -> None:
    from langchain_mistralai import ChatMistralAI

    ChatMistralAI(model="m-1", endpoint=f"{url}/v1", api_key="k").invoke(QUESTION)


def langchain_groq(url: str) -> None:
    from langchain_groq import ChatGroq

    ChatGroq(model="m-1", base_url=url, api_key="k").invoke(QUESTION)


def langchain_ollama(url: str) -> None:
    from langchain_ollama import ChatOllama

    ChatOllama(model="llama3.2:1b", base_url=url).invoke(QUESTION)


ROSE = bodies.chat(content='{"name": "Pink Peace"}')
GUESTS: dict[str, tuple[Ask, Reply]] = {
    "pydantic_ai": (pydantic_ai, Reply(body=bodies.chat())),
    "instructor": (instructor, Reply(body=ROSE)),
    "smolagents": (smolagents, Reply(body=bodies.chat())),
    "agents": (agents, Reply(body=bodies.chat())),
    "dspy": (dspy, Reply(body=bodies.chat())),
    "llama_index": (llama_index, Reply(body=bodies.chat())),
    "langchain_mistralai": (langchain_mistral, Reply(body=bodies.chat())),
    "langchain_groq": (langchain_groq, Reply(body=bodies.chat())),
    "langchain_ollama": (langchain_ollama, Reply(events=bodies.ollama_chat_lines())),
}


@pytest.fixture(scope="module")
def server() -> Iterator[FakeNative]:
    found = FakeNative()
    yield found
    found.close()


@pytest.fixture
def fake(server: FakeNative) -> FakeNative:
    server.asked.clear()
    server.replies.clear()
    return server


@pytest.mark.parametrize("name", GUESTS)
def test_a_call_of_a_guest_counts_once(fake: FakeNative, name: str) -> None:
    pytest.importorskip(name, reason="a guest that `make compat` installs")
    ask, reply = GUESTS[name]
    fake.will(reply)

    with meter(keep_calls=True) as cb:
        ask(fake.url)

    assert [call.certainty for call in cb.calls] == ["exact"]
    assert (cb.prompt_tokens, cb.completion_tokens, cb.blind_spots) == (107, 43, ())


@pytest.mark.parametrize("name", GUESTS)
def test_f127_a_refusal_reaches_the_program_of_a_guest(fake: FakeNative, name: str) -> None:
    """As it was raised, or as the cause of what the guest makes of it; nothing is sent."""
    pytest.importorskip(name, reason="a guest that `make compat` installs")

    with meter(max_calls=0), pytest.raises(Exception) as caught:
        GUESTS[name][0](fake.url)

    found: BaseException | None = caught.value
    while found is not None and not isinstance(found, BudgetExceededError):
        found = found.__cause__ or found.__context__
    assert isinstance(found, BudgetExceededError), repr(caught.value)
    assert fake.asked == []
