"""Reads Google's usage objects. A count of 0 is left out of them, and each report of a stream states all that is known.

Source: google-genai 3.6 and 1,100 recorded answers (2026-11).
"""

from __future__ import annotations

from typing import NamedTuple

from token_meter.types import Usage
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader
from token_meter.wire.safe_access import objects, text_of


class Names(NamedTuple):
    """What an api calls the counts, and the lists of a count's parts by modality."""

    prompt: str
    tools: str
    completion: str
    thoughts: str
    total: str
    cached: str
    prompt_parts: tuple[str, ...]
    completion_parts: tuple[str, ...]
    cached_parts: tuple[str, ...]
    tokens: str

    @property
    def counts(self) -> tuple[str, ...]:
        """The names of whole counts; a report without any of them is none."""
        return self[:6]


GENERATE = Names(
    "promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount",
    "cachedContentTokenCount", ("promptTokensDetails", "toolUsePromptTokensDetails"), ("candidatesTokensDetails",),
    ("cacheTokensDetails",), "tokenCount",
)  # fmt: skip
INTERACT = Names(
    "total_input_tokens", "total_tool_use_tokens", "total_output_tokens", "total_thought_tokens", "total_tokens",
    "total_cached_tokens", ("input_tokens_by_modality", "tool_use_tokens_by_modality"), ("output_tokens_by_modality",),
    ("cached_tokens_by_modality",), "tokens",
)  # fmt: skip

_IMAGE, _AUDIO = ("IMAGE", 2), ("AUDIO", 4)
"""Some clients of Vertex ask for enums as numbers (23 of the recorded answers)."""


def usage_of(raw: Object, numbers: NumberReader, names: Names = GENERATE) -> Usage:
    """Read a usage. The tokens of the provider's own tools are part of the prompt, thoughts part of the completion."""
    count = numbers.count
    prompt, tools, made, thoughts, total, cached = (count(raw.get(name)) for name in names.counts)
    if prompt is not None:
        prompt += tools or 0
    completion = None if made is None and thoughts is None else (made or 0) + (thoughts or 0)
    # What the total has beside one direction is the other one: its count may have been 0, and left out.
    if total is not None and completion is None and prompt is not None:
        completion = max(0, total - prompt)
    elif total is not None and prompt is None:
        prompt = max(0, total - (completion or 0))
    if total is None and prompt is not None and completion is not None:
        total = prompt + completion
    ins, outs, kept = (_by_modality(raw, lists, names.tokens, numbers) for lists in names[6:9])
    return Usage(
        prompt,
        completion,
        total,
        cached,
        reasoning_tokens=thoughts,
        input_audio_tokens=ins.get("AUDIO"),
        output_audio_tokens=outs.get("AUDIO"),
        cached_audio_tokens=kept.get("AUDIO"),
        input_image_tokens=ins.get("IMAGE"),
        output_image_tokens=outs.get("IMAGE"),
        cached_image_tokens=kept.get("IMAGE"),
    )


def is_report(raw: object, names: Names = GENERATE) -> bool:
    """Whether an object states a count: the first events of a stream at Vertex state only the kind of traffic."""
    return isinstance(raw, dict) and any(name in raw for name in names.counts)


def tier_of(raw: Object) -> str | None:
    """The tier that served: `serviceTier`, or Vertex's kind of traffic (`ON_DEMAND`, `ON_DEMAND_FLEX`, ...)."""
    traffic = raw.get("trafficType")
    named = text_of(raw.get("serviceTier")) or _TRAFFIC.get(traffic if type(traffic) is int else 0) or text_of(traffic)
    tier = named.lower()
    return None if not tier or "unspecified" in tier else tier.removeprefix("on_demand_")


_TRAFFIC = {1: "ON_DEMAND", 2: "PROVISIONED_THROUGHPUT"}


def _by_modality(raw: Object, lists: tuple[str, ...], tokens: str, numbers: NumberReader) -> dict[str, int]:
    """The tokens of sound and of images in some lists of parts."""
    found: dict[str, int] = {}
    for name in lists:
        for part in objects(raw.get(name)):
            modality, number = part.get("modality"), numbers.count(part.get(tokens))
            if isinstance(modality, str):
                modality = modality.upper()
            for kind in (_IMAGE, _AUDIO):
                if modality in kind and number is not None:
                    found[str(kind[0])] = found.get(str(kind[0]), 0) + number
    return found
