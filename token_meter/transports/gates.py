"""Where a call can still be refused: `request` of openai's base clients. It knows no limits and no tokens.

`request` is entered once a logical call, outside the SDK's retry loop. What is raised here reaches the caller as it
is; up to openai 2 whatever is raised further in, by `send`, is retried and comes out as an `APIConnectionError`.
"""

from __future__ import annotations

import contextvars
import sys
import warnings
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any, Protocol

from token_meter.exceptions import BlindSpotWarning
from token_meter.patching.module_patch import ModuleSeam
from token_meter.transports.ports import Runtime


class CallTicket(Protocol):
    """One logical call between the gate and its return; stands in the context variable meanwhile.

    Attributes:
        deferred: what shall be raised instead of the answer, once the SDK is done with the call.
    """

    deferred: BaseException | None

    def leave(self) -> None:
        """The call returned, or raised. Never raises."""


class Admission(Protocol):
    """Who decides whether a call may leave."""

    def enter(self, client: Any, options: Any) -> CallTicket | None:
        """Let a call in, or raise the refusal and nothing else; `None` when nobody cares."""


class GateSeam(ModuleSeam):
    """Patches `SyncAPIClient.request` and `AsyncAPIClient.request`, also when openai is imported later."""

    modules = ("openai._base_client",)  # by its full name: `openai._client` is also the name of a variable

    def __init__(self, stack: contextvars.ContextVar[tuple[Any, ...]], runtime: Runtime, admission: Admission) -> None:
        super().__init__(stack, runtime)
        self._admission = admission

    def _patch_module(self, module: ModuleType) -> None:
        try:
            self._patches.put(module.SyncAPIClient, "request", self._sync)
            self._patches.put(module.AsyncAPIClient, "request", self._async)
        except Exception as error:
            self._runtime.internal_error("install gate")
            package = sys.modules.get("openai")
            msg = (
                f"token_meter cannot stop calls of openai {getattr(package, '__version__', '')} before they leave "
                f"({type(error).__name__}: {error}). Budgets then refuse at the HTTP client, which the SDK may retry "
                "and report as a connection error; a newer token_meter may know this version."
            )
            warnings.warn(msg, BlindSpotWarning, stacklevel=2)

    def _sync(self, original: Callable[..., Any]) -> Callable[..., Any]:
        stack, runtime, admission = self._stack, self._runtime, self._admission

        # The signature differs between versions (1.58 has `remaining_retries` in third place).
        @wraps(original)
        def request(client: Any, /, *args: Any, **kwargs: Any) -> Any:
            current = stack.get()
            if not (current or runtime.is_listening) or not self._live:
                return original(client, *args, **kwargs)
            ticket = admission.enter(client, _options(args, kwargs))
            if ticket is None:
                return original(client, *args, **kwargs)
            stack.set((*current, ticket))
            try:
                answer = original(client, *args, **kwargs)
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

    def _async(self, original: Callable[..., Any]) -> Callable[..., Any]:
        stack, runtime, admission = self._stack, self._runtime, self._admission

        @wraps(original)
        async def request(client: Any, /, *args: Any, **kwargs: Any) -> Any:
            current = stack.get()
            if not (current or runtime.is_listening) or not self._live:
                return await original(client, *args, **kwargs)
            ticket = admission.enter(client, _options(args, kwargs))
            if ticket is None:
                return await original(client, *args, **kwargs)
            stack.set((*current, ticket))
            try:
                answer = await original(client, *args, **kwargs)
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


def _options(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The request's options: second argument of `request` in every version."""
    return args[1] if len(args) > 1 else kwargs.get("options")


def _take_out(stack: contextvars.ContextVar[tuple[Any, ...]], ticket: CallTicket) -> None:
    """Take *ticket* out by identity: meanwhile others may have come and gone, or the context be a foreign one."""
    current = stack.get()
    if current and current[-1] is ticket:
        stack.set(current[:-1])
    elif any(entry is ticket for entry in current):
        stack.set(tuple(entry for entry in current if entry is not ticket))
