"""Ready-made handlers, and base classes for your own.

A handler is any object with some of the `on_llm_*` methods, or a function that takes a finished call.
"""

from __future__ import annotations

from token_meter.handlers._base import AsyncCallbackHandler, CallbackHandler
from token_meter.handlers._file import FileHandler
from token_meter.handlers._logging import LoggingHandler
from token_meter.handlers._stdout import StdOutHandler

__all__ = ["AsyncCallbackHandler", "CallbackHandler", "FileHandler", "LoggingHandler", "StdOutHandler"]
