"""Whether a server answered, or what stands in for one: a mock, a program in this process, a cache, a simulator.

What a socket carried says so: answers of httpx and httpx2 have their `network_stream` (since httpcore 0.14), also
through transports that pass on to a real one. respx has no extensions, pytest-httpx 0.36 the HTTP version only.
It knows no meters and no bytes.
"""

from __future__ import annotations

from typing import Any

from token_meter.types import Source

SIMULATOR = "token-meter-simulator"
"""What our simulator calls itself in the header `server`."""
_STAND_INS = frozenset({"MockTransport", "ASGITransport", "WSGITransport"})
_NETWORK = frozenset({"HTTPTransport", "AsyncHTTPTransport"})


def stand_in(client: Any, response: Any, *, is_local: bool) -> Source | None:
    """Say what answered instead of a server; `None` where one did, or may have.

    Transports over another stack (aiohttp, curl) tell of no socket, as little as one made up for a test. A server
    dates its answers (RFC 9110, 6.6.1), and few people who make one up do: in doubt it was paid for.
    """
    if is_local and response.headers.get("server") == SIMULATOR:
        return "mock"
    extensions = getattr(response, "extensions", None) or {}
    carrier = extensions.get("network_stream")  # None of pook (2.1)
    if carrier is not None:
        return "mock" if _is_mockets(carrier) else None
    if _is_cached(extensions):
        return "replay"
    transport = _transport(client, response)
    if type(transport).__name__ in _NETWORK or is_stand_in(transport):
        return "mock"
    return None if "date" in response.headers else "mock"


def is_stand_in(transport: Any) -> bool:
    """Whether *transport* reaches no server by its kind."""
    return not _STAND_INS.isdisjoint(cls.__name__ for cls in type(transport).__mro__)


def _is_cached(extensions: Any) -> bool:
    """Whether hishel had the answer (`from_cache` until 0.1, `hishel_from_cache` in 1, `caching` in 2)."""
    kept = extensions.get("from_cache") or extensions.get("hishel_from_cache")
    return bool(kept or getattr(extensions.get("caching"), "from_cache", False))


def _is_mockets(stream: Any) -> bool:
    """Whether a socket of mocket (3.15), which an event loop may wrap, has carried what mocket made up."""
    socket = stream.get_extra_info("socket") if hasattr(stream, "get_extra_info") else None
    return any(type(one).__module__.startswith("mocket.") for one in (socket, getattr(socket, "_sock", None)))


def _transport(client: Any, response: Any) -> Any:
    try:
        return client._transport_for_url(response.request.url)  # one of the client's mounts, maybe
    except Exception:
        return getattr(client, "_transport", None)
