"""Ollama's embeddings; the first version of them states no count."""

from __future__ import annotations

from token_meter.estimate.rules import CountingRules
from token_meter.providers.api import Api
from token_meter.providers.ollama.chat import locate_usage
from token_meter.types import Usage
from token_meter.wire.format import Format
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader


def _usage(raw: Object, numbers: NumberReader) -> Usage:
    prompt = numbers.count(raw.get("prompt_eval_count"))
    return Usage(prompt, None if prompt is None else 0, prompt)


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.ollama import counting

    return counting.EMBED


EMBED = Api(
    "ollama_embed",
    Format(
        usage=_usage, locate_usage=locate_usage, keys=("prompt_eval_count", "model"), usage_key=b'"prompt_eval_count"'
    ),
    paths=("api/embed",),
    needs_sign=True,
    rules=_rules,
)  # fmt: skip
EMBEDDINGS = Api("ollama_embeddings", EMBED.format, paths=("api/embeddings",))
"""The first version. No count marks its answer, and the path ends like OpenAI's: at any host it is a call (F172)."""
