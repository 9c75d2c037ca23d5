"""Where a call can still be refused: the method of an SDK that is one logical call. It knows no limits and no tokens.

It is entered once a logical call, outside the SDK's retry loop. What is raised here reaches the caller as it is; up to
openai 2 whatever is raised further in, by `send`, is retried and comes out as an `APIConnectionError`.
"""

from __future__ import annotations

import contextvars
import sys
import warnings
from collections.abc import Callable, Iterable
from functools import partial, wraps
from types import ModuleType
from typing import Any

from token_meter._aside import aside
from token_meter.exceptions import BlindSpotWarning
from token_meter.transports.module_seam import ModuleSeam
from token_meter.transports.ports import Admission, GateRow, PlannedCall, Runtime, Ticket


class GateSeam(ModuleSeam):
    """Patches the method that is one logical call, in each SDK that *rows* names, also when it is imported later."""

    def __init__(
        self,
        stack: contextvars.ContextVar[tuple[Any, ...]],
        runtime: Runtime,
        admission: Admission,
        rows: Iterable[GateRow],
        missed: Callable[[PlannedCall, Any], None],
    ) -> None:
        self._rows: dict[str, tuple[GateRow, ...]] = {}
        for row in rows:
            self._rows[row.module] = (*self._rows.get(row.module, ()), row)
        self.modules = tuple(self._rows)
        super().__init__(stack, runtime)
        self._admission = admission
        self._missed = missed

    def _patch_module(self, module: ModuleType) -> None:
        for row in self._rows[module.__name__]:
            try:
                if row.sync_class is not None:
                    self._patches.put(getattr(module, row.sync_class), row.method, partial(self._sync, row))
                if row.async_class is not None:
                    self._patches.put(getattr(module, row.async_class), row.method, partial(self._async, row))
            except Exception as error:
                self._runtime.internal_error("install gate")
                name = row.module.partition(".")[0]
                package = sys.modules.get(name)
                msg = (
                    f"token_meter cannot stop calls of {name} {getattr(package, '__version__', '')} before they leave "
                    f"({type(error).__name__}: {error}). Budgets then refuse at the HTTP client, which the SDK may "
                    "retry and report as a connection error; a newer token_meter may know this version."
                )
                warnings.warn(msg, BlindSpotWarning, stacklevel=2)

    def _sync(self, row: GateRow, original: Callable[..., Any]) -> Callable[..., Any]:
        stack, runtime, admission, missed = self._stack, self._runtime, self._admission, self._missed
        concerns = partial(admission.concerns, counts_attempts=row.counts_attempts)

        # The signature differs between versions (1.58 has `remaining_retries` in third place).
        @wraps(original)
        def request(client: Any, /, *args: Any, **kwargs: Any) -> Any:
            current = stack.get()
            if not ((current or runtime.is_listening) and self._live and concerns(current)) or kwargs.get(row.again):
                return original(client, *args, **kwargs)
            call = row.read(client, args, kwargs)
            ticket = admission.enter(call)
            stack.set((*current, ticket))
            try:
                ticket.ask()
                answer = original(client, *args, **kwargs)
                if not (ticket.was_seen or row.has_stubs):
                    missed(call, ticket)
            except Exception as error:
                if ticket.deferred is None or ticket.deferred is error:
                    raise
                raise ticket.deferred from error
            finally:
                _take_out(stack, ticket)
                ticket.leave()
            if ticket.deferred is not None:
                raise ticket.deferred
            return answer

        return request

    def _async(self, row: GateRow, original: Callable[..., Any]) -> Callable[..., Any]:
        stack, runtime, admission, missed = self._stack, self._runtime, self._admission, self._missed
        concerns = partial(admission.concerns, counts_attempts=row.counts_attempts)

        @wraps(original)
        async def request(client: Any, /, *args: Any, **kwargs: Any) -> Any:
            current = stack.get()
            if not ((current or runtime.is_listening) and self._live and concerns(current)) or kwargs.get(row.again):
                return await original(client, *args, **kwargs)
            call = row.read(client, args, kwargs)
            slow = admission.slow_part(call)
            ticket = admission.enter(call) if slow is None else admission.enter(call, await aside(slow))
            stack.set((*current, ticket))
            try:
                await ticket.aask()
                answer = await original(client, *args, **kwargs)
                if not (ticket.was_seen or row.has_stubs):
                    missed(call, ticket)
            except Exception as error:
                if ticket.deferred is None or ticket.deferred is error:
                    raise
                raise ticket.deferred from error
            finally:
                _take_out(stack, ticket)
                await ticket.aleave()
            if ticket.deferred is not None:
                raise ticket.deferred
            return answer

        return request


def _take_out(stack: contextvars.ContextVar[tuple[Any, ...]], ticket: Ticket) -> None:
    """Take *gate* out by identity: meanwhile others may have come and gone, or the context be a foreign one."""
    current = stack.get()
    if current and current[-1] is ticket:
        stack.set(current[:-1])
    elif any(entry is ticket for entry in current):
        stack.set(tuple(entry for entry in current if entry is not ticket))
