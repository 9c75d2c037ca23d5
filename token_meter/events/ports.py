"""The Protocols of events: a handler that hears of them, and an attempt as their dispatcher uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from token_meter.context.endpoint import Endpoint
    from token_meter.context.ports import Recipient
    from token_meter.types import Call
    from token_meter.wire import RequestInfo


class ToldAttempt(Protocol):
    """The attempt whose events are dispatched."""

    @property
    def endpoint(self) -> Endpoint:
        """Its endpoint."""

    @property
    def meters(self) -> tuple[Recipient, ...]:
        """The meters that count it."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Their labels."""

    def request_says(self) -> RequestInfo:
        """The options of its request."""

    def request_body(self) -> bytes:
        """The request body; empty after the call ended."""

    def dismiss(self) -> None:
        """Discard a call that was never sent."""

    def failed(self, error: BaseException, *, was_sent: bool) -> None:
        """End the attempt with an exception."""


class Handler(Protocol):
    """Receives the events of calls: any object with some of these methods, sync or `async def`.

    Names and first arguments are LangChain's. Keyword arguments: `run_id` (the call's id), `model`, `tags`, `meter`.
    """

    def on_chat_model_start(self, serialized: Mapping[str, Any], messages: list[list[Any]], **kwargs: Any) -> Any:
        """A chat call starts; without this method, `on_llm_start` is called instead."""

    def on_llm_start(self, serialized: Mapping[str, Any], prompts: list[str], **kwargs: Any) -> Any:
        """A call starts."""

    def on_llm_new_token(self, token: str, **kwargs: Any) -> Any:
        """A piece of a streamed answer has arrived."""

    def on_llm_end(self, response: Call, **kwargs: Any) -> Any:
        """A call ended."""

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> Any:
        """A call failed."""
