"""What a request shows of the bill, where its answer may not: how long a cache lives, sounds among what was sent.

A request is only searched for what its answer leaves open.
"""

from __future__ import annotations

import re

from token_meter._fees import fees_of
from token_meter.providers.fees import UNKNOWN_LIFE
from token_meter.types import Usage

_LIVES = (b'"1h"', b'"12h"')
"""Stand in a request for Anthropic's longer time to live, and OpenAI's. Without it, what is written lives shorter."""


def holds(request: bytes, *marks: bytes) -> bool:
    """Whether a request holds one of *marks*."""
    return any(request.rfind(mark) >= 0 for mark in marks)  # a fraction of the time of `in`


def asked_lives(usage: Usage, request: bytes) -> Usage:
    """*usage* with a doubt, where tokens were written to a cache and no split tells for how long."""
    if usage.cache_write_tokens and usage.cache_write_long_tokens is None and holds(request, *_LIVES):
        return with_open(usage, UNKNOWN_LIFE)
    return usage


def asked_sound(usage: Usage, request: bytes, mark: bytes = b'"input_audio"') -> Usage:
    """*usage* with a doubt, where audio was sent and no count tells how much of the prompt that was.

    *mark* is the type of a part that is audio: OpenAI's.
    """
    is_open = usage.input_audio_tokens is None and request.rfind(mark) >= 0
    return with_open(usage, "audio input") if is_open else usage


def asked_images(usage: Usage, request: bytes) -> Usage:
    """The same of images, in a form or in JSON, that are edited."""
    is_open = usage.input_image_tokens is None and holds(request, b'name="image', b'"images"')
    return with_open(usage, "image input") if is_open else usage


_READS_THE_WEB = re.compile(rb'"web_(?:search|fetch)_(20\d{6})"')
_SINCE = b"20260209"


def free_code(usage: Usage, request: bytes) -> Usage:
    """*usage* without the code that Anthropic runs free of charge: beside its web tools of 2026-02-09 or later.

    "When one of those tools is in your request, there are no additional charges for code execution", what Claude runs
    itself among it (https://platform.claude.com/docs/en/agents-and-tools/tool-use/code-execution-tool, 2026-11).
    """
    counts = dict(usage.fees) if usage.fees else {}
    if "code_execution" in counts and any(day >= _SINCE for day in _READS_THE_WEB.findall(request)):
        del counts["code_execution"]
        return usage._replace(fees=fees_of(counts))
    return usage


def with_open(usage: Usage, name: str) -> Usage:
    """*usage* with something that is billed, and nothing tells how much."""
    return usage._replace(fees=fees_of({**dict(usage.fees or ()), name: None}))
