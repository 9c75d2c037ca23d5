"""The prompt of a request, as messages and as text, for handlers of a call's start. Nothing is stored."""

from __future__ import annotations

from typing import Any


def messages_of(content: bytes) -> list[list[Any]]:
    """The messages of a chat request, unchanged, as the only conversation in a list."""
    body = _body(content)
    messages = body.get("messages")
    if not isinstance(messages, list):
        given = body.get("input", body.get("contents"))
        messages = given if isinstance(given, list) else [{"role": "user", "content": given}] if given else []
    first = body.get("instructions") or body.get("system") or _instruction(body)
    return [[{"role": "system", "content": first}, *messages] if first else messages]


def prompts_of(content: bytes, *, is_chat: bool) -> list[str]:
    """The prompts of a request as text: one of a chat, several of a list of prompts or inputs."""
    if is_chat:
        return ["\n".join(_line(message) for message in conversation) for conversation in messages_of(content)]
    body = _body(content)
    given = body.get("prompt", body.get("input"))
    if isinstance(given, list) and not all(isinstance(item, int) for item in given):
        return [_text(item) for item in given]
    return [] if given is None else [_text(given)]


def _body(content: bytes) -> dict[str, Any]:
    import json

    try:
        body = json.loads(content)
    except (ValueError, RecursionError):  # a form, say
        return {}
    return body if isinstance(body, dict) else {}


def _instruction(body: dict[str, Any]) -> str:
    """The system's text where it is an object with parts."""
    given = body.get("systemInstruction", body.get("system_instruction"))
    return _text(given.get("parts")) if isinstance(given, dict) else _text(given)


def _line(message: Any) -> str:
    if not isinstance(message, dict):
        return _text(message)
    return f"{message.get('role') or message.get('type') or '?'}: {_text(message.get('content', message.get('parts')))}"


def _text(content: Any) -> str:
    """The text of a content; for parts other than text, their type."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, dict):
        text = content.get("text")
        return text if isinstance(text, str) else f"<{content.get('type', 'part')}>"
    if isinstance(content, list):
        if content and all(isinstance(item, int) for item in content):
            return f"<{len(content)} tokens>"
        return "".join(_text(part) for part in content)
    return str(content)
