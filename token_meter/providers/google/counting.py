"""Counts prompts and answers for Google by o200k, because Gemini's vocabulary is not at hand offline; marked as such.

Field names may be in camel case, as the SDK writes them, or in snake case, which the servers take too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from token_meter.estimate.rules import Counted, Counter, CountingRules, positive
from token_meter.types import Answer

_PER_CONTENT = 4
_IMAGE = 2240
"""The largest number of tokens of an image: Gemini 3 at its highest resolution. Models before it cut an image into
tiles of 258 tokens, of which one of usual proportions has up to six (https://ai.google.dev/gemini-api/docs/media-resolution
and /image-understanding, as quoted in 2026)."""
_HOSTED = (
    "googleSearch", "google_search", "googleSearchRetrieval", "google_search_retrieval", "codeExecution",
    "code_execution", "urlContext", "url_context", "googleMaps", "google_maps", "fileSearch", "file_search",
    "retrieval", "enterpriseWebSearch", "enterprise_web_search", "computerUse", "computer_use", "mcpServers",
)  # fmt: skip
"""Tools that the provider runs, and whose results only it sees."""


def _get(given: Any, camel: str, snake: str) -> Any:
    if not isinstance(given, Mapping):
        return None
    found = given.get(camel)
    return given.get(snake) if found is None else found


def _listed(value: Any) -> list[Any]:
    """A list, or the one thing that stands for a list of one."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _prompt(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    """Count the system's instruction, contents and tools, each text on its own."""
    tokens, kinds = 0, set()
    contents = [_get(request, "systemInstruction", "system_instruction"), *_listed(request.get("contents"))]
    for content in contents:
        for kind, text in _texts(content):
            kinds.add(kind)
            tokens += _IMAGE if kind == "image" else n(text)
    tokens += _PER_CONTENT * sum(content is not None for content in contents)
    declared = [
        declaration
        for tool in _listed(request.get("tools"))
        for declaration in _listed(_get(tool, "functionDeclarations", "function_declarations"))
    ]
    tokens += sum(n(json.dumps(declaration, ensure_ascii=False, default=str)) for declaration in declared)
    unseen = {kind for kind in kinds if kind not in ("text", "image")}
    if _get(request, "cachedContent", "cached_content"):
        unseen.add("cached content")
    rules = ("text", *(("tools",) if declared else ()), *(("images",) if "image" in kinds else ()))
    at_most = ("images",) if "image" in kinds else ()
    return Counted(tokens, rules, ("another tokenizer",), tuple(sorted(unseen)), at_most)


def _texts(content: Any) -> Iterator[tuple[str, str]]:
    """Kind and text of each part of a content, which may be a plain text where the server allows it."""
    if isinstance(content, str):
        yield "text", content
        return
    for part in _listed(content.get("parts")) if isinstance(content, Mapping) else ():
        if isinstance(part, str):
            yield "text", part
        elif isinstance(part, Mapping):
            yield from _texts_of(part)


