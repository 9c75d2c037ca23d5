"""Names in answers: the served model, response ids, tiers."""

from __future__ import annotations

import itertools
import re

from token_meter.simulator.options import Options
from token_meter.simulator.rates import rate_of

_DATED = {
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14",
    "gpt-5": "gpt-5-2025-08-07",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "gpt-5-nano": "gpt-5-nano-2025-08-07",
    "o1": "o1-2024-12-17",
    "o3": "o3-2025-04-16",
    "o3-mini": "o3-mini-2025-01-31",
    "o4-mini": "o4-mini-2025-04-16",
    "gpt-3.5-turbo": "gpt-3.5-turbo-0125",
}
_AZURE_DEFAULT = "gpt-4o-mini"
_numbers = itertools.count(1)


def served_model(asked: str, deployment: str | None, options: Options) -> str:
    """The model that answers a request for *asked*; an Azure deployment may have any name."""
    if options.model:
        return options.model
    if (
        deployment is not None
        and rate_of(asked) is None
        and not re.match(r"(?:gpt-|o\d|text-|whisper|tts|dall-e)", asked)
    ):
        asked = _AZURE_DEFAULT
    return _DATED.get(asked, asked)


def new_id(prefix: str, options: Options) -> str:
    """A response id, unique in this process unless the options fix it."""
    return options.id or f"{prefix}sim{next(_numbers):010d}"


def served_tier(asked: object, options: Options) -> str:
    """The tier that serves the call: that of the options, else the requested one."""
    if options.tier:
        return options.tier
    return asked if isinstance(asked, str) and asked != "auto" else "default"
