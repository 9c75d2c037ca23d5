"""A loopback server that serves the OpenAI protocol and keeps its own bill, for tests of meters and of programs.

The text of Anthropic's messages and of Gemini is served too.

It needs the extra: `pip install 'token-meter[simulator]'`.
"""

from __future__ import annotations

try:
    import python_multipart
    import starlette
    import uvicorn
except ModuleNotFoundError as exc:
    msg = f"token_meter.simulator needs {exc.name}: pip install 'token-meter[simulator]'"
    raise ModuleNotFoundError(msg, name=exc.name) from exc

from token_meter.simulator.bill import Bill, Entry
from token_meter.simulator.server import TEST_KEY, Simulator, serve

__all__ = ["TEST_KEY", "Bill", "Entry", "Simulator", "serve"]
del python_multipart, starlette, uvicorn
