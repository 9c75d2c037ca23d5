"""Counts the tokens of an image from its size and the model. The size is read from the header, without decoding."""

from __future__ import annotations

import base64
import binascii
import math
import re
from typing import NamedTuple

from token_meter.estimate.models import plain_name

_HEADER_CHARS = 1 << 18
"""Base64 characters that are read: in a JPEG, the size follows the metadata."""


class Image(NamedTuple):
    """An image of a request; its size is `None` where only the provider can see it (a link, a file id)."""

    width: int | None = None
    height: int | None = None
    detail: str = "auto"


class Cost(NamedTuple):
    """Tokens of an image; `is_bound`: its size is not known, and this is the maximum by the model's rules."""

    tokens: int
    is_bound: bool


class _Tiles(NamedTuple):
    base: int
    tile: int

    def cost(self, image: Image) -> Cost:
        if image.detail == "low":
            return Cost(self.base, False)
        if image.width is None or image.height is None:
            return Cost(self.base + 8 * self.tile, True)  # 768 x 2048
        width, height = float(image.width), float(image.height)
        fit = min(1.0, 2048 / max(width, height))
        width, height = width * fit, height * fit
        fit = min(1.0, 768 / min(width, height))
        width, height = width * fit, height * fit
        return Cost(self.base + self.tile * math.ceil(width / 512) * math.ceil(height / 512), False)


class _Patches(NamedTuple):
    factor: float
    plus: int
    plus_in_chat: int = 0

    def cost(self, image: Image) -> Cost:
        cap = 10_000 if image.detail == "original" else 1536
        if image.width is None or image.height is None:
            return Cost(math.ceil(self.factor * cap) + self.plus, True)
        return Cost(math.ceil(self.factor * min(cap, _patches(image.width, image.height, cap))) + self.plus, False)


def _patches(width: int, height: int, cap: int) -> int:
    """The number of 32 pixel patches, after the documented shrinking to at most *cap* patches."""
    plain = math.ceil(width / 32) * math.ceil(height / 32)
    if plain <= cap:
        return plain
    shrink = math.sqrt(cap * 32 * 32 / (width * height))
    across, down = width * shrink / 32, height * shrink / 32
    shrink *= min(math.floor(across) / across if across >= 1 else 1.0, math.floor(down) / down if down >= 1 else 1.0)
    return math.ceil(width * shrink / 32) * math.ceil(height * shrink / 32)


# First match wins. The newest family is billed 1.2 tokens a patch in recordings, unlike in the documentation.
_FAMILIES: tuple[tuple[re.Pattern[str], _Tiles | _Patches], ...] = (
    (re.compile(r"gpt-4o-mini"), _Tiles(2833, 5667)),
    (re.compile(r"gpt-4\.1-mini"), _Patches(1.62, 1)),
    (re.compile(r"gpt-4\.1-nano"), _Patches(2.46, 1)),
    (re.compile(r"o4-mini"), _Patches(1.72, 1)),
    (re.compile(r"o[13](?=-|$)"), _Tiles(75, 150)),
    (re.compile(r"gpt-5(?:\.1)?(?:-\d{4}.*|-chat.*|-codex.*|-pro.*)?$"), _Tiles(70, 140)),
    (re.compile(r"gpt-(?:[5-9]|[12]\d)(?!\d)"), _Patches(1.2, 0, plus_in_chat=2)),
    (re.compile(r""), _Tiles(85, 170)),
)


def image_cost(image: Image, model: str | None, *, in_chat: bool) -> Cost:
    """Count the tokens of *image* for *model* by the rules of its family; an unknown model counts like gpt-4o."""
    name = plain_name(model)
    rule = next(rule for pattern, rule in _FAMILIES if pattern.match(name))
    cost = rule.cost(image)
    extra = rule.plus_in_chat if in_chat and isinstance(rule, _Patches) else 0
    return Cost(cost.tokens + extra, cost.is_bound)


def image_of_url(url: object, detail: object = "auto") -> Image:
    """Read the size from a data URL's header; anything else is an image of unknown size."""
    how = detail if isinstance(detail, str) else "auto"
    if isinstance(url, str) and url[:11].lower() == "data:image/":
        comma = url.find(",", 0, 256)
        try:
            size = size_of(base64.b64decode(url[comma + 1 : comma + 1 + _HEADER_CHARS])) if comma > 0 else None
        except (binascii.Error, ValueError):
            size = None
        if size is not None and min(size) > 0:
            return Image(*size, how)
    return Image(detail=how)


def size_of(head: bytes) -> tuple[int, int] | None:
    """Read width and height from the first bytes of a PNG, GIF, WebP or JPEG file."""
    if head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) >= 24:
        return _big(head[16:20]), _big(head[20:24])
    if head[:6] in (b"GIF87a", b"GIF89a") and len(head) >= 10:
        return _little(head[6:8]), _little(head[8:10])
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP" and len(head) >= 30:
        return _webp_size(head)
    return _jpeg_size(head) if head[:2] == b"\xff\xd8" else None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8X":
        return _little(head[24:27]) + 1, _little(head[27:30]) + 1
    if kind == b"VP8L":
        bits = _little(head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return (_little(head[26:28]) & 0x3FFF, _little(head[28:30]) & 0x3FFF) if kind == b"VP8 " else None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Walk the segments to the frame header (SOF0 to SOF15, without the three markers that are not frames)."""
    at = 2
    while at + 9 <= len(head):
        if head[at] != 0xFF:
            return None
        marker = head[at + 1]
        if marker == 0xFF:
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _big(head[at + 7 : at + 9]), _big(head[at + 5 : at + 7])
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            at += 2 + max(2, _big(head[at + 2 : at + 4]))
    return None


def _big(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def _little(raw: bytes) -> int:
    return int.from_bytes(raw, "little")