def _texts_of(part: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    text, inline = part.get("text"), _get(part, "inlineData", "inline_data")
    if isinstance(text, str):
        yield "text", text
    elif isinstance(inline, Mapping):
        kind = str(_get(inline, "mimeType", "mime_type")).partition("/")[0]
        yield (kind if kind in ("image", "audio", "video") else "file"), ""
    elif _get(part, "fileData", "file_data") is not None:
        yield "file", ""
    else:
        for value in part.values():
            if isinstance(value, Mapping):  # a call, its answer, code
                yield "text", json.dumps(value, ensure_ascii=False, default=str)


def _cap(request: Mapping[str, Any]) -> int | None:
    """The most output tokens of all candidates, thoughts included."""
    config = _get(request, "generationConfig", "generation_config")
    cap = positive(_get(config, "maxOutputTokens", "max_output_tokens"))
    return None if cap is None else cap * (positive(_get(config, "candidateCount", "candidate_count")) or 1)


def _answer(answer: Answer, n: Counter, model: str | None) -> int:
    calls = sum(n(name) + n(arguments) for name, arguments in answer.tool_calls)
    return n(answer.thoughts) + sum(map(n, answer.texts)) + calls


def _unseen(request: Mapping[str, Any], answer: Answer, model: str | None) -> list[str]:
    """Name thoughts, which are shown as a summary or not at all."""
    return ["reasoning"]


def _has_known_size(request: Mapping[str, Any], unseen: tuple[str, ...]) -> bool:
    """No files, no cached content, and no tools that the provider runs."""
    tools = [tool for tool in _listed(request.get("tools")) if isinstance(tool, Mapping)]
    return not (unseen or any(name in tool for tool in tools for name in _HOSTED))


def _interaction_prompt(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    """Count the system's instruction, the input and the functions of an interaction."""
    found = [*_said(request.get("system_instruction")), *_said(request.get("input"))]
    kinds = {kind for kind, _ in found}
    tokens = sum(_IMAGE if kind == "image" else n(text) for kind, text in found)
    functions = [tool for tool in _listed(request.get("tools")) if _is_function(tool)]
    tokens += sum(n(json.dumps(tool, ensure_ascii=False, default=str)) for tool in functions)
    unseen = {kind for kind in kinds if kind not in ("text", "image")}
    unseen |= {name.replace("_", " ") for name in ("previous_interaction_id", "agent") if request.get(name)}
    rules = ("text", *(("tools",) if functions else ()), *(("images",) if "image" in kinds else ()))
    at_most = ("images",) if "image" in kinds else ()
    return Counted(tokens, rules, ("another tokenizer",), tuple(sorted(unseen)), at_most)


def _said(value: Any) -> Iterator[tuple[str, str]]:
    """Kind and text of an input: a text, a content, a step, or a list of these."""
    if isinstance(value, str):
        yield "text", value
    elif isinstance(value, list):
        for item in value:
            yield from _said(item)
    elif isinstance(value, Mapping):
        kind = str(value.get("type"))
        if value.get("data") is not None or value.get("uri") is not None:
            yield (kind if kind in ("image", "audio", "video") else "file"), ""
        for name in ("text", "content", "summary", "name"):
            yield from _said(value.get(name))
        for name in ("arguments", "result"):
            if (given := value.get(name)) is not None:
                yield "text", json.dumps(given, ensure_ascii=False, default=str)


def _is_function(tool: Any) -> bool:
    return isinstance(tool, Mapping) and tool.get("type") == "function"


def _interaction_cap(request: Mapping[str, Any]) -> int | None:
    config = request.get("generation_config")
    return positive(config.get("max_output_tokens")) if isinstance(config, Mapping) else None


def _interaction_has_known_size(request: Mapping[str, Any], unseen: tuple[str, ...]) -> bool:
    """No earlier turns at the provider, no agent, and no tools that the provider runs."""
    return not unseen and all(_is_function(tool) for tool in _listed(request.get("tools")))


def _embedded(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    """Count the contents of one embedding or of several."""
    found = [
        part for each in (request, *_listed(request.get("requests"))) if isinstance(each, Mapping)
        for part in _texts(each.get("content"))
    ]  # fmt: skip
    unseen = tuple(sorted({kind for kind, _ in found if kind != "text"}))
    return Counted(sum(n(text) for _, text in found), ("text",), ("another tokenizer",), unseen)


def _no_output(request: Mapping[str, Any]) -> int:
    return 0


def _no_answer(answer: Answer, n: Counter, model: str | None) -> int:
    return 0


def _live_prompt(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    """Count what was written for a turn. All turns before it are its prompt too, and so is what was spoken."""
    found = _prompt(request, n, model)
    return found._replace(unseen=(*found.unseen, "earlier turns"))


GENERATE_CONTENT = CountingRules(_prompt, _cap, _answer, _unseen, _has_known_size)
INTERACTIONS = CountingRules(_interaction_prompt, _interaction_cap, _answer, _unseen, _interaction_has_known_size)
LIVE = CountingRules(_live_prompt, _cap, _answer, _unseen, _has_known_size)
EMBEDDINGS = CountingRules(_embedded, _no_output, _no_answer, has_output=False)
