"""The lesson's flower shop: what its customers say, and how a model is asked with their history. It knows no meter.

The two prompts are those of LangChain's ConversationChain and ConversationSummaryMemory (MIT licence), so that the
programs here send what the lesson's send, and read the same numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openai import OpenAI

TURNS = (
    "我姐姐明天要过生日，我需要一束生日花束。",
    "她喜欢粉色玫瑰，颜色是粉色的。",
    "我又来了，还记得我昨天为什么要来买花吗？",
)
"""A bouquet for a sister's birthday; she likes pink roses; and the next day: why did I come?"""

MORE_TURNS = (
    "妈妈下个月也要过生日，我想再订一束花。",
    "贺卡用什么颜色好？",
    "哪种花可以开得久一些？",
    "那就再加几枝粉色的玫瑰吧。",
    "送给同事的话，哪种花合适？",
    "丝带配什么颜色好看？",
    "你还记得我一共订了哪些花吗？",
)
"""The same customer stays, for those who want to see where a curve goes."""

QUESTION = "我姐姐喜欢什么颜色的花？"
"""What the lesson asks three times at once: which colour does my sister like?"""

TEMPLATE = """\
The following is a friendly conversation between a human and an AI. The AI is talkative and provides lots of specific \
details from its context. If the AI does not know the answer to a question, it truthfully says it does not know.

Current conversation:
{history}
Human: {input}
AI:"""

SUMMARY_TEMPLATE = """\
Progressively summarize the lines of conversation provided, adding onto the previous summary returning a new summary.

EXAMPLE
Current summary:
The human asks what the AI thinks of artificial intelligence. The AI thinks artificial intelligence is a force for good.

New lines of conversation:
Human: Why do you think artificial intelligence is a force for good?
AI: Because artificial intelligence will help humans reach their full potential.

New summary:
The human asks what the AI thinks of artificial intelligence. The AI thinks artificial intelligence is a force for \
good because it will help humans reach their full potential.
END OF EXAMPLE

Current summary:
{summary}

New lines of conversation:
{new_lines}

New summary:"""


def complete(client: OpenAI, model: str, prompt: str) -> str:
    """Ask *model* to go on after *prompt*: on the lesson's text endpoint, or where it is gone, as a chat."""
    if "instruct" in model:
        answer = client.completions.create(model=model, prompt=prompt, temperature=0.5, max_tokens=256)
        return answer.choices[0].text.strip()
    chat = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": prompt}], temperature=0.5, max_tokens=256
    )
    return (chat.choices[0].message.content or "").strip()
