"""The encoding and the counting rules of a model.

tiktoken's own `encoding_for_model` lacks newer models and the names of Azure and of routers, and is wrong for
`ft:gpt-4.1-mini`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from token_meter.estimate.vocab import CL100K, O200K

# First match wins; matched from the start of the name.
_TABLE = (
    (re.compile(r"gpt-4o|chatgpt-4o|gpt-4\.\d|gpt-oss|codex-mini|computer-use-preview"), O200K),
    (re.compile(r"gpt-5(?!\d)|o[134](?=-|$)"), O200K),
    (re.compile(r"gpt-4(?=-|$)|gpt-3\.5-turbo|gpt-35-turbo"), CL100K),
    (re.compile(r"text-embedding-3-|text-embedding-ada-002|davinci-002|babbage-002"), CL100K),
)
_NEWER = re.compile(r"gpt-(?:[5-9]|[12]\d)(?!\d)|gpt-oss")
_O_SERIES = re.compile(r"o\d+(?=-|$)|codex-mini")


@lru_cache(maxsize=1024)
def resolve_encoding(model: str | None) -> tuple[str, bool]:
    """Return the encoding of *model*, and whether it is a guess.

    Prefer the model in the answer: on Azure, the request names a deployment instead of a model.
    """
    name = plain_name(model)
    for pattern, found in _TABLE:
        if pattern.match(name):
            return found, False
    return O200K, True


@lru_cache(maxsize=1024)
def plain_name(model: str | None) -> str:
    """Strip case, `provider/` prefixes and the wrapping of fine-tuned names: `azure/GPT-4o`, `ft:gpt-4o:org::id`."""
    name = (model or "").strip().lower()
    _, is_tuned, tuned = name.rpartition("ft:") if name.startswith("ft:") or "/ft:" in name else ("", "", "")
    return (tuned.split(":")[0] if is_tuned else name).rpartition("/")[2]


@lru_cache(maxsize=1024)
def family_of(model: str | None) -> str:
    """Return the family of counting rules for *model*: `classic`, `o` (o1 to o4) or `gpt-5` (and later).

    An unknown name counts as classic, because other providers imitate the protocol of those models.
    """
    name = plain_name(model)
    if _O_SERIES.match(name):
        return "o"
    return "gpt-5" if _NEWER.match(name) else "classic"


def reasons(model: str | None) -> bool:
    """Whether *model* generates reasoning tokens, which its answer does not show."""
    return family_of(model) != "classic" and "-chat" not in plain_name(model)
