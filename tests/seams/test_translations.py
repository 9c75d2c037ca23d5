"""A refusal that a library has turned into an error of its own comes back as it was; every other error stays."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import httpx
import pytest

from token_meter import BudgetExceededError, UnpricedModelError, meter

MAPPING = """
class APIError(Exception): pass
class ProviderError(Exception): pass

def exception_type(model, original_exception, custom_llm_provider=None):
    raise APIError(str(original_exception))
"""
CALLS = """
from litellm.mapping import ProviderError, exception_type

def completion(send, by="plain"):
    try:
        try:
            return send()
        except Exception as error:
            if by == "plain":
                raise
            raise ProviderError("wrapped") from (error if by == "named" else None)
    except Exception as error:
        raise exception_type(model="m", original_exception=error)

async def acompletion(send):
    try:
        return await send()
    except Exception as error:
        raise exception_type("m", error)
"""
URL = "https://api.openai.com/v1/chat/completions"


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package that maps exceptions as LiteLLM does: one function, and a module that holds it by name."""

    def module(name: str, text: str) -> ModuleType:
        found = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, found)
        exec(text, vars(found))
        return found

    package = module("litellm", "")
    package.__path__ = []  # type: ignore[attr-defined]
    vars(package).update(vars(module("litellm.mapping", MAPPING)), __name__="litellm", __path__=[])
    return module("litellm.main", CALLS)


def answered(status: int = 200) -> Any:
    """Sends one request, and says its status."""
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(status, json={}))) as client:
        return client.post(URL, json={"model": "m", "messages": []}).raise_for_status().status_code


@pytest.mark.parametrize("by", ["plain", "named", "hidden"])
def test_f127_a_refusal_comes_back_as_it_was(library: Any, by: str) -> None:
    """However the library has wrapped it, and also where a program bound the call before the first meter."""
    completion = library.completion

    with meter(max_calls=0), pytest.raises(BudgetExceededError):
        completion(answered, by)


async def test_f127_also_in_the_async_call(library: Any) -> None:
    """Which gives its arguments by position."""

    async def send() -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, json={}))
        async with httpx.AsyncClient(transport=transport) as client:
            await client.post(URL, json={"model": "m", "messages": []})

    with meter(max_cost="1"), pytest.raises(UnpricedModelError):
        await library.acompletion(send)


def test_f127_other_errors_are_the_librarys_own(library: Any) -> None:
    """Its mapping decides, under a meter and without one."""
    error = sys.modules["litellm.mapping"].APIError

    with meter(), pytest.raises(error, match="500"):
        library.completion(lambda: answered(500))
    with pytest.raises(error, match="500"):
        library.completion(lambda: answered(500))


def test_f127_a_refusal_that_was_caught_before_is_no_reason_of_a_later_error(library: Any) -> None:
    """A program that falls back in its handler sees what became of its second try."""
    error = sys.modules["litellm.mapping"].APIError

    with pytest.raises(error, match="500"):
        try:
            with meter(max_calls=0):
                library.completion(answered)
        except BudgetExceededError:
            with meter():
                library.completion(lambda: answered(500))


def test_the_mapping_is_the_librarys_own_again_afterwards(library: Any) -> None:
    """Under each of its names."""
    import token_meter

    original = sys.modules["litellm.mapping"].exception_type
    with meter():
        assert library.exception_type is not original
    token_meter.uninstall()

    assert library.exception_type is original
    assert sys.modules["litellm"].exception_type is original  # type: ignore[attr-defined]
