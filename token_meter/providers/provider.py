"""The types of a provider: its hosts, its apis, and the gates of its SDKs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from token_meter.providers.api import Api
from token_meter.providers.rpc import Rpc
from token_meter.providers.stainless import read_options
from token_meter.transports.ports import PlannedCall
from token_meter.wire import HeaderReader


class Gate(NamedTuple):
    """An SDK's method that each call passes once, outside of its retries. A refusal raised there reaches the caller.

    Attributes:
        module: the full name of the module that holds the classes.
        sync_class: the class whose *method* is a plain function; `None` where there is none.
        async_class: the class whose *method* is a coroutine function; `None` where there is none.
        method: the method that is one logical call.
        read: reads the destination and the body of a call from `(client, args, kwargs)` of *method*.
        counts_attempts: the SDK's requests carry no number of their attempt, so that the gate counts them.
        has_stubs: the SDK lets a stub answer without a request, so that a call without one was not missed.
        again: the argument by which *method* calls itself for a retry.
    """

    module: str
    sync_class: str | None = "SyncAPIClient"
    async_class: str | None = "AsyncAPIClient"
    method: str = "request"
    read: Callable[[Any, tuple[Any, ...], dict[str, Any]], PlannedCall] = read_options
    counts_attempts: bool = False
    has_stubs: bool = False
    again: str = ""


class Provider(NamedTuple):
    """One provider of models.

    Attributes:
        id: its id in records and price books: `openai`, `anthropic`, ...
        hosts: its hosts; `*` matches any part of a name.
        apis: its wire formats. Others serve the same, so their paths count on any host, unless an api needs a sign.
        free: paths on its hosts to which a POST costs nothing (files, token counts), without a leading version such as
            `v1/`; `*` matches any part of a segment, `**` any number of segments. Other methods than POST are free.
        marks: request headers that only its SDKs send, in lower case; after a colon and a space the start of the value.
        gates: the gates of its SDKs.
        rpcs: its methods over gRPC.
        read_headers: adds what the answer's headers report to the reading of an answer from one of its hosts.
        parts_of: the objects by which an SDK's client sends, if that is not itself; none for somebody else's client.
        states_usd: its answers state what a call cost, in US dollars. The amount of any other host is not believed.
    """

    id: str
    hosts: tuple[str, ...] = ()
    apis: tuple[Api, ...] = ()
    free: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    gates: tuple[Gate, ...] = ()
    rpcs: tuple[Rpc, ...] = ()
    read_headers: HeaderReader | None = None
    states_usd: bool = False
    parts_of: Callable[[Any], tuple[Any, ...]] | None = None
