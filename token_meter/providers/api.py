"""The type of one wire format: its paths, the properties of its calls, and the layout of its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from token_meter.estimate.rules import CountingRules
from token_meter.providers.jobs import Job
from token_meter.providers.sockets import SocketDialect, SocketPlace
from token_meter.types import Usage
from token_meter.wire.format import NO_FORMAT, Format


class Api(NamedTuple):
    """One api of a provider.

    Attributes:
        name: its name in records: `chat`, `messages`, `embeddings`, ...
        format: the layout of its answers.
        paths: suffixes of the POST paths that create an answer; `{}` is any one segment, `{model}` is the model. A
            `v1` in front of a common word distinguishes it, and is part of the prefix.
        retrieves: `(method, suffix)` of the paths that retrieve an answer that was created before.
        sockets: suffixes of its websocket paths, whose method is `WS`.
        socket: loads and makes the dialect of one connection to such a path.
        is_metered: its answers may report usage.
        asked_usage: what the request alone says was used, for an answer that does not: speech is billed by its text.
        asked_fees: each adds to the usage what the request shows of the bill, and its answer may not.
        job: what sets its calls apart, where one is a job that is paid and ends later.
        is_free: the provider does not bill its calls.
        is_chat: the start of its calls is the event `on_chat_model_start`.
        runs_in_background: its calls always continue after the first answer.
        may_run_in_background: its calls continue after the first answer if the request asks for that.
        can_request_stream_usage: a stream reports usage only if the request has `stream_options.include_usage`.
        others_fees: only services that speak this api beside its provider state fees in its answers.
        rules: loads the rules that count its tokens from request and answer; `None` where none are known.
        needs_sign: other services use its paths too, so that they count only on a known host or with a mark of the
            provider's SDK.
    """

    name: str
    format: Format = NO_FORMAT
    paths: tuple[str, ...] = ()
    retrieves: tuple[tuple[str, str], ...] = ()
    sockets: tuple[str, ...] = ()
    socket: Callable[[SocketPlace], SocketDialect] | None = None
    is_metered: bool = True
    asked_usage: Callable[[bytes], Usage | None] | None = None
    asked_fees: tuple[Callable[[Usage, bytes], Usage], ...] = ()
    job: Job | None = None
    is_free: bool = False
    is_chat: bool = False
    runs_in_background: bool = False
    may_run_in_background: bool = False
    can_request_stream_usage: bool = False
    needs_sign: bool = False
    others_fees: bool = False
    rules: Callable[[], CountingRules] | None = None
