"""What grounds an answer of Gemini, and is billed beside its tokens: searches, maps, data of one's own.

Gemini 3 bills every query that is not empty and not the same as another, older models a prompt with any
(https://ai.google.dev/gemini-api/docs/pricing and its page on grounding, 2026-09).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from token_meter._fees import fees_of
from token_meter.providers.asked import holds
from token_meter.types import Usage
from token_meter.wire.json_scan import Object
from token_meter.wire.safe_access import objects

MARKS = (b'"groundingMetadata"',)
_SEARCHED = frozenset({"web", "image"})
_CHUNKS = {"maps": "google_maps", "retrievedContext": "retrieval"}
"""Kinds of sources with a fee of their own."""


def grounding(events: Sequence[Object]) -> dict[str, Any]:
    """The searches and other fees of an answer, whole or in pieces; each piece repeats what it knows."""
    queries: set[str] = set()
    found: dict[str, Any] = {}
    is_searched = False
    for event in events:
        for candidate in objects(event.get("candidates")):
            ground: Any = candidate.get("groundingMetadata")
            if not isinstance(ground, dict):
                continue
            for name in ("webSearchQueries", "imageSearchQueries"):
                asked = ground.get(name)
                queries |= {q for q in asked if isinstance(q, str) and q.strip()} if isinstance(asked, list) else set()
            is_searched = is_searched or bool(ground.get("searchEntryPoint"))
            if ground.get("googleMapsWidgetContextToken"):
                found["google_maps"] = 1
            for chunk in objects(ground.get("groundingChunks")):
                kinds = [kind for kind in chunk if kind not in _SEARCHED and not _is_of_a_file_store(chunk[kind])]
                found.update({_CHUNKS.get(kind, f"grounding by {kind}"): 1 for kind in kinds})
                is_searched = is_searched or "web" in chunk
            if ground.get("retrievalQueries"):
                found["retrieval"] = 1
    if queries:
        found["web_search"] = len(queries)
    elif is_searched:
        found["google_search"] = None  # grounded, and it does not say by how many queries
    return found


def _is_of_a_file_store(source: Any) -> bool:
    """Whether a source is a file of the Gemini API's own store: its search costs tokens alone.

    Source: https://ai.google.dev/gemini-api/docs/file-search, 2026-11; only files of such a store name it (the SDK's
    types, google-genai 3.6).
    """
    return isinstance(source, dict) and bool(source.get("fileSearchStore"))


def for_enterprises(usage: Usage, request: bytes) -> Usage:
    """*usage* of a request with Vertex's search for enterprises: another fee, and its answer looks the same."""
    if not usage.web_searches or not holds(request, b'"enterpriseWebSearch"', b'"enterprise_web_search"'):
        return usage
    fees = {**dict(usage.fees or ()), "enterprise_web_search": usage.web_searches}
    return usage._replace(web_searches=None, fees=fees_of(fees))
