"""What is known of a call before it is sent: who is paid for which model, and the tokens that it may use."""

from __future__ import annotations

import json
import re
from time import time
from typing import TYPE_CHECKING, NamedTuple

from token_meter import budget
from token_meter.types import Call, Usage
from token_meter.wire import read_request

if TYPE_CHECKING:
    from token_meter.context.endpoint import Endpoint

_CAPS = (
    b"max_completion_tokens", b"max_output_tokens", b"max_tokens", b"maxOutputTokens", b"max_new_tokens", b"maxTokens",
    b"num_predict", b"max_gen_len", b"maxTokenCount",
)  # fmt: skip

_VERSION = re.compile(r"(?:_\d+)+$")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


class CallForecast(NamedTuple):
    """What is known of a call before it is sent.

    Attributes:
        endpoint: the endpoint.
        model: the model in the request.
        service_tier: the tier in the request.
        prompt_tokens: tokens of the prompt; `None` when no rule can estimate them.
        output_tokens: the request's cap on its output, else `DEFAULT_OUTPUT_TOKENS`; `None` when no rule can estimate
            the output.
        cap: the request's name for its cap on its output; empty when it has none, `None` when none applies.
        asked: what the request itself tells of its usage, such as the characters to be spoken.
        tools: the tools that the request offers, by kind, where the size of the call is not known.
    """

    endpoint: Endpoint
    model: str | None
    service_tier: str | None
    prompt_tokens: int | None
    output_tokens: int | None
    cap: str | None = None
    tools: tuple[str, ...] = ()
    asked: Usage | None = None

    @property
    def is_free(self) -> bool:
        """Whether the provider does not bill this API."""
        return self.endpoint.route.api.is_free

    @property
    def tokens(self) -> int | None:
        """Prompt and output together; `None` when they cannot be estimated."""
        if self.is_free:
            return 0
        if self.prompt_tokens is None or self.output_tokens is None:
            return None
        return self.prompt_tokens + self.output_tokens

    def as_call(self, usage: Usage, tier: str | None) -> Call:
        """The call in the form that a price book takes."""
        endpoint = self.endpoint
        return Call(
            "", time(), 0.0, endpoint.host, endpoint.route.api.name, endpoint.route.model or self.model,
            usage=usage, service_tier=tier, base_url=endpoint.base_url,
        )  # fmt: skip

    @property
    def remedy(self) -> str:
        """What the caller can change so that the call may use less, for a message."""
        if not self.output_tokens or self.cap is None:
            return ""
        if self.cap:
            return f"give the call a smaller {self.cap}, "
        return f"limit its output ({self.output_tokens:,} tokens are reserved where a request sets no limit), "


def is_slow(endpoint: Endpoint, body: bytes) -> bool:
    """Whether to count the tokens of *body* would hold up an event loop."""
    if not body or endpoint.route.api.rules is None:
        return False
    from token_meter.estimate import is_quick

    return not is_quick(len(body), endpoint.route.model or read_request(body).model)


def foreseen(endpoint: Endpoint, body: bytes) -> CallForecast:
    """What the request tells."""
    api = endpoint.route.api
    if not body:
        return CallForecast(endpoint, None, None, None, None)
    from token_meter.estimate import reserve_tokens

    says = read_request(body)
    if api.rules is None:
        asked = None if api.asked_usage is None else api.asked_usage(body)
        return CallForecast(endpoint, says.model, None, None, None, asked=asked)
    prompt, limit = reserve_tokens(api.rules(), body)
    if prompt is None:
        return CallForecast(endpoint, says.model, says.service_tier, None, None, None, _tools_of(body))
    output = budget.DEFAULT_OUTPUT_TOKENS if limit is None else limit
    cap = "" if limit is None else next((name.decode() for name in _CAPS if b'"' + name + b'"' in body), None)
    return CallForecast(endpoint, says.model, says.service_tier, prompt, output, cap)


def _tools_of(body: bytes) -> tuple[str, ...]:
    """The kinds of tools in a request, as fees are named: `web_search` of `web_search_20250305` and of `webSearch`."""
    try:
        asked = json.loads(body)
        tools = [tool for tool in asked.get("tools") or () if isinstance(tool, dict)]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ()
    kinds = [kind for tool in tools for kind in ([tool["type"]] if isinstance(tool.get("type"), str) else tool)]
    return tuple(dict.fromkeys(_VERSION.sub("", _HUMP.sub("_", kind).lower()) for kind in kinds))
