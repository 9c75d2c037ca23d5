"""Where budgets are kept that processes or machines share: one rule, in SQLite and in Redis or Valkey."""

from token_meter.stores.memory import MemoryBudgetStore
from token_meter.stores.protocol import (
    Answer,
    AsyncBudgetStore,
    BudgetRow,
    BudgetStore,
    Charge,
    Exceeded,
    LeaseRequest,
    LeaseRow,
    Settlement,
    StoreAsk,
    StoreError,
    StoreState,
    Units,
    Window,
)

__all__ = [
    "Answer",
    "AsyncBudgetStore",
    "BudgetRow",
    "BudgetStore",
    "Charge",
    "Exceeded",
    "LeaseRequest",
    "LeaseRow",
    "MemoryBudgetStore",
    "Settlement",
    "StoreAsk",
    "StoreError",
    "StoreState",
    "Units",
    "Window",
]
