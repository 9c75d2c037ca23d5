"""What instruments and attributes are called, by convention: one table, and nothing else knows a name.

All of `gen_ai.*` is in development. Read 2026-11-27 in open-telemetry/semantic-conventions-genai: `current` is what
instrumentations of today write; `next` has the counters of PR 374, merged 2026-09-22; `openlit` is what OpenLIT's SDK
writes, which packaged dashboards of Grafana query. Where a convention has no name, ours stands: cost is in none of them
yet (PR 443 is open, whose names of span attributes are used).
"""

from __future__ import annotations

from typing import NamedTuple

from token_meter._text import suggestion
from token_meter.exceptions import ConfigError

OPT_IN = "gen_ai_latest_experimental"
"""In `OTEL_SEMCONV_STABILITY_OPT_IN`: the program wants what is coming."""


class Names(NamedTuple):
    """The names of one convention.

    Attributes:
        tokens: of the five counters of tokens, by the names of a meter's sums.
        cost, calls, unpriced, estimated, unmeasured: of the other counters.
        provider: of the attribute that says who is paid.
        modality: whether counters of tokens say which modality they count.
        token_histogram: of the histogram of tokens with `gen_ai.token.type`; `None` where there is one for each
            direction, `input_histogram` and `output_histogram`.
        cost_histogram: of the histogram of costs, if the convention has one.
    """

    tokens: dict[str, str]
    calls: str
    provider: str = "gen_ai.provider.name"
    modality: bool = False
    token_histogram: str | None = "gen_ai.client.token.usage"
    input_histogram: str = "gen_ai.client.inference.operation.input_tokens"
    output_histogram: str = "gen_ai.client.inference.operation.output_tokens"
    cost_histogram: str | None = None
    cost: str = "token_meter.cost"
    unpriced: str = "token_meter.unpriced_calls"
    estimated: str = "token_meter.estimated_calls"
    unmeasured: str = "token_meter.unmeasured_calls"
    duration: str = "gen_ai.client.operation.duration"


def _five(prefix: str) -> dict[str, str]:
    return {
        "prompt_tokens": f"{prefix}.input_tokens",
        "completion_tokens": f"{prefix}.output_tokens",
        "cached_tokens": f"{prefix}.cache_read.input_tokens",
        "cache_write_tokens": f"{prefix}.cache_write.input_tokens",
        "reasoning_tokens": f"{prefix}.reasoning.output_tokens",
    }


NAMES: dict[str, Names] = {
    # Today's token metric is a histogram, which sums cannot feed: the counters have names of their own.
    "current": Names(_five("token_meter.usage"), "token_meter.calls"),
    "next": Names(_five("gen_ai.client.inference.usage"), "token_meter.calls", modality=True, token_histogram=None),
    "openlit": Names(
        _five("gen_ai.usage") | {"reasoning_tokens": "gen_ai.usage.reasoning_tokens"},
        "gen_ai.total.requests",
        provider="gen_ai.system",
        cost_histogram="gen_ai.usage.cost",
    ),
}

OPERATIONS = {
    "completions": "text_completion",
    "messages": "chat",
    "responses": "chat",
}
"""Operations by api, where the convention has another word."""

PROVIDERS = {
    "aws": "aws.bedrock",
    "azure": "azure.ai.openai",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshotai": "moonshot_ai",
    "x-ai": "x_ai",
}
"""Providers, where the convention has another word."""

TOKEN_BUCKETS = tuple(float(4**n) for n in range(14))
DURATION_BUCKETS = tuple(0.01 * 2**n for n in range(14))
"""The boundaries that the conventions advise."""


def names_of(wanted: str | None, opted_in: str) -> Names:
    """The convention that was asked for; else what the environment says.

    Raises:
        ConfigError: there is no such convention.
    """
    if wanted is None:
        wanted = "next" if OPT_IN in opted_in.replace(" ", "").split(",") else "current"
    if wanted not in NAMES:
        msg = f"names must be one of {', '.join(NAMES)}, not {wanted!r}{suggestion(wanted, NAMES)}"
        raise ConfigError(msg)
    return NAMES[wanted]


def provider_name(provider: str | None, host: str | None) -> str | None:
    """A provider as the conventions call it; two have one name here and two there."""
    if provider == "google" and host is not None and "aiplatform" in host:
        return "gcp.vertex_ai"
    return None if provider is None else PROVIDERS.get(provider, provider)
