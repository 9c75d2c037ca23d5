"""Google's Live API: `BidiGenerateContent` on a websocket, of which each turn of the model is a call.

Its messages are handed on as events of `streamGenerateContent`, which they resemble: see `live_messages.py`.
"""

from __future__ import annotations

from token_meter.estimate.rules import CountingRules
from token_meter.providers.api import Api
from token_meter.providers.google.generate_content import GENERATE_CONTENT
from token_meter.providers.sockets import SocketDialect, SocketPlace
from token_meter.wire.format import no_parts

_VERSIONS = ("v1", "v1alpha", "v1beta", "v1beta1")


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.google import counting

    return counting.LIVE


def _open_socket(place: SocketPlace) -> SocketDialect:
    """Loaded with the first connection: most programs open none."""
    from token_meter.providers.google.live_messages import Dialect

    return Dialect(place)


# The paths of google-genai 3.6, `Constrained` with a short-lived token (2026-11).
LIVE = Api(
    "bidi_generate_content",
    # What is spoken is not looked at, so that an answer of 0 tokens cannot be doubted by it: see `live_messages.py`.
    GENERATE_CONTENT.format._replace(framing=None, body_parts=no_parts),
    sockets=(
        *(
            f"google.ai.generativelanguage.{version}.GenerativeService.{method}"
            for version in _VERSIONS
            for method in ("BidiGenerateContent", "BidiGenerateContentConstrained")
        ),
        *(f"google.cloud.aiplatform.{version}.LlmBidiService/BidiGenerateContent" for version in _VERSIONS),
    ),
    socket=_open_socket,
    is_chat=True,
    rules=_rules,
)
