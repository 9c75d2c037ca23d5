"""What guardrails of Bedrock leave in a request and its answer: they are billed by units of text, beside the tokens.

How many units a policy took, an answer tells where its trace was asked for (`GuardrailUsage`, botocore 1.43, 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from token_meter.providers.asked import holds, with_open
from token_meter.types import Usage
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader
from token_meter.wire.safe_access import objects

GUARD_MARKS = (b'"guardrail"', b"guardrail_intervened", b"amazon-bedrock-guardrailAction")
_GUARDRAIL = "guardrail"
_ACTION, _TRACE = "amazon-bedrock-guardrailAction", "amazon-bedrock-trace"
_FREE = frozenset({"wordPolicyUnits", "sensitiveInformationPolicyFreeUnits"})
"""Filters of words and of patterns (https://aws.amazon.com/bedrock/pricing/, guardrails, as quoted 2026-06)."""


def asked_guard(usage: Usage, request: bytes) -> Usage:
    """*usage* of a request with a guardrail, whose answer says nothing of it."""
    if not holds(request, b'"guardrailConfig"') or any(name.startswith(_GUARDRAIL) for name, _ in usage.fees or ()):
        return usage
    return with_open(usage, _GUARDRAIL)


def guarded(events: Sequence[Object]) -> dict[str, Any]:
    """The units that guardrails took, by policy; `guardrail` where there was one that does not tell them."""
    found: dict[str, Any] = {}
    numbers = NumberReader()
    is_seen = False
    for event in events:
        trace = _trace_of(event)
        is_seen = is_seen or bool(trace) or event.get("stopReason") == "guardrail_intervened" or _ACTION in event
        for usage in _usages(trace):
            for name, value in usage.items():
                if name.endswith("Units") and name not in _FREE and (count := numbers.count(value)):
                    policy = f"{_GUARDRAIL} {name.removesuffix('Units')}"
                    found[policy] = found.get(policy, 0) + count
    return found if found or not is_seen else {_GUARDRAIL: None}


def _trace_of(event: Object) -> Object:
    """The guardrail's part of a trace: of a conversation, of the last event of its stream, of an invocation."""
    metadata = event.get("metadata")
    places = (event.get("trace"), metadata.get("trace") if isinstance(metadata, dict) else None, event.get(_TRACE))
    for trace in objects([*places]):
        found = trace.get("guardrail")
        if isinstance(found, dict):
            return found
    return {}


def _usages(trace: Object) -> Iterator[Object]:
    """What each assessment says it used."""
    for side in objects([*trace.values()]) if trace else ():
        for one in side.values():
            for assessment in objects(one if isinstance(one, list) else [one]):
                metrics = assessment.get("invocationMetrics")
                usage = metrics.get("usage") if isinstance(metrics, dict) else None
                if isinstance(usage, dict):
                    yield usage
