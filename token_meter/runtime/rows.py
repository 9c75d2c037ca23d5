"""What the hub asks of the providers: their methods over gRPC, and whose a request is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from token_meter.providers import PROVIDERS

if TYPE_CHECKING:
    from token_meter.context.endpoint import Endpoint
    from token_meter.context.scope import CallScope
    from token_meter.transports.ports import OutgoingRequest, RpcRow


def rpcs() -> tuple[RpcRow, ...]:
    """The methods over gRPC of all providers."""
    return tuple(rpc for provider in PROVIDERS.providers.values() for rpc in provider.rpcs)


def is_signed(endpoint: Endpoint, request: OutgoingRequest, scope: CallScope) -> bool:
    """Whether a request to a shared path is a provider's: by its host, its SDK's mark, or what a price book names."""
    return PROVIDERS.is_signed(endpoint.route.api, request.key[2], request.headers) or any(
        meter.knows_host(endpoint.base_url) for meter in scope.meters
    )
