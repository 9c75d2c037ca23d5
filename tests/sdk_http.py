"""The HTTP library that the installed OpenAI SDK is built on: it takes no client of the other."""

from __future__ import annotations

from typing import Any

import httpx
import httpx2
import openai

sdk_http: Any = httpx2 if int(openai.__version__.partition(".")[0]) >= 3 else httpx
