"""One wire format of a provider as a row: its paths, what its calls are, how its answers are laid out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from token_meter.estimate.rules import CountingRules
from token_meter.providers.sockets import SocketDialect, SocketPlace
from token_meter.wire.format import NO_FORMAT, Format


class Api(NamedTuple):
    """One api of a provider.

    Attributes:
        name: as it stands in records: `chat`, `messages`, `embeddings`, ...
        format: how its answers are laid out.
        paths: suffixes of the POST paths that create; `{}` is any one segment, `{model}` names the model, and a
            `v1` that a common word needs before it belongs to the prefix.
        retrieves: `(method, suffix)` of the paths that ask again for what was created.
        sockets: suffixes of the paths of websockets, as if their method were `WS`.
        socket: loads and makes the dialect of one connection to such a path.
        is_metered: an answer may carry usage.
        is_free: the provider bills nothing for such calls.
        is_chat: handlers hear of its start by `on_chat_model_start`.
        runs_in_background: its calls go on after the answer, without having been asked to.
        may_run_in_background: its calls go on after the answer when the request asks for that.
        can_request_stream_usage: a stream tells its usage only when `stream_options.include_usage` asks for it.
        rules: loads the rules by which its tokens are counted from request and answer; `None` where none are known.
        needs_sign: others use its paths too: they count on a known host or with a mark of the provider's SDK only.
    """

    name: str
    format: Format = NO_FORMAT
    paths: tuple[str, ...] = ()
    retrieves: tuple[tuple[str, str], ...] = ()
    sockets: tuple[str, ...] = ()
    socket: Callable[[SocketPlace], SocketDialect] | None = None
    is_metered: bool = True
    is_free: bool = False
    is_chat: bool = False
    runs_in_background: bool = False
    may_run_in_background: bool = False
    can_request_stream_usage: bool = False
    needs_sign: bool = False
    rules: Callable[[], CountingRules] | None = None
