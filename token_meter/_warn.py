"""Warnings at the line of the program that they concern: not ours, not the SDK's, not Python's own."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from types import FrameType
from typing import Any

from token_meter._text import WHERE_PRICES_GO
from token_meter.exceptions import UnpricedWarning

_log = logging.getLogger("token_meter")
_OURS = os.path.dirname(__file__) + os.sep
_PYTHONS = os.path.dirname(os.__file__) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def warn_unpriced(model: str, reason: str) -> None:
    """Say that tokens of a model have no price, and where one can be given, unless the reason says so itself."""
    advice = f"; give it in a price file ({WHERE_PRICES_GO}), or try a newer list: token-meter prices update"
    text = f"token_meter counted tokens of {model!r} whose price is {reason}"
    warn_user(text + (advice if " has no price for " in reason else ""), UnpricedWarning)


def warn_user(text: str, category: type[Warning], *, repeat: bool = False) -> None:
    """Issue a warning at the line of the user's program that led here. Raises nothing but the warning itself.

    With *repeat* an equal text at the same line is shown again, as two meters of one name may each have something to
    say; else Python shows it once.
    """
    frame = _users_frame()
    names: dict[str, Any] = {} if frame is None else frame.f_globals
    try:
        warnings.warn_explicit(
            text,
            category,
            filename="token_meter" if frame is None else frame.f_code.co_filename,
            lineno=1 if frame is None else frame.f_lineno,
            module=str(names.get("__name__") or "token_meter"),
            registry=None if repeat else names.setdefault("__warningregistry__", {}),
        )
    except Warning:
        raise  # a filter has made it an error
    except Exception:  # noqa: BLE001 - what shows warnings fails: a daemon has closed stderr, say
        _log.warning("token_meter: %s", text)


def tell_user(text: str, category: type[Warning]) -> None:
    """Issue a warning where none may raise, such as inside a call of an SDK: one that was made an error is logged."""
    try:
        warn_user(text, category)
    except Warning:
        _log.warning("token_meter: %s", text)


def _users_frame() -> FrameType | None:
    """The innermost frame of the program; where all of it is installed, the innermost that is not ours."""
    frame: FrameType | None = sys._getframe(2)
    outer = None
    while frame is not None:
        path = frame.f_code.co_filename
        if not path.startswith((_OURS, "<frozen")):
            outer = outer or frame
            if not path.startswith(_PYTHONS) and not any(part in path for part in _INSTALLED):
                return frame
        frame = frame.f_back
    return outer
