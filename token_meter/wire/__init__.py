"""What the bytes say: bytes in, `Reading` out. It knows no provider, no HTTP library and no price."""

from __future__ import annotations

from token_meter.wire.asked import asked_model
from token_meter.wire.deltas import DeltaReader
from token_meter.wire.events import is_events
from token_meter.wire.format import ContentPart, Format, HeaderReader, UsageLocation
from token_meter.wire.framing import Framing, aws_events, json_array, json_lines
from token_meter.wire.numbers import NumberReader, name_of
from token_meter.wire.readers import read_answer, read_body, read_headers, read_request
from token_meter.wire.request import RequestInfo
from token_meter.wire.stream import StreamReader

__all__ = [
    "ContentPart",
    "DeltaReader",
    "Format",
    "Framing",
    "HeaderReader",
    "NumberReader",
    "RequestInfo",
    "StreamReader",
    "UsageLocation",
    "asked_model",
    "aws_events",
    "is_events",
    "json_array",
    "json_lines",
    "name_of",
    "read_answer",
    "read_body",
    "read_headers",
    "read_request",
]
