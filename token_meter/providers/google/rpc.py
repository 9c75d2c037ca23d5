"""Google's methods over gRPC (google-generativeai, vertexai): their messages have the JSON of the calls over HTTP."""

from __future__ import annotations

from typing import Any

from token_meter.providers.rpc import Rpc


def _path(method: Any, request: Any) -> str:
    verb = method["verb"]
    return f"/{method['version']}/{request.model}:{verb[0].lower()}{verb[1:]}"


_READ = "(?P<verb>GenerateContent|StreamGenerateContent|EmbedContent|BatchEmbedContents)"
_GEMINI, _VERTEX = "generativelanguage.googleapis.com", "aiplatform.googleapis.com"
_GEMINI_METHODS = r"/google\.ai\.generativelanguage\.(?P<version>\w+)\.(GenerativeService|PredictionService)/"
_VERTEX_METHODS = r"/google\.cloud\.aiplatform\.(?P<version>\w+)\.PredictionService/"

RPCS = (
    Rpc(_GEMINI_METHODS + _READ, _GEMINI, _path),
    Rpc(_GEMINI_METHODS + "(?!Count).*", _GEMINI),
    Rpc(_VERTEX_METHODS + _READ, _VERTEX, _path),
    Rpc(_VERTEX_METHODS + "(?!Count).*", _VERTEX),
)
"""The methods that cost money; google-generativeai 0.8, google-cloud-aiplatform 2.7, 2026-11."""
