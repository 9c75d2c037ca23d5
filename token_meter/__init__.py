"""Put `with meter() as cb` around any Python code and read what its LLM calls cost.

PYTEST_DONT_REWRITE: `token-meter run` imports this package before pytest, which would warn that its asserts are not
rewritten; it has none.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it; `typing` would be nearly all that this import costs
if TYPE_CHECKING:
    from typing import Any

    from token_meter._defaults import configure
    from token_meter._meter import Meter, current, meter, unattributed, uninstall
    from token_meter._meter import meter as get_openai_callback
    from token_meter._meter.attach import Callbacks as callbacks
    from token_meter._meter.attach import attach, detach
    from token_meter.blind_spots import BlindSpot
    from token_meter.budget.shared import Budget
    from token_meter.context.ports import Sink
    from token_meter.events.ports import Handler
    from token_meter.exceptions import (
        BlindSpotWarning,
        BudgetExceededError,
        BudgetStoreError,
        BudgetWarning,
        ConfigError,
        LedgerError,
        LLMCallError,
        TokenMeterError,
        TokenMeterWarning,
        UnpricedModelError,
        UnpricedWarning,
    )
    from token_meter.forecast import estimate_cost
    from token_meter.handlers import AsyncCallbackHandler, CallbackHandler
    from token_meter.progress import track
    from token_meter.providers import Api, Gate, Provider, register, unregister
    from token_meter.stores import BudgetStore
    from token_meter.types import Call, Usage
    from token_meter.wire import Format

__version__ = "0.1.0"

_ROOMS = {
    "_defaults": ("configure",),
    "_meter": ("Meter", "current", "get_openai_callback", "meter", "unattributed", "uninstall"),
    "_meter.attach": ("attach", "callbacks", "detach"),
    "blind_spots": ("BlindSpot",),
    "budget.shared": ("Budget",),
    "context.ports": ("Sink",),
    "events.ports": ("Handler",),
    "forecast": ("estimate_cost",),
    "notebook": ("load_ipython_extension", "unload_ipython_extension"),
    "handlers": ("AsyncCallbackHandler", "CallbackHandler"),
    "progress": ("track",),
    "providers": ("Api", "Gate", "Provider", "register", "unregister"),
    "stores": ("BudgetStore",),
    "types": ("Call", "Usage"),
    "wire": ("Format",),
    "exceptions": (
        "BlindSpotWarning", "BudgetExceededError", "BudgetStoreError", "BudgetWarning", "ConfigError",
        "LLMCallError", "LedgerError", "TokenMeterError", "TokenMeterWarning", "UnpricedModelError", "UnpricedWarning",
    ),
}  # fmt: skip
"""The modules of the public names. Each is imported on first use, because every run of pytest imports this package."""
_OTHER_NAMES = {
    "callbacks": "Callbacks",
    "get_openai_callback": "meter",  # its name in LangChain
}

__all__ = [
    "Api",
    "AsyncCallbackHandler",
    "BlindSpot",
    "BlindSpotWarning",
    "Budget",
    "BudgetExceededError",
    "BudgetStore",
    "BudgetStoreError",
    "BudgetWarning",
    "Call",
    "CallbackHandler",
    "ConfigError",
    "Format",
    "Gate",
    "Handler",
    "LLMCallError",
    "LedgerError",
    "Meter",
    "Provider",
    "Sink",
    "TokenMeterError",
    "TokenMeterWarning",
    "UnpricedModelError",
    "UnpricedWarning",
    "Usage",
    "attach",
    "callbacks",
    "configure",
    "current",
    "detach",
    "estimate_cost",
    "get_openai_callback",
    "meter",
    "register",
    "track",
    "unattributed",
    "uninstall",
    "unregister",
]


def __getattr__(name: str) -> Any:
    """Import a public name, or a submodule that programs use without an import."""
    from importlib import import_module

    if name in ("exceptions", "handlers", "types"):
        return import_module(f"{__name__}.{name}")
    for room, names in _ROOMS.items():
        if name in names:
            found = getattr(import_module(f"{__name__}.{room}"), _OTHER_NAMES.get(name, name))
            globals()[name] = found
            return found
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
