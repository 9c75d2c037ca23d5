"""Mistral's agents, and its completions that fill in the middle: chats by another path."""

from __future__ import annotations

from token_meter.estimate.rules import CountingRules
from token_meter.providers.openai.chat import CHAT


def _agents() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.mistral import counting

    return counting.AGENTS


def _fim() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.mistral import counting

    return counting.FIM


# Each of its streams reports its usage unasked.
AGENTS = CHAT._replace(name="agents", paths=("agents/completions",), can_request_stream_usage=False, rules=_agents)
FIM = AGENTS._replace(name="fim", paths=("fim/completions",), is_chat=False, rules=_fim)
