"""What an answer says and cannot be believed, or leaves out: through the SDK, whole and streamed."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.proof.canned import DONE, MESSAGES, event, json_body, streaming, telling
from token_meter import meter

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


@pytest.mark.parametrize(
    ("asked", "named", "cost", "is_complete"),
    [
        ("flex", None, "0.000045", False),
        ("priority", None, "0.00009", False),
        ("flex", "flex", "0.000045", True),
        ("flex", "default", "0.00009", True),
        ("auto", None, "0.00009", True),
        ("default", None, "0.00009", True),
        (None, None, "0.00009", True),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_f145_a_tier_that_was_asked_for_and_is_not_named_is_a_lower_bound(
    asked: str | None, named: str | None, cost: str, is_complete: bool, streamed: bool
) -> None:
    more = {"model": "gpt-5-nano-2025-08-07", "service_tier": named}
    answer = streaming(event(), event(USAGE, "", **more), DONE) if streamed else telling(json_body(USAGE, **more))
    options: dict[str, Any] = {} if asked is None else {"service_tier": asked}
    with answer as client, meter(keep_calls=True, on_unpriced="ignore") as cb:
        answered = client.chat.completions.create(model="gpt-5-nano", messages=MESSAGES, stream=streamed, **options)
        list(answered) if streamed else None

    assert cb.cost == Decimal(cost)
    assert cb.is_complete is is_complete
    (call,) = cb.calls
    assert call.service_tier == (named or (None if is_complete else f"{asked}?"))
    assert (call.to_dict()["unpriced_reason"] is None) is is_complete


def test_f145_a_prompt_that_speaks_of_tiers_asks_for_none() -> None:
    with telling(json_body(USAGE)) as client, meter() as cb:
        messages: Any = [{"role": "user", "content": json.dumps({"service_tier": "flex"})}]
        client.chat.completions.create(model="gpt-4o-mini", messages=messages)

    assert cb.is_complete
