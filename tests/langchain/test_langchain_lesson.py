"""The lesson's own programs, word for word on today's LangChain: `get_openai_callback` is imported from token_meter."""

from __future__ import annotations

import re
from typing import Any

import pytest

import token_meter

pytest.importorskip("langchain_classic", reason="the dependency group `langchain`")

pytestmark = [
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainDeprecationWarning"),
    pytest.mark.usefixtures("no_sockets_left"),
]

IMPORTS = """
from langchain_classic.chains import ConversationChain
from langchain_classic.memory import ConversationBufferMemory
from langchain_openai import OpenAI
"""
"""Where LangChain has the lesson's classes today."""

MODEL = """
# 初始化大语言模型
llm = OpenAI(temperature=0.5, model_name="gpt-3.5-turbo-instruct")

# 初始化对话链
conversation = ConversationChain(
    llm=llm,
    memory=ConversationBufferMemory()
)
"""

DIALOGUE = """
# 第一天的对话
# 回合1
conversation("我姐姐明天要过生日，我需要一束生日花束。")
print("第一次对话后的记忆:", conversation.memory.buffer)

# 回合2
conversation("她喜欢粉色玫瑰，颜色是粉色的。")
print("第二次对话后的记忆:", conversation.memory.buffer)

# 回合3 （第二天的对话）
conversation("我又来了，还记得我昨天为什么要来买花吗？")
print("/n第三次对话后时提示:/n",conversation.prompt.template)
print("/n第三次对话后的记忆:/n", conversation.memory.buffer)
"""

COUNTER = """
# 使用context manager进行token counting
with get_openai_callback() as cb:
{dialogue}
# 输出使用的tokens
print("\\n总计使用的tokens:", cb.total_tokens)

import asyncio
# 进行更多的异步交互和token计数
async def additional_interactions():
    with get_openai_callback() as cb:
        await asyncio.gather(
            *[llm.agenerate(["我姐姐喜欢什么颜色的花？"]) for _ in range(3)]
        )
    print("\\n另外的交互中使用的tokens:", cb.total_tokens)

# 运行异步函数
asyncio.run(additional_interactions())
""".format(dialogue=re.sub("^(?=.)", "    ", DIALOGUE, flags=re.MULTILINE))

STREAM = """
import asyncio
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI

async def main():
    flower_shop_chat = ChatOpenAI(
        max_tokens=100,
        streaming=True,
    )
    with get_openai_callback() as cb:
        # 异步生成聊天回复
        await flower_shop_chat.agenerate([[HumanMessage(content="哪种花卉最适合生日？只简单说3种，不超过50字")]])
    print("使用的tokens:", cb.total_tokens)

# 运行主异步函数
asyncio.run(main())
"""

ONLY_CHANGE = "from token_meter import get_openai_callback\n"


@pytest.fixture(params=["api.openai.com", "another base URL"])
def place(request: pytest.FixtureRequest, simulator: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the environment says that the models are."""
    if request.param == "api.openai.com":
        request.getfixturevalue("openai_is_simulated")
        monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    else:
        monkeypatch.setenv("OPENAI_API_KEY", "sim-test")
        monkeypatch.setenv("OPENAI_BASE_URL", simulator.base_url)
    return str(request.param)


def run(program: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(program, "the lesson", "exec"), names)
    return names


def numbers(printed: str) -> list[int]:
    return [int(number) for number in re.findall(r"使用的tokens: (\d+)", printed)]


def test_the_lessons_counter_reads_the_bill(place, simulator, capsys):
    """The dialogue's total, then the gather's, which holds nothing of the dialogue; and the cost, where a price is known."""
    names = run(ONLY_CHANGE + IMPORTS + MODEL + COUNTER)
    entries = simulator.bill().entries
    tokens = [entry.usage.total_tokens for entry in entries]
    cb = names["cb"]

    assert len(entries) == 6
    assert numbers(capsys.readouterr().out) == [sum(tokens[:3]), sum(tokens[3:])]
    assert cb.total_tokens == cb.prompt_tokens + cb.completion_tokens == sum(tokens[:3])
    assert cb.successful_requests == 3
    if place == "api.openai.com":
        assert cb.total_cost == float(sum(entry.cost for entry in entries[:3])) > 0
    else:
        with pytest.warns(token_meter.UnpricedWarning, match="no known provider"):
            assert cb.unpriced_calls == 3


def test_the_program_prints_the_same_with_and_without_a_counter(place, simulator, capsys):
    """The lesson has it twice: memory, prompt and answers are not touched by counting."""
    run(IMPORTS + MODEL + DIALOGUE)
    plain = capsys.readouterr().out
    bare = simulator.bill().total_tokens
    names = run(ONLY_CHANGE + IMPORTS + MODEL + COUNTER)
    counted = capsys.readouterr().out

    assert counted.startswith(plain)
    assert counted[len(plain) :].startswith("\n总计使用的tokens: ")
    assert names["cb"].total_tokens == bare


def test_a_stream_is_counted_wherever_it_comes_from(place, simulator, capsys):
    """LangChain asks for the usage of a stream on api.openai.com only."""
    run(ONLY_CHANGE + STREAM)

    assert numbers(capsys.readouterr().out) == [simulator.bill().total_tokens]
    assert simulator.bill().calls == 1


def test_the_counter_has_the_names_of_langchains():
    """What programs read of LangChain's handler, before and after calls."""
    assert token_meter.get_openai_callback is token_meter.meter
    with token_meter.get_openai_callback() as cb:
        pass

    assert [
        cb.total_tokens, cb.prompt_tokens, cb.prompt_tokens_cached, cb.completion_tokens, cb.reasoning_tokens,
        cb.successful_requests, cb.total_cost,
    ] == [0, 0, 0, 0, 0, 0, 0.0]  # fmt: skip
    assert isinstance(cb.total_cost, float)
