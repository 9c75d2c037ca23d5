"""The readers, called by an api's name, as the rows of tests have it."""

from __future__ import annotations

from token_meter import wire
from token_meter.providers import PROVIDERS, api_named
from token_meter.types import Answer, Reading

APIS = sorted(PROVIDERS.apis)


def read_body(api: str, body: bytes) -> Reading:
    return wire.read_body(api_named(api).format, body)


def read_answer(api: str, body: bytes) -> Answer:
    return wire.read_answer(api_named(api).format, body)


def StreamReader(api: str) -> wire.StreamReader:  # as the class is called
    return wire.StreamReader(api_named(api).format)


def DeltaReader(api: str) -> wire.DeltaReader:
    return wire.DeltaReader(api_named(api).format)
