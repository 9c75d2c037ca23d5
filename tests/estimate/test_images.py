"""Images are counted from the size in their header, by the rules of the model's family."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.estimate.by_name import prompt_tokens
from token_meter.providers.openai.counting.images import Image, image_cost, image_of_url, size_of


def _png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x06"


def _jpeg(width: int, height: int, *, metadata: int = 0) -> bytes:
    app1 = b"\xff\xe1" + (metadata + 2).to_bytes(2, "big") + bytes(metadata)
    table = b"\xff\xc4\x00\x04\x00\x00"  # a Huffman table: its marker looks like a frame's
    frame = b"\xff\xc2\x00\x11\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes(10)
    return b"\xff\xd8" + app1 + b"\xff" + table + frame


def _webp(kind: bytes, body: bytes) -> bytes:
    return b"RIFF\x00\x00\x00\x00WEBP" + kind + b"\x00\x00\x00\x00" + body.ljust(20, b"\x00")


LOSSY = bytes(3) + b"\x9d\x01\x2a" + (640).to_bytes(2, "little") + (480).to_bytes(2, "little")
LOSSLESS = b"\x2f" + (639 | 479 << 14).to_bytes(4, "little")
EXTENDED = bytes(4) + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (_png(640, 480), (640, 480)),
        (_jpeg(640, 480), (640, 480)),
        (_jpeg(640, 480, metadata=60_000), (640, 480)),  # a camera writes its thumbnail before the size
        (b"GIF89a" + (640).to_bytes(2, "little") + (480).to_bytes(2, "little"), (640, 480)),
        (_webp(b"VP8 ", LOSSY), (640, 480)),
        (_webp(b"VP8L", LOSSLESS), (640, 480)),
        (_webp(b"VP8X", EXTENDED), (640, 480)),
        (_webp(b"ALPH", b""), None),
        (_png(640, 480)[:20], None),
        (b"\xff\xd8\xff", None),
        (b"\xff\xd8" + bytes(100), None),
        (b"", None),
        (b"%PDF-1.7", None),
    ],
)
def test_size_of_a_header(head: bytes, size: tuple[int, int] | None) -> None:
    """Four formats are known; anything else has no size."""
    assert size_of(head) == size


@pytest.mark.parametrize(
    ("model", "image", "tokens"),
    [
        # 85 + 170 for each tile of 512, after fitting into 2048 x 2048 and to a short side of 768
        ("gpt-4o", Image(1, 1), 85 + 170),
        ("gpt-4o", Image(1024, 1024), 85 + 170 * 4),  # 768 x 768
        ("gpt-4o", Image(2048, 4096), 85 + 170 * 6),  # 1024 x 2048, then 768 x 1536
        ("gpt-4o", Image(1126, 488), 85 + 170 * 3),
        ("gpt-4o", Image(4096, 8192, "low"), 85),
        ("gpt-4o-mini", Image(1, 1), 2833 + 5667),
        ("gpt-4o-mini", Image(1, 1, "low"), 2833),
        ("o1", Image(1, 1), 75 + 150),
        ("gpt-5", Image(512, 513), 70 + 140 * 2),
        ("gpt-5-2025-08-07", Image(1, 1), 70 + 140),
        ("gpt-5-chat-latest", Image(1, 1), 70 + 140),
        # patches of 32: 17 x 12 = 204, 1800 x 2400 shrinks to 33 x 44 = 1452
        ("gpt-4.1-nano", Image(540, 360), 503),  # ceil(2.46 * 204) + 1
        ("gpt-4.1-mini", Image(1024, 1024), 1660),  # ceil(1.62 * 1024) + 1
        ("o4-mini", Image(1800, 2400), 2499),  # ceil(1.72 * 1452) + 1
        ("gpt-5-mini", Image(597, 566), 411),  # ceil(1.2 * 342), as the API billed it
        ("gpt-5.6-sol", Image(400, 301), 156),  # ceil(1.2 * 130)
        ("acme-7b", Image(1, 1), 85 + 170),
    ],
)
def test_tokens_of_an_image(model: str, image: Image, tokens: int) -> None:
    """Each family has its rule."""
    assert image_cost(image, model, in_chat=False) == (tokens, False)


def test_an_original_keeps_more_patches() -> None:
    """`detail: original` lifts the cap from 1536 to 10,000 patches."""
    usual = image_cost(Image(3200, 2400), "gpt-5.6", in_chat=False).tokens
    original = image_cost(Image(3200, 2400, "original"), "gpt-5.6", in_chat=False).tokens

    assert (usual <= 1.2 * 1536 + 1, original) == (True, 9000)  # ceil(1.2 * 100 * 75)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/cat.png",
        "data:image/png;base64,",
        "data:image/png;base64,!!!",
        "data:image/png",
        "data:image/png;base64,AAAA",
        f"data:image/png;base64,{base64.b64encode(_png(0, 0)).decode()}",
        None,
        7,
    ],
)
def test_an_image_without_a_readable_header_has_no_size(url: object) -> None:
    """It is never zero pixels."""
    assert image_of_url(url) == Image(None, None, "auto")


def _asking(url: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}


def test_an_image_in_a_request() -> None:
    """3 lead, 4 are an empty user message, two more are for an image of the newest family in Chat."""
    url = f"data:image/png;base64,{base64.b64encode(_png(400, 301)).decode()}"

    older, newer = (prompt_tokens("chat", _asking(url), model) for model in ("gpt-4o", "gpt-5-mini"))

    assert older.usage is not None
    assert older.usage.prompt_tokens == 3 + 4 + 85 + 170
    assert newer.usage is not None
    assert newer.usage.prompt_tokens == 2 + 4 + 156 + 2
    assert newer.method == "o200k_base: text, images"


def test_an_image_of_unknown_size_counts_as_the_largest_and_says_so() -> None:
    """Only the provider fetches the link; a budget must not be taken by surprise."""
    estimate = prompt_tokens("chat", _asking("https://example.com/cat.png"), "gpt-4o")

    assert estimate.usage is not None
    assert estimate.usage.prompt_tokens == 3 + 4 + 85 + 170 * 8
    assert estimate.method == "o200k_base: text, images; at most: images of unknown size"


def test_the_text_of_an_image_is_not_counted_as_text() -> None:
    """A megabyte of base64 is one image."""
    data = base64.b64encode(_png(400, 301) + bytes(1_000_000)).decode()
    request = {
        "input": [{"role": "user", "content": [{"type": "input_image", "image_url": f"data:image/png;base64,{data}"}]}]
    }

    usage = prompt_tokens("responses", request, "gpt-4o").usage

    assert usage is not None
    assert usage.prompt_tokens == 3 + 4 + 85 + 170
