"""What an answer shows that is billed beside its tokens: looked for only where its bytes hold a sign of it."""

from __future__ import annotations

from typing import Any

from token_meter._fees import fees_of
from token_meter.types import Reading, Usage
from token_meter.wire.events import events_of, is_events
from token_meter.wire.format import Format, same_usage
from token_meter.wire.framing import several
from token_meter.wire.json_scan import FULL_PARSE_LIMIT, Object, parse_object

_NONE = Usage()


def with_fees(layout: Format, raw: bytes, reading: Reading) -> Reading:
    """*reading* with the fees of the answer in *raw*; of one that was left, those that it had shown."""
    find = layout.fees
    if find is None or (layout.complete is not same_usage and reading.usage is not None):
        return reading  # what `complete` has found is all
    for mark in layout.fee_marks:  # `any` of a generator costs as much as all that is done here for a plain call
        if raw.rfind(mark) >= 0:
            break
    else:
        return reading
    if (reading.usage is None and reading.ended) or len(raw) > FULL_PARSE_LIMIT:
        return reading  # what was used has to be estimated
    return _added(find(_objects(layout, raw)), reading)


def with_fees_of(layout: Format, answer: Object, reading: Reading) -> Reading:
    """The same of an *answer* that is known as an object, such as a line of a batch's results."""
    if layout.fees is None or reading.usage is None or layout.complete is not same_usage:
        return reading
    return _added(layout.fees([answer]), reading)


def _added(found: dict[str, Any], reading: Reading) -> Reading:
    usage = reading.usage
    searches, charge = found.pop("web_search", None), found.pop("charge", None)
    fees = fees_of(found)
    if not searches and fees is None and charge is None:
        return reading
    usage = usage or _NONE
    if usage.web_searches is None and searches:
        usage = usage._replace(web_searches=searches)
    if usage.provider_cost is None:
        usage = usage._replace(provider_cost=charge)
    if fees is not None:
        usage = usage._replace(fees=fees if usage.fees is None else usage.fees + fees)
    return reading._replace(usage=usage)


def _objects(layout: Format, raw: bytes) -> list[Object]:
    if is_events(raw):
        return list(events_of(raw))
    whole = parse_object(raw)
    return [whole] if whole is not None else list(several(raw, layout.framing))
