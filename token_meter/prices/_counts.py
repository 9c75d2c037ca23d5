"""Whether the counts of a usage add up. It knows no rates."""

from __future__ import annotations

from token_meter.types import Usage


def unexplained(usage: Usage) -> int:
    """What a total has on top of prompt and completion; 0 where one of them is unknown."""
    prompt, completion, total = usage[:3]
    if prompt is None or completion is None or total is None:
        return 0
    return max(0, total - prompt - completion)


def contradicts(usage: Usage) -> bool:
    """Whether a total is less than its parts: that of all tokens, or of what was generated."""
    prompt, completion, total = usage[:3]
    if prompt is None or completion is None:
        return False
    both = prompt + completion
    if total is not None and total != both:
        return total < both  # beside the rest of a total, what is in it is not known
    return max(usage.reasoning_tokens or 0, usage.output_text_tokens or 0) > completion


def reconciled(usage: Usage) -> Usage:
    """The least that contradicting counts allow."""
    prompt, total = usage.prompt_tokens or 0, usage.total_tokens
    if total is not None and total < prompt + (usage.completion_tokens or 0):
        usage = usage._replace(prompt_tokens=min(prompt, total), completion_tokens=max(0, total - prompt))
    return usage._replace(reasoning_tokens=None, output_text_tokens=None)
