"""SDKs of models whose calls are not read, or only by transports that may have another shape.

Where a transport is read, or only watched (`transports/grpc.py`, `transports/watched.py`), that a call is made is seen:
an SDK that is not called is then no blind spot. Where its transport has another shape, the import alone is one.
"""

from __future__ import annotations

from typing import NamedTuple


class UnseenSdk(NamedTuple):
    """An SDK that has calls which are not read.

    Attributes:
        module: the module that is there when the SDK is imported.
        carriers: the modules of the transports that it may use, as `transports/watched.py` names them.
        has_seen_ways: it also uses a transport that is read; it is unseen only by way of those.
    """

    module: str
    carriers: tuple[str, ...]
    has_seen_ways: bool = False


_GRPC = ("grpc._channel", "grpc.aio._channel")

# Read in the SDKs' own sources, newest and one older line, 2026-11-27.
UNSEEN_SDKS = (
    UnseenSdk("xai_sdk", _GRPC),
    UnseenSdk("google.generativeai", _GRPC),
    UnseenSdk("vertexai.generative_models", _GRPC),
    UnseenSdk("vertexai.preview.generative_models", _GRPC),
    UnseenSdk("google.genai", ("websockets.asyncio.client", "google.genai.live_music"), has_seen_ways=True),
    UnseenSdk("dspy._vendor.lm15.transports", ("dspy._vendor.lm15.transports._sync",)),
)
