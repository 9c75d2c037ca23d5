"""All errors and warnings, in one tree with one base each.

TokenMeterError
 ├─ BudgetExceededError    a call was refused before it was sent
 │   └─ UnpricedModelError its model has no price, so that a cost limit cannot be enforced
 ├─ BudgetStoreError       the store of a shared budget does not answer, or has lost what it knew
 ├─ LLMCallError           a call failed without an exception: passed to on_llm_error, never raised
 ├─ LedgerError            a ledger or report file cannot be read
 └─ ConfigError            an option, limit or price file is not valid (also a ValueError)
TokenMeterWarning
 ├─ UnpricedWarning        tokens were counted whose price is unknown
 ├─ BlindSpotWarning       some calls cannot be seen
 └─ BudgetWarning          a budget is nearly spent, or exceeded with on_exceed="warn"
"""

from __future__ import annotations

from typing import Any


class TokenMeterError(Exception):
    """Base of every error that token_meter raises."""


class BudgetExceededError(TokenMeterError):
    """A call was refused before it was sent, because it could exceed a limit of an open meter.

    Attributes:
        meter: the meter with the limit (the outermost one, if several); `None` in another process.
        field: `cost`, `tokens` or `calls`.
        limit: the limit, in US dollars (`Decimal`), tokens or calls.
        spent: what finished calls have used of it.
        reserved: what calls in flight may still use of it.
        wanted: what the refused call could have used; `None` if that cannot be estimated.
    """

    def __init__(
        self,
        message: str,
        *,
        meter: Any = None,
        field: str = "",
        limit: Any = None,
        spent: Any = None,
        reserved: Any = None,
        wanted: Any = None,
    ) -> None:
        super().__init__(message)
        self.meter = meter
        self.field = field
        self.limit = limit
        self.spent = spent
        self.reserved = reserved
        self.wanted = wanted

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickles and copies have the numbers only, because a meter belongs to its process.
        numbers = {name: getattr(self, name) for name in ("field", "limit", "spent", "reserved", "wanted")}
        return type(self), self.args, numbers


class UnpricedModelError(BudgetExceededError):
    """A call was refused because its model has no price and a cost limit is set."""


class BudgetStoreError(TokenMeterError):
    """A call was refused because the store of a shared budget does not answer, or has lost what it knew.

    It is no `BudgetExceededError`: whether the call would have fitted is not known.
    """


class LLMCallError(TokenMeterError):
    """A call failed by its status, or by an error inside its answer. It is passed to handlers and never raised.

    Attributes:
        status: the HTTP status.
        kind: `HTTP 429`, or the type of the error in the answer; never the answer itself.
    """

    def __init__(self, status: int | None, kind: str | None) -> None:
        super().__init__(kind or f"HTTP {status}")
        self.status = status
        self.kind = kind

    @classmethod
    def of(cls, call: Any) -> LLMCallError:
        """The error of a failed call."""
        return cls(call.status, call.error)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.kind)


class LedgerError(TokenMeterError):
    """A ledger or a report cannot be read."""


class ConfigError(TokenMeterError, ValueError):
    """An option, a limit or a price file is not valid."""


class TokenMeterWarning(UserWarning):
    """Base of every warning that token_meter issues."""


class UnpricedWarning(TokenMeterWarning):
    """Tokens were counted whose price is not known."""


class BlindSpotWarning(TokenMeterWarning):
    """Some calls cannot be seen, because a library cannot be observed or our patches were removed."""


class BudgetWarning(TokenMeterWarning):
    """A budget is nearly spent, or exceeded with `on_exceed="warn"`."""
