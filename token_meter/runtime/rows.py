"""What the hub has of transports besides httpx, and what it asks of the providers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from token_meter.context.stack import ATTEMPT, CONTEXT_STACK
from token_meter.providers import PROVIDERS
from token_meter.runtime.blind import not_read
from token_meter.transports.aiohttp import AiohttpSeam
from token_meter.transports.botocore import BotocoreSeam
from token_meter.transports.grpc import GrpcSeam
from token_meter.transports.live_sockets import LiveSocketSeam
from token_meter.transports.requests import RequestsSeam
from token_meter.transports.translations import TranslationSeam

if TYPE_CHECKING:
    from token_meter.context.endpoint import Endpoint
    from token_meter.context.scope import CallScope
    from token_meter.transports.module_seam import ModuleSeam
    from token_meter.transports.ports import OutgoingRequest, RpcRow, Runtime
    from token_meter.transports.websockets import Line, Url


def carriers(runtime: Runtime) -> tuple[ModuleSeam, ...]:
    """The transports besides httpx, and what stands above them."""
    stacked = (seam(CONTEXT_STACK, runtime, ATTEMPT) for seam in (AiohttpSeam, RequestsSeam, BotocoreSeam))
    rpc = GrpcSeam(CONTEXT_STACK, runtime, ATTEMPT, rpcs, not_read)
    live = LiveSocketSeam(CONTEXT_STACK, runtime, partial(_line, runtime))
    return (*stacked, rpc, live, TranslationSeam(CONTEXT_STACK, runtime))


def _line(runtime: Runtime, url: Url, client: object) -> Line:
    """The calls of a websocket; the few programs that have one load what it takes."""
    from token_meter.call.websocket import Connection

    return Connection(runtime, url, client)


def rpcs() -> tuple[RpcRow, ...]:
    """The methods over gRPC of all providers."""
    return tuple(rpc for provider in PROVIDERS.providers.values() for rpc in provider.rpcs)


def is_signed(endpoint: Endpoint, request: OutgoingRequest, scope: CallScope) -> bool:
    """Whether a request to a shared path is a provider's: by its host, its SDK's mark, or what a price book names."""
    return PROVIDERS.is_signed(endpoint.route.api, request.key[2], request.headers) or any(
        meter.knows_host(endpoint.base_url) for meter in scope.meters
    )
