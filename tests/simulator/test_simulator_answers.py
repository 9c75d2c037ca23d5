"""What the simulated model says: always the same, and the lesson's dialogue as a person would have it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from token_meter.simulator import Simulator
from token_meter.simulator.answers import answer
from token_meter.simulator.instances import choose_tool, instance
from token_meter.simulator.tokens import count, cut, pieces

BIRTHDAY = "我姐姐明天要过生日，我需要一束生日花束。"
ROSES = "她喜欢粉色玫瑰，颜色是粉色的。"
BACK = "我又来了，还记得我昨天为什么要来买花吗？"
TRANSCRIPT = """The following is a friendly conversation between a human and an AI.

Current conversation:
{history}
Human: {last}
AI:"""
SUMMARISE = """Progressively summarize the lines of conversation provided, adding onto the previous summary.

EXAMPLE
Current summary:
The human asks what the AI thinks of artificial intelligence.
New lines of conversation:
Human: Why do you think artificial intelligence is a force for good?
AI: Because artificial intelligence will help humans reach their full potential.
END OF EXAMPLE

Current summary:
{summary}

New lines of conversation:
{lines}

New summary:"""


def transcript(*turns: str) -> list[str]:
    """The answer to each turn, when the history is sent as LangChain's buffer memory sends it."""
    said: list[str] = []
    history = ""
    for turn in turns:
        prompt = TRANSCRIPT.format(history=history, last=turn)
        said.append(answer(prompt, prompt))
        history += f"\nHuman: {turn}\nAI: {said[-1]}"
    return said


def test_dialogue_remembers_what_was_said() -> None:
    """The third answer knows the birthday and the pink roses; none repeats another."""
    first, second, third = transcript(BIRTHDAY, ROSES, BACK)

    assert "生日" in first
    assert "粉色玫瑰" in second
    assert "姐姐的生日" in third
    assert "粉色玫瑰" in third
    assert len({first, second, third}) == 3


def test_dialogue_does_not_remember_what_it_was_not_told() -> None:
    """A memory that dropped the history gets an honest answer."""
    (alone,) = transcript(BACK)

    assert "没有找到" in alone


def test_dialogue_reads_narrow_punctuation_too() -> None:
    """The reprint of the lesson has ASCII punctuation."""
    assert transcript(BIRTHDAY.replace("，", ",").replace("。", "."))[0] == transcript(BIRTHDAY)[0]


def test_dialogue_runs_over_both_apis(sim: Simulator) -> None:
    """Chat messages get the same answers as the transcript of a text model."""
    expected = transcript(BIRTHDAY, ROSES, BACK)
    messages: list[Any] = []
    said, growth = [], []
    with sim.client() as client:
        for turn in (BIRTHDAY, ROSES, BACK):
            messages.append({"role": "user", "content": turn})
            made = client.chat.completions.create(model="gpt-4o-mini", messages=messages)
            said.append(made.choices[0].message.content)
            messages.append({"role": "assistant", "content": said[-1]})
            assert made.usage is not None
            growth.append(made.usage.prompt_tokens)
        text = client.completions.create(
            model="gpt-3.5-turbo-instruct", prompt=TRANSCRIPT.format(history="", last=BIRTHDAY), max_tokens=256
        )

    assert said == expected
    assert growth == sorted(set(growth))
    assert text.choices[0].text == expected[0]


@pytest.mark.parametrize(
    ("prompt", "said"),
    [("1 + 2 = ", " 3"), ("7 * 6 = ?", " 42"), ("10 - 4 =", " 6")],
)
def test_sums_are_right(prompt: str, said: str) -> None:
    """The lesson's chain asks `1 + {number} = `."""
    assert answer(prompt, prompt) == said


