"""What the LangChain programs share: the lesson's model, token counts without a download, and quiet. It knows no meter.

LangChain asks tiktoken how long a history is, and tiktoken fetches its vocabulary from the network. The counts here
come from the vocabularies that token_meter brings along.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from _service import Service
from langchain_core._api import LangChainDeprecationWarning
from langchain_core.messages import BaseMessage, get_buffer_string
from langchain_openai import ChatOpenAI, OpenAI

from token_meter.estimate import count_text


def hush() -> None:
    """Say nothing about the lesson's classes: they are deprecated, and they are what these programs are about."""
    warnings.filterwarnings("ignore", category=LangChainDeprecationWarning)


def count_messages(messages: list[BaseMessage], model: str) -> int:
    """Tokens of a history, as LangChain counts it for a text model: each message with its `Human:` or `AI:`."""
    return sum(count_text(get_buffer_string([message]), model).tokens for message in messages)


class TextModel(OpenAI):
    """The lesson's `OpenAI`. For this class `custom_get_token_ids=` would do as well; `ChatOpenAI` ignores that."""

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        return count_messages(messages, self.model_name)


class ChatModel(ChatOpenAI):
    """A `ChatOpenAI` in its place."""

    def get_num_tokens_from_messages(
        self, messages: Sequence[BaseMessage], tools: Sequence[Any] | None = None, **kwargs: Any
    ) -> int:
        return count_messages(list(messages), self.model_name)


def lesson_model(service: Service, **options: Any) -> TextModel | ChatModel:
    """The lesson's model; where the text endpoint is gone, a chat model."""
    options = {"model": service.text_model, "temperature": 0.5, "max_tokens": 256, **service.where(), **options}
    return TextModel(**options) if "instruct" in service.text_model else ChatModel(**options)
