"""The rules that turn a prompt into a token count. It knows no wire format and no vocabulary.

The constants were fitted to requests with counts that the API reported; `benchmarks/README.md` says how well they do.
`classic` models are gpt-3.5 to gpt-4.5, `o` is o1 to o4, `gpt-5` is that and everything later.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

from token_meter.estimate.images import image_cost
from token_meter.estimate.models import family_of, plain_name
from token_meter.estimate.request import Called, Prompt, Said, compact_arguments
from token_meter.estimate.tools import render_format, render_functions

Api: TypeAlias = Literal["chat", "responses"]

PER_MESSAGE = 3
_LEADING = {"classic": 3, "o": 2, "gpt-5": 2}
_TOOLS_OVERHEAD = {
    ("chat", "classic"): 9,
    ("chat", "o"): 9,
    ("chat", "gpt-5"): 90,
    ("responses", "classic"): 3,
    ("responses", "o"): 3,
    ("responses", "gpt-5"): 8,
}
_CALL_OVERHEAD = {
    ("chat", "classic"): 9,
    ("chat", "o"): 9,
    ("chat", "gpt-5"): 15,
    ("responses", "classic"): 10,
    ("responses", "o"): 10,
    ("responses", "gpt-5"): 16,
}

_BARE_CALL_DISCOUNT = 3
_NEWER_ANSWER = 2
"""What an earlier answer costs newer models on top of a message: it names its channel."""
_OLD_MODELS = {"gpt-3.5-turbo-0301": (1, 0), "o1-mini": (0, 8), "o1-mini-2024-09-12": (0, 8)}
"""What models that are gone took more: for each message, and once."""


def count_prompt(prompt: Prompt, n: Callable[[str], int], model: str | None, api: Api) -> int:
    """Count a whole prompt; *n* counts the tokens of one string."""
    family = family_of(model)
    more_per_message, more = _OLD_MODELS.get(plain_name(model), (0, 0))
    tokens = _LEADING[family] + more + more_per_message * len(prompt.items)
    for item in prompt.items:
        tokens += count_message(item, n) if isinstance(item, Said) else _count_calls(item, n, family, api)
        if (api, family) == ("responses", "gpt-5") and isinstance(item, Said) and item.role == "assistant":
            tokens += _NEWER_ANSWER
    tokens += _count_functions(prompt, n, family, api)
    tokens += _count_format(prompt, n, family, api)
    return tokens + _count_images(prompt, model, api)


def count_message(said: Said, n: Callable[[str], int]) -> int:
    """Count one message; a name is written `:NAME` behind the role, a function's name in place of the role."""
    tokens = PER_MESSAGE + sum(map(n, said.texts))
    if not said.name:
        return tokens + n(said.role)
    return tokens + (n(said.name) if said.role == "function" else n(said.role) + n(f":{said.name}"))


def _count_calls(called: Called, n: Callable[[str], int], family: str, api: Api) -> int:
    """Count the calls of one turn and their results; arguments are written anew, without spaces."""
    overhead = _CALL_OVERHEAD[api, family]
    results = sum(n(text) for texts in called.results for text in texts) - _BARE_CALL_DISCOUNT * called.n_bare
    if len(called.calls) > 1 and family != "gpt-5":
        return overhead + math.ceil(7.5 * len(called.calls)) + n(parallel_calls(called.calls)) + results
    tokens = sum(
        overhead + n(f" to=functions.{name}") + n(compact_arguments(arguments)) + n(f"functions.{name}")
        for name, arguments in called.calls
    )
    return tokens + results


def parallel_calls(calls: tuple[tuple[str, str], ...]) -> str:
    """Write several calls of one turn as classic models see them, and generate them: as one JSON text."""
    uses = ",".join(
        f'{{"recipient_name":"functions.{name}","parameters":{compact_arguments(arguments)}}}'
        for name, arguments in calls
    )
    return f'{{"tool_uses":[{uses}]}}'


def _count_functions(prompt: Prompt, n: Callable[[str], int], family: str, api: Api) -> int:
    """Count the definitions of functions; classic models see them at the end of the system message."""
    if not prompt.functions:
        return 0
    is_newer = family == "gpt-5"
    tokens = _TOOLS_OVERHEAD[api, family] + n(render_functions(prompt.functions, is_newer=is_newer))
    if is_newer and prompt.functions[0].description:
        tokens += 1
    system = prompt.system
    if system is not None and family == "classic":
        tokens += n(f"{system}\n\n") - n(system) - (4 if api == "chat" else 0)
    return tokens + _count_choice(prompt, n, family, api)


def _count_choice(prompt: Prompt, n: Callable[[str], int], family: str, api: Api) -> int:
    """Count what a tool choice adds; to be free to choose costs nothing, and newer models see no choice."""
    if family == "gpt-5":
        return 0
    if prompt.choice == "none":
        return 1
    if prompt.choice == "required" and api == "responses" and len(prompt.functions) == 1:
        return n(prompt.functions[0].name) + 7
    if prompt.choice.startswith("name:"):
        return n(prompt.choice.removeprefix("name:")) + (4 if prompt.is_legacy else 7)
    return 0


def _count_format(prompt: Prompt, n: Callable[[str], int], family: str, api: Api) -> int:
    """Count the schema of a structured output."""
    wanted = prompt.response_format
    if wanted is None:
        return 0
    tokens = n(render_format(wanted))
    if api == "responses":
        return tokens + 1 if family == "classic" else tokens
    if wanted.is_strict:
        tokens += 8 if prompt.system is None else 4
    return tokens


def _count_images(prompt: Prompt, model: str | None, api: Api) -> int:
    """Count the images; one whose size only the provider sees counts as the largest that its model takes."""
    costs = [image_cost(image, model, in_chat=api == "chat") for image in prompt.images]
    prompt.is_bound = any(cost.is_bound for cost in costs)
    return sum(cost.tokens for cost in costs)
