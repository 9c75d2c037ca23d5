"""The estimates, called by an api's name, as the rows of tests have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from token_meter import estimate
from token_meter.estimate import CountingRules, Estimate
from token_meter.providers import api_named
from token_meter.types import Answer


def rules_of(api: str) -> CountingRules:
    load = api_named(api).rules
    assert load is not None, api
    return load()


def prompt_tokens(api: str, request: Mapping[str, Any], model: str | None = None) -> Estimate:
    return estimate.prompt_tokens(rules_of(api), request, model)


def estimate_usage(api: str, request: bytes | None, answer: Answer, model: str | None) -> Estimate:
    return estimate.estimate_usage(rules_of(api), request, answer, model)


def reserve_tokens(api: str, request: bytes) -> tuple[int | None, int | None]:
    return estimate.reserve_tokens(rules_of(api), request)


def output_cap(api: str, request: Mapping[str, Any]) -> int | None:
    return rules_of(api).output_cap(request)
