"""Counts the tokens of a prompt.

The constants were fitted to requests whose counts the API reported; `benchmarks/README.md` has the accuracy.
`classic` models are gpt-3.5 to gpt-4.5, `o` is o1 to o4, `gpt-5` is that and everything later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from token_meter.estimate.models import family_of, plain_name
from token_meter.providers.openai.counting.calls import addressed, count_calls
from token_meter.providers.openai.counting.functions import render_custom, render_functions
from token_meter.providers.openai.counting.images import image_cost
from token_meter.providers.openai.counting.read import Prompt, Said
from token_meter.providers.openai.counting.schema import render_format

Kind: TypeAlias = Literal["chat", "responses"]

PER_MESSAGE = 3
_LEADING = {"classic": 3, "o": 2, "gpt-5": 2}
_EMPTY_SYSTEM = 4
"""Tokens of the system message that the provider adds for tools and schemas if the request has none."""
_TOOLS_OVERHEAD = {
    ("chat", "classic"): 9,
    ("chat", "o"): 10,
    ("chat", "gpt-5"): 90,
    ("responses", "classic"): 3,
    ("responses", "o"): 3,
    ("responses", "gpt-5"): 8,
}
_NAMED_CHOICE = 4
_NAMED_CHOICE_LEGACY = 1
_ANSWER_PREFIX = 2
_NEWER_ANSWER = 2
"""Tokens of an earlier answer on top of a message for newer models, for the name of its channel."""
_OLD_MODELS = {"gpt-3.5-turbo-0301": (1, 0), "o1-mini": (0, 8), "o1-mini-2024-09-12": (0, 8)}
"""Additional tokens of retired models: for each message, and once."""


def count_prompt(prompt: Prompt, n: Callable[[str], int], model: str | None, api: Kind) -> tuple[int, bool]:
    """Count a whole prompt; return also whether it has an image of unknown size, counted as the largest possible."""
    family = family_of(model)
    more_per_message, more = _OLD_MODELS.get(plain_name(model), (0, 0))
    tokens = _LEADING[family] + more + more_per_message * len(prompt.items)
    for item in prompt.items:
        tokens += count_message(item, n) if isinstance(item, Said) else count_calls(item, n, family, api)
        if (api, family) == ("responses", "gpt-5") and isinstance(item, Said) and item.role == "assistant":
            tokens += _NEWER_ANSWER
    tokens += _count_tools(prompt, n, family, api)
    tokens += _count_format(prompt, n, family, api)
    images = [image_cost(image, model, in_chat=api == "chat") for image in prompt.images]
    return tokens + sum(cost.tokens for cost in images), any(cost.is_bound for cost in images)


def count_message(said: Said, n: Callable[[str], int]) -> int:
    """Count one message. A name is written `:NAME` after the role, a function's name in place of the role."""
    tokens = PER_MESSAGE + n(said.text)
    if not said.name:
        return tokens + n(said.role)
    return tokens + (n(said.name) if said.role == "function" else n(said.role) + n(f":{said.name}"))


def _joint(system: str, n: Callable[[str], int]) -> int:
    """Count the join of a section to the system message: an end such as `.` and the blank line may be one token."""
    return n(f"{system}\n\n") - n(system)


def _count_tools(prompt: Prompt, n: Callable[[str], int], family: str, api: Kind) -> int:
    """Count the definitions of tools, which classic models see at the end of the system message.

    Sources: 87 of 87 held-out Chat requests, of which 4 of 4 support the 10 of o-series models (2026-11-27). Of custom
    tools, only the known part is counted; their frame is not known.
    """
    if not (prompt.functions or prompt.customs):
        return 0
    tokens = _TOOLS_OVERHEAD[api, family] + sum(n(render_custom(tool)) for tool in prompt.customs)
    if prompt.functions:
        tokens += n(render_functions(prompt.functions))
        if family == "gpt-5" and prompt.functions[0].description:
            tokens += 1
    if prompt.system is not None and family == "classic":
        tokens += _joint(prompt.system, n) - (_EMPTY_SYSTEM if api == "chat" else 0)
    return tokens + _count_choice(prompt, n, family, api)


def _count_choice(prompt: Prompt, n: Callable[[str], int], family: str, api: Kind) -> int:
    """Count the tokens of a tool choice: `auto` adds none, and newer models do not see it.

    If a function must be called, the start of the answer addresses it. Source: public tables of counts
    (hmarr/openai-chat-tokens), and recorded requests (2026-11-27).
    """
    if family == "gpt-5":
        return 0
    if prompt.choice == "none":
        return 1
    if prompt.choice == "required" and api == "responses" and len(prompt.functions) == 1:
        return n(addressed(prompt.functions[0].name)) + _NAMED_CHOICE
    if prompt.choice.startswith("name:"):
        named = n(addressed(prompt.choice.removeprefix("name:")))
        return named + (_NAMED_CHOICE_LEGACY if prompt.is_legacy else _NAMED_CHOICE)
    return 0


def _count_format(prompt: Prompt, n: Callable[[str], int], family: str, api: Kind) -> int:
    """Count the schema of a structured output, which is the last section of the system message.

    In Chat, an answer by a schema begins with the schema's name. This counts for each earlier answer, and for the
    requested one unless the model may call a tool instead. Sources: 114 of 114 held-out Chat requests, 53 of 53 new
    ones, 31 of 31 Responses requests (2026-11-27). No recording has a newer model in Chat.
    """
    wanted = prompt.response_format
    if wanted is None:
        return 0
    section = n(render_format(wanted))
    if api == "responses":
        return section + (1 if family == "classic" else 0)
    answers = sum(isinstance(item, Said) and item.role == "assistant" and bool(item.text) for item in prompt.items)
    prefix = n(wanted.name) + _ANSWER_PREFIX
    if prompt.functions or prompt.customs:
        return section + 1 + answers * prefix
    joint = _EMPTY_SYSTEM if prompt.system is None else _joint(prompt.system, n)
    return section + joint + (answers + 1) * prefix
