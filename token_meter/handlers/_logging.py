"""Writes a log record for each call through the standard `logging`."""

from __future__ import annotations

import logging
from typing import Any

from token_meter.handlers._record import Recorder, is_failure, line
from token_meter.types import Call


class LoggingHandler(Recorder):
    """One log record for each finished call: a line as message, and all fields as the record's attribute `llm_call`.

    Args:
        logger: the logger; default: `token_meter.calls`.
        level: the level of calls that succeeded; failed ones are at least warnings.
        include_text: also put the prompt and the answer into `llm_call`.
    """

    def __init__(
        self, logger: logging.Logger | None = None, level: int = logging.INFO, *, include_text: bool = False
    ) -> None:
        super().__init__(include_text=include_text)
        self.logger = logger if logger is not None else logging.getLogger("token_meter.calls")
        self.level = level

    def _write(self, call: Call, record: dict[str, Any]) -> None:
        level = max(self.level, logging.WARNING) if is_failure(call) else self.level
        self.logger.log(level, "%s", line(call), extra={"llm_call": record})
