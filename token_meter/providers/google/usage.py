"""Reads Google's usage objects. A count of 0 is left out of them, and each report of a stream states all that is known.

Source: google-genai 3.6 and 1,100 recorded answers (2026-11).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from token_meter._fees import Fees, fees_of
from token_meter.types import Usage
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader
from token_meter.wire.safe_access import objects, text_of


class Names(NamedTuple):
    """What an api calls its counts.

    Attributes:
        counts: the prompt, the prompt of the provider's own tools, the answer, thoughts, the total, what was cached.
        parts: the lists of parts by modality: of the prompt, of the answer, of what was cached.
        tokens: the count of a part.
    """

    counts: tuple[str, str, str, str, str, str]
    parts: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
    tokens: str


GENERATE = Names(
    (
        "promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount",
        "cachedContentTokenCount",
    ),
    (
        ("promptTokensDetails", "toolUsePromptTokensDetails"), ("candidatesTokensDetails",), ("cacheTokensDetails",),
    ),
    "tokenCount",
)  # fmt: skip
INTERACT = Names(
    (
        "total_input_tokens", "total_tool_use_tokens", "total_output_tokens", "total_thought_tokens", "total_tokens",
        "total_cached_tokens",
    ),
    (
        ("input_tokens_by_modality", "tool_use_tokens_by_modality"), ("output_tokens_by_modality",),
        ("cached_tokens_by_modality",),
    ),
    "tokens",
)  # fmt: skip

# Some clients of Vertex ask for enums as numbers (23 of the recorded answers).
_TEXT = frozenset({"TEXT", "text", 1, "DOCUMENT", "document", 5, "MODALITY_UNSPECIFIED", "unspecified", 0, None})
"""Billed alike (https://ai.google.dev/gemini-api/docs/pricing, 2026-11); not specified means text (the SDK's types)."""
_KINDS: dict[object, str] = {
    "IMAGE": "image",
    "image": "image",
    2: "image",
    "AUDIO": "audio",
    "audio": "audio",
    4: "audio",
    "VIDEO": "video",
    "video": "video",
    3: "video",
}
_OTHER = "other"
_TRAFFIC = {1: "on_demand", 2: "provisioned_throughput"}
_NOTHING: dict[str, int] = {}
_new = tuple.__new__


def usage_of(raw: Object, numbers: NumberReader, names: Names = GENERATE) -> Usage:
    """Read a usage. The tokens of the provider's own tools are part of the prompt, thoughts part of the completion."""
    get, count = raw.get, numbers.count
    sent, used, answered, thought, in_all, kept_back = names.counts
    prompt, tools, made, thoughts = count(get(sent)), count(get(used)), count(get(answered)), count(get(thought))
    total, cached = count(get(in_all)), count(get(kept_back))
    if tools and prompt is not None:
        prompt += tools
    completion = made if thoughts is None else (made or 0) + thoughts
    # What the total has beside one direction is the other one: its count may have been 0, and left out.
    if total is None:
        total = None if prompt is None or completion is None else prompt + completion
    elif prompt is None:
        prompt = max(0, total - (completion or 0))
    elif completion is None:
        completion = max(0, total - prompt)
    ins, outs, kept = [_by_modality(raw, lists, names.tokens, numbers) for lists in names.parts]
    is_text = not outs and made is not None and _texts(raw, names, numbers) == made  # all of it, as it says
    untold = 0 if is_text else None
    # NamedTuple's own constructor takes twice as long.
    return _new(Usage, (
        prompt, completion, total, cached, None, None, thoughts, ins.get("audio"), outs.get("audio", untold),
        kept.get("audio"), ins.get("image"), outs.get("image", untold), kept.get("image"), None, None, None, None, None,
        _beside(ins, outs) if "video" in ins or "video" in outs or _OTHER in ins or _OTHER in outs else None,
    ))  # fmt: skip


def _beside(ins: dict[str, int], outs: dict[str, int]) -> Fees | None:
    """Tokens of video, which are parts of prompt and completion, and have another rate with some models.

    What another modality costs, nothing tells.
    """
    found: dict[str, int | None] = {
        "input_video_tokens": ins.get("video", 0), "output_video_tokens": outs.get("video", 0),
    }  # fmt: skip
    if _OTHER in ins or _OTHER in outs:
        found["tokens of no known kind"] = None
    return fees_of(found)


def _texts(raw: Object, names: Names, numbers: NumberReader) -> int:
    """The tokens of an answer that its details call text."""
    details = [part for name in names.parts[1] for part in objects(raw.get(name))]
    parts = [part for part in details if _kind_of(part.get("modality")) is None]
    return sum(numbers.count(part.get(names.tokens)) or 0 for part in parts)


def is_report(raw: Any, names: Names = GENERATE) -> bool:
    """Whether an object states a count: the first events of a stream at Vertex state only the kind of traffic."""
    return isinstance(raw, dict) and any(map(raw.__contains__, names.counts))


def tier_of(raw: Object) -> str | None:
    """The tier that served: `serviceTier`, or Vertex's kind of traffic (`ON_DEMAND`, `ON_DEMAND_FLEX`, ...)."""
    named: Any = raw.get("serviceTier") or raw.get("trafficType")
    if named is None:
        return None
    tier = _TRAFFIC.get(named, "") if type(named) is int else text_of(named).lower()
    return None if not tier or "unspecified" in tier else tier.removeprefix("on_demand_")


def _kind_of(modality: Any) -> str | None:
    """What a modality is, apart from text."""
    if not (modality is None or isinstance(modality, str | int)):
        return _OTHER
    return None if modality in _TEXT else _KINDS.get(modality, _OTHER)


def _by_modality(raw: Object, lists: tuple[str, ...], tokens: str, numbers: NumberReader) -> dict[str, int]:
    """The tokens of sound, of images, of video, and of what is no text either, in some lists of parts."""
    found = _NOTHING
    for name in lists:
        for part in objects(raw.get(name)) if name in raw else ():
            kind = _kind_of(part.get("modality"))
            number = None if kind is None else numbers.count(part.get(tokens))
            if kind is not None and number is not None and (number or kind is not _OTHER):
                found = {**found, kind: found.get(kind, 0) + number}
    return found
