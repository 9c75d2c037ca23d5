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

from token_meter._seams._modules import ModuleSeam
from token_meter._seams._observer import Observer
from token_meter.exceptions import BlindSpotWarning


class Gate(Protocol):
    """One logical call between the gate and its return; stands in the context variable meanwhile.

    Attributes:
        deferred: what shall be raised instead of the answer, once the SDK is done with the call.
    """

    deferred: BaseException | None

    def leave(self) -> None:
        """The call returned, or raised. Never raises."""


class Keeper(Protocol):
    """Who decides whether a call may leave."""

    def enter(self, client: Any, options: Any) -> Gate | None:
        """Let a call in, or raise the refusal and nothing else; `None` when nobody cares."""


class GateSeam(ModuleSeam):
    """Patches `SyncAPIClient.request` and `AsyncAPIClient.request`, also when openai is imported later."""

    modules = ("openai._base_client",)  # by its full name: `openai._client` is also the name of a variable

    def __init__(self, chain: contextvars.ContextVar[tuple[Any, ...]], observer: Observer, keeper: Keeper) -> None:
        super().__init__(chain, observer)
        self._keeper = keeper

    def _patch_module(self, module: ModuleType) -> None:
        try:
            self._patches.put(module.SyncAPIClient, "request", self._sync)
            self._patches.put(module.AsyncAPIClient, "request", self._async)
        except Exception as error:
            self._observer.internal_error("install gate")
            package = sys.modules.get("openai")
            msg = (
                f"token_meter cannot stop calls of openai {getattr(package, '__version__', '')} before they leave "
                f"({type(error).__name__}: {error}). Budgets then refuse at the HTTP client, which the SDK may retry "
                "and report as a connection error; a newer token_meter may know this version."
            )
            warnings.warn(msg, BlindSpotWarning, stacklevel=2)

    def _sync(self, original: Callable[..., Any]) -> Callable[..., Any]:
        chain, observer, keeper = self._chain, self._observer, self._keeper

        # The signature differs between versions (1.58 has `remaining_retries` in third place).
        @wraps(original)
        def request(client: Any, /, *args: Any, **kwargs: Any) -> Any:
            current = chain.get()
            if not (current or observer.is_listening) or not self._live:
                return original(client, *args, **kwargs)
            gate = keeper.enter(client, _options(args, kwargs))
            if gate is None:
                return original(client, *args, **kwargs)
            chain.set((*current, gate))
            try:
                answer = original(client, *args, **kwargs)
            except Exception as error:
                if gate.deferred is None or gate.deferred is error:
                    raise
                raise gate.deferred from error
            finally:
                _take_out(chain, gate)
                gate.leave()
            if gate.deferred is not None:
                raise gate.deferred
            return answer

        return request

    def _async(self, original: Callable[..., Any]) -> Callable[..., Any]:
        chain, observer, keeper = self._chain, self._observer, self._keeper

        @wraps(original)
        async def request(client: Any, /, *args: Any, **kwargs: Any) -> Any:
            current = chain.get()
            if not (current or observer.is_listening) or not self._live:
                return await original(client, *args, **kwargs)
            gate = keeper.enter(client, _options(args, kwargs))
            if gate is None:
                return await original(client, *args, **kwargs)
            chain.set((*current, gate))
            try:
                answer = await original(client, *args, **kwargs)
            except Exception as error:
                if gate.deferred is None or gate.deferred is error:
                    raise
                raise gate.deferred from error
            finally:
                _take_out(chain, gate)
                gate.leave()
            if gate.deferred is not None:
                raise gate.deferred
            return answer

        return request


def _options(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The request's options: second argument of `request` in every version."""
    return args[1] if len(args) > 1 else kwargs.get("options")


def _take_out(chain: contextvars.ContextVar[tuple[Any, ...]], gate: Gate) -> None:
    """Take *gate* out by identity: meanwhile others may have come and gone, or the context be a foreign one."""
    current = chain.get()
    if current and current[-1] is gate:
        chain.set(current[:-1])
    elif any(entry is gate for entry in current):
        chain.set(tuple(entry for entry in current if entry is not gate))
