"""A provider as a row: who is paid, on which hosts, through which apis and SDKs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from token_meter.providers.api import Api
from token_meter.providers.stainless import read_options
from token_meter.transports.ports import PlannedCall
from token_meter.wire import HeaderReader


class Gate(NamedTuple):
    """Where an SDK's call passes once, outside of its retries: there a budget refuses, and the caller sees it.

    Attributes:
        module: the full name of the module that holds the classes.
        sync_class: the class whose *method* is a plain function; `None` where there is none.
        async_class: the class whose *method* is a coroutine function; `None` where there is none.
        method: the method that is one logical call.
        read: reads where a call goes, and its body, from `(client, args, kwargs)` of *method*.
    """

    module: str
    sync_class: str | None = "SyncAPIClient"
    async_class: str | None = "AsyncAPIClient"
    method: str = "request"
    read: Callable[[Any, tuple[Any, ...], dict[str, Any]], PlannedCall] = read_options


class Provider(NamedTuple):
    """One provider of models.

    Attributes:
        id: as it stands in records and price books: `openai`, `anthropic`, ...
        hosts: hosts that are this provider's; `*` stands for any part of a name.
        apis: its wire formats. One provider's api may be spoken by many hosts: a path counts on any host, unless the
            api needs a sign.
        free: paths on its hosts that cost nothing when posted to (files, token counts), without a leading version
            such as `v1/`; `*` stands for any part of a segment, `**` for anything.
            Only what is posted costs money.
        marks: names of request headers that only this provider's SDKs send, in small letters.
        gates: where the calls of its SDKs pass.
        read_headers: adds to the reading of an answer from one of its hosts, by any api, what the answer's headers say.
    """

    id: str
    hosts: tuple[str, ...] = ()
    apis: tuple[Api, ...] = ()
    free: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    gates: tuple[Gate, ...] = ()
    read_headers: HeaderReader | None = None
