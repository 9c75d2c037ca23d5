"""Modules made by hand in the place of libraries that are not installed here: a class whose method passes calls."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

CHAT = "https://api.openai.com/v1/chat/completions"
LM15 = "dspy._vendor.lm15.transports"


def put_in(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> ModuleType:
    """A module, as if it had been imported."""
    module = ModuleType(name)
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def answers(status: int = 200) -> SimpleNamespace:
    return SimpleNamespace(status=status, status_code=status)


class Rpc:
    """As grpc's callable for one method."""

    def __init__(self, method: Any = b"/xai_api.Image/GenerateImage") -> None:
        self._method = method

    def __call__(self, request: Any) -> Any:
        return object()

    def with_call(self, request: Any) -> Any:
        return object(), object()

    def future(self, request: Any) -> Any:
        return object()


class Lm15:
    """As DSPy's own transport."""

    def stream(self, request: Any) -> Any:
        return answers(getattr(request, "status", 200))


class AsyncLm15:
    """The same for asyncio."""

    async def _do_stream(self, request: Any) -> Any:
        return answers()


class Live:
    """As google-genai's live music."""

    def connect(self, **_: Any) -> Any:
        return object()


def posted(url: str = CHAT, **more: Any) -> SimpleNamespace:
    return SimpleNamespace(method="POST", url=url, **more)
