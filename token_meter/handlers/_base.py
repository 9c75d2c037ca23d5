"""Base classes for handlers, with a method for every event that does nothing.

A method that is not overridden is never called, and no answer is parsed for it.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict, Unpack

from token_meter.types import Answer, Call

# The keywords are spelled out so that a type checker accepts an override that names some of them. With
# `**kwargs: Any` here, `def on_llm_end(self, response, *, meter, **kwargs)` would be an incompatible override.


class _Every(TypedDict):
    """Keywords of every event."""

    run_id: str
    model: str | None
    tags: tuple[str, ...]
    meter: Any


class _OfToken(_Every):
    kind: str
    choice: int


class _OfEnd(_Every):
    answer: NotRequired[Answer | None]


class _OfError(_OfEnd):
    response: Call


class CallbackHandler:
    """A handler with ordinary methods; override those that you need.

    Keywords of every event: `run_id` (the id of the call's record), `model`, `tags`, `meter` (the innermost one).

    Attributes:
        raise_error: raise the handler's exceptions to the caller; otherwise they are logged once.
    """

    raise_error: bool = False

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[Any]], **kwargs: Unpack[_Every]
    ) -> Any:
        """A chat starts; without this method, `on_llm_start` gets the messages as text."""

    def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], **kwargs: Unpack[_Every]) -> Any:
        """A call starts."""

    def on_llm_new_token(self, token: str, **kwargs: Unpack[_OfToken]) -> Any:
        """A piece of a streamed answer has arrived; keywords `kind` (see `Delta`) and `choice`."""

    def on_llm_end(self, response: Call, **kwargs: Unpack[_OfEnd]) -> Any:
        """A call ended, at its end or because its reader closed it; see `response.outcome`."""

    def on_llm_error(self, error: BaseException, **kwargs: Unpack[_OfError]) -> Any:
        """A call failed or was cancelled; keyword `response` has its record."""


class AsyncCallbackHandler(CallbackHandler):
    """A handler with `async def` methods; awaited on async calls, run to their end on sync ones."""

    async def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[Any]], **kwargs: Unpack[_Every]
    ) -> Any:
        """A chat starts; without this method, `on_llm_start` gets the messages as text."""

    async def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], **kwargs: Unpack[_Every]) -> Any:
        """A call starts."""

    async def on_llm_new_token(self, token: str, **kwargs: Unpack[_OfToken]) -> Any:
        """A piece of a streamed answer has arrived; keywords `kind` (see `Delta`) and `choice`."""

    async def on_llm_end(self, response: Call, **kwargs: Unpack[_OfEnd]) -> Any:
        """A call ended, at its end or because its reader closed it; see `response.outcome`."""

    async def on_llm_error(self, error: BaseException, **kwargs: Unpack[_OfError]) -> Any:
        """A call failed or was cancelled; keyword `response` has its record."""
