"""The readers as the rest of the house calls them: by a flavour's name, and they never raise."""

from __future__ import annotations

import logging

from token_meter._wire._answer import answer_of
from token_meter._wire._body import read_json
from token_meter._wire._events import is_events
from token_meter._wire._json import parse_object
from token_meter._wire._request import Asked, read_form_request, read_json_request
from token_meter._wire._routes import FLAVOURS, UNKNOWN
from token_meter._wire._sse import StreamReader
from token_meter.types import Answer, Reading

_log = logging.getLogger("token_meter")


def read_body(flavour: str, body: bytes) -> Reading:
    """Read a whole, decoded body: JSON, or events when it looks like them."""
    try:
        if not body.startswith(b"{") and is_events(body):
            return _streamed(flavour, body).finish()
        return read_json(FLAVOURS.get(flavour, UNKNOWN), body)
    except Exception as exc:  # noqa: BLE001 - the observer never harms the observed
        _log.warning("an answer could not be read: %s", type(exc).__name__)
        return Reading()


def read_answer(flavour: str, body: bytes) -> Answer:
    """What a whole, decoded body shows, for an estimate."""
    try:
        if is_events(body):
            return _streamed(flavour, body).answer()
        return answer_of(FLAVOURS.get(flavour, UNKNOWN), [], parse_object(body))
    except Exception as exc:  # noqa: BLE001 - the observer never harms the observed
        _log.warning("an answer could not be put together: %s", type(exc).__name__)
        return Answer()


def read_request(flavour: str, content: bytes) -> Asked:
    """What a request asks for."""
    try:
        return read_form_request(content) if content.startswith(b"--") else read_json_request(content)
    except Exception as exc:  # noqa: BLE001 - the observer never harms the observed
        _log.warning("a request could not be read: %s", type(exc).__name__)
        return Asked()


def _streamed(flavour: str, body: bytes) -> StreamReader:
    reader = StreamReader(flavour)
    reader.feed(body)
    return reader
