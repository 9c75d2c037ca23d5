"""Google's methods over gRPC (google-generativeai, vertexai): their messages have the JSON of the calls over HTTP."""

from __future__ import annotations

import re
from typing import Any

from token_meter.providers.rpc import Rpc


def _name(method: Any, request: Any) -> str:
    """The model that a request names."""
    found: str = request.endpoint if method["verb"] == "Predict" else request.model
    return found


def _path(method: Any, request: Any) -> str:
    verb = method["verb"]
    return f"/{method['version']}/{_name(method, request)}:{verb[0].lower()}{verb[1:]}"


def _vertex_host(method: Any, request: Any) -> str:
    """The host that serves the place in a model's name: a region may cost more."""
    found = _LOCATION.search(_name(method, request))
    place = "global" if found is None else found[1]
    if place in ("us", "eu"):
        return f"aiplatform.{place}.rep.googleapis.com"
    return _VERTEX if place == "global" else f"{place}-{_VERTEX}"


_LOCATION = re.compile(r"(?:^|/)locations/([a-z0-9-]+)/")
_READ = "GenerateContent|StreamGenerateContent|EmbedContent|BatchEmbedContents"
_GEMINI, _VERTEX = "generativelanguage.googleapis.com", "aiplatform.googleapis.com"
_GEMINI_METHODS = r"/google\.ai\.generativelanguage\.(?P<version>\w+)\.(GenerativeService|PredictionService)/"
_VERTEX_METHODS = r"/google\.cloud\.aiplatform\.(?P<version>\w+)\.PredictionService/"

RPCS = (
    Rpc(f"{_GEMINI_METHODS}(?P<verb>{_READ})", _GEMINI, _path),
    Rpc(_GEMINI_METHODS + "(?!Count).*", _GEMINI),
    Rpc(f"{_VERTEX_METHODS}(?P<verb>{_READ}|Predict)", _VERTEX, _path, host_of=_vertex_host),
    Rpc(_VERTEX_METHODS + "(?!Count).*", _VERTEX),
)
"""The methods that cost money; google-generativeai 0.8, google-cloud-aiplatform 2.7, 2026-11."""
