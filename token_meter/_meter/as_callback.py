"""A meter where LangChain expects one of its callbacks."""

from __future__ import annotations

from typing import Self


class AsCallback:
    """The part of a meter that answers as a handler of LangChain does, and handles nothing."""

    # LangChain programs may pass their counter as `callbacks=[cb]` too. LangChain then finds a handler that ignores
    # every event, because the meter already counts the requests.
    ignore_llm = ignore_chat_model = ignore_chain = ignore_agent = ignore_retriever = True
    ignore_retry = ignore_custom_event = True
    raise_error = run_inline = False
    always_verbose = True

    def __copy__(self) -> Self:
        return self  # LangChain copies its configuration, which must refer to the same counter

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def on_text(self, *args: object, **kwargs: object) -> None:
        """Do nothing. This is the only event of LangChain without an `ignore_...` attribute."""
