"""No SDK is needed to meter: what an HTTP client posts is counted, priced and limited."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None
import httpx
from token_meter import BudgetExceededError, meter

answer = {{
    "object": "chat.completion", "model": "gpt-4o", "choices": [],
    "usage": {{"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}},
}}
request = {{"model": "gpt-4o", "max_tokens": 10, "messages": [{{"role": "user", "content": "hi"}}]}}
with meter(max_calls=1, warn_at=None) as cb:
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=answer))) as client:
        client.post("https://api.openai.com/v1/chat/completions", json=request)
        try:
            client.post("https://api.openai.com/v1/chat/completions", json=request)
        except BudgetExceededError:
            print("refused")
print(cb.total_tokens, cb.cost)
"""


@pytest.mark.parametrize("blocked", [("openai",), ("openai", "anthropic")], ids="+".join)
def test_metering_works_where_no_sdk_can_be_imported(blocked):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM.format(blocked=blocked)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert (done.stdout, done.stderr) == ("refused\n1100 0.0035\n", "")