def test_summary_is_short_and_keeps_the_facts() -> None:
    """It does not grow without bound when its own text is summarised again."""
    summary, sizes = "", []
    for turn, reply in zip((BIRTHDAY, ROSES, BACK, BACK), (*transcript(BIRTHDAY, ROSES, BACK), "…"), strict=True):
        prompt = SUMMARISE.format(summary=summary, lines=f"Human: {turn}\nAI: {reply}")
        summary = answer(prompt, prompt)
        sizes.append(len(summary))

    assert "粉色玫瑰" in summary
    assert "生日" in summary
    assert sizes[-1] == sizes[-2] < 300


def test_same_request_gets_the_same_answer_and_counts(sim: Simulator) -> None:
    """From another server, too."""
    asked: Any = {"model": "o3", "messages": [{"role": "user", "content": "Tell me about lilies"}]}
    with Simulator() as other, sim.client() as one, other.client() as two:
        made = [client.chat.completions.create(**asked) for client in (one, one, two)]

    assert len({made_.choices[0].message.content for made_ in made}) == 1
    assert made[0].usage == made[1].usage == made[2].usage


def test_seed_gives_another_answer(sim: Simulator) -> None:
    """And the same seed the same."""
    asked: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Tell me about lilies"}]}
    with sim.client() as client:
        said = [
            client.chat.completions.create(**asked, extra_headers={"x-sim-seed": seed}).choices[0].message.content
            for seed in ("a", "b", "a")
        ]

    assert said[0] == said[2] != said[1]


@given(st.text())
def test_pieces_add_up_to_the_text(text: str) -> None:
    """A stream loses nothing of any answer."""
    assert "".join(pieces(text)) == text


@given(st.text(alphabet="ab 1。玫瑰é\n", max_size=60), st.integers(0, 20))
def test_cut_keeps_the_limit(text: str, limit: int) -> None:
    """A cut text starts the whole one and has no more tokens than allowed."""
    short, is_cut = cut(text, limit, "gpt-4o")

    assert text.startswith(short)
    assert is_cut == (short != text)
    assert count(short, "gpt-4o") <= limit


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "minLength": 6}, "texttt"),
        ({"type": "string", "format": "date"}, "2026-11-21"),
        ({"enum": ["rose", "lily"]}, "rose"),
        ({"const": 7}, 7),
        ({"type": ["null", "string"]}, None),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, True),
        ({"type": "array", "items": {"type": "number", "minimum": 2}, "minItems": 2}, [2, 2]),
        ({"type": "object", "properties": {"a": {"type": "null"}, "b": {}}, "required": ["a"]}, {"a": None}),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "integer"}}}, 1),
        ({"allOf": [{"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}]}, {"a": 1}),
    ],
)
def test_instance_fits_its_schema(schema: dict[str, Any], value: Any) -> None:
    """The smallest value that a schema allows."""
    assert instance(schema) == value


@pytest.mark.parametrize(
    ("said", "choice", "called"),
    [
        ("What is the weather?", None, "get_weather"),
        ("Please use get_weather", "auto", "get_weather"),
        ("order roses", "auto", "OrderFlowers"),
        ("Get me the thing", "auto", None),
        ("Get me the thing", "required", "get_weather"),
        ("weather", "none", None),
        ("weather", {"type": "function", "function": {"name": "OrderFlowers"}}, "OrderFlowers"),
        ("weather", {"type": "function", "name": "OrderFlowers"}, "OrderFlowers"),
    ],
)
def test_tool_is_chosen_by_what_was_said(said: str, choice: Any, called: str | None) -> None:
    """By a word of its name, or as `tool_choice` says."""
    tools = [
        {"type": "function", "function": {"name": "get_weather"}},
        {"type": "function", "name": "OrderFlowers"},
        {"type": "web_search"},
    ]
    call = choose_tool(tools, choice, said, 1)

    assert (call.name if call else None) == called


def test_recursive_schema_ends() -> None:
    """A schema that needs itself is cut off instead of followed for ever."""
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}

    assert "next" in instance(node)
