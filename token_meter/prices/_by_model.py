"""The provider by the name of a model, for a gateway of which the user says so: `hosts = {"https://gw" = "by-model"}`.

Nowhere else is a model's name a hint at who is paid. Here it is asked for, and the source of each price says so.
"""

from __future__ import annotations

from collections.abc import Iterable

from token_meter.prices._lists import BUILT_IN, Sources
from token_meter.prices._lookup import published
from token_meter.prices._rate_card import UnpriceableError
from token_meter.prices._uplifts import matches

BY_MODEL = "by-model"
"""What stands in the place of a provider behind such a host."""

MAKERS = (
    "openai", "anthropic", "google", "x-ai", "mistral", "deepseek", "cohere", "meta", "moonshotai", "zai", "minimax",
    "perplexity", "voyageai", "arcee",
)  # fmt: skip
"""Who makes models and sells them at a list price of their own, in the order in which they are asked for one."""

_ALSO = {"gemini": "google", "vertex_ai": "google", "xai": "x-ai", "moonshot": "moonshotai", "voyage": "voyageai"}
"""What LiteLLM's routes call them (its provider list, 2026-11)."""


def maker_of(
    model: str, at_s: float, own: Iterable[tuple[str, str]] = (), sources: Sources = BUILT_IN
) -> tuple[str, str]:
    """Return who lists a model, and its name there: `anthropic/claude-...` says it, else the first that has a price.

    Args:
        own: provider and model (or its pattern) of private rates, and of rows of a list; these count first.
        sources: where list prices are found.

    Raises:
        UnpriceableError: no maker lists it.
    """
    own = tuple(own)
    for provider, name in own:
        if name == model:
            return provider, model
    prefix, slash, rest = model.partition("/")
    named = _ALSO.get(prefix, prefix)
    sellers = {*MAKERS, *(provider for provider, _ in own), *sources.public.providers()}
    if slash and named in sellers:
        return named, rest
    for provider, name in own:
        if matches(name, model):
            return provider, model
    for provider in MAKERS:
        try:
            published(provider, model, "", "", at_s, sources)
        except UnpriceableError:
            continue
        return provider, model
    msg = f"no maker of models lists {model}, which hosts = {{ ... = {BY_MODEL!r} }} goes by"
    raise UnpriceableError(msg)
