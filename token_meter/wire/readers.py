"""The readers as the rest of the house calls them: by an api's name, and they never raise."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from token_meter.types import Answer, Reading
from token_meter.wire.answer import answer_of
from token_meter.wire.body import read_objects
from token_meter.wire.events import is_events
from token_meter.wire.fees import with_fees
from token_meter.wire.form import read_form_request
from token_meter.wire.format import Format, HeaderReader
from token_meter.wire.framing import several
from token_meter.wire.json_scan import parse_object
from token_meter.wire.numbers import NumberReader
from token_meter.wire.request import RequestInfo, read_json_request
from token_meter.wire.stream import StreamReader

_log = logging.getLogger("token_meter")


def read_body(layout: Format, body: bytes) -> Reading:
    """Read a whole, decoded body: JSON, or events when it looks like them."""
    try:
        if not body.startswith(b"{") and is_events(body):
            return _streamed(layout, body).finish()
        reading = read_objects(layout, body, is_whole=True)
        return reading if layout.fees is None else with_fees(layout, body, reading)
    except Exception as exc:  # noqa: BLE001 - the observer never harms the observed
        _log.warning("an answer could not be read: %s", type(exc).__name__)
        return Reading()


def read_answer(layout: Format, body: bytes) -> Answer:
    """What a whole, decoded body shows, for an estimate."""
    try:
        if is_events(body):
            return _streamed(layout, body).answer()
        return answer_of(layout, several(body, layout.framing), parse_object(body))
    except Exception as exc:  # noqa: BLE001 - the observer never harms the observed
        _log.warning("an answer could not be put together: %s", type(exc).__name__)
        return Answer()


def read_headers(readers: Iterable[HeaderReader], headers: Mapping[str, str], reading: Reading) -> Reading:
    """What a body said, and what the headers add to it."""
    try:
        numbers = NumberReader()
        found = reading
        for reader in readers:
            found = reader(found, headers, numbers)
        return found._replace(coerced=found.coerced or numbers.coerced, anomalies=found.anomalies + numbers.anomalies)
    except Exception as exc:  # noqa: BLE001 - the observer never harms the observed
        _log.warning("the headers of an answer could not be read: %s", type(exc).__name__)
        return reading


def read_request(content: bytes) -> RequestInfo:
    """What a request asks for."""
    try:
        return read_form_request(content) if content.startswith(b"--") else read_json_request(content)
    except Exception as exc:  # noqa: BLE001 - the observer never harms the observed
        _log.warning("a request could not be read: %s", type(exc).__name__)
        return RequestInfo()


def _streamed(layout: Format, body: bytes) -> StreamReader:
    reader = StreamReader(layout)
    reader.feed(body)
    return reader
