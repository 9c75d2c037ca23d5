"""Google's embeddings, and `predict`, by which Vertex serves older embeddings and Imagen."""

from __future__ import annotations

from token_meter.estimate.rules import CountingRules
from token_meter.providers.api import Api
from token_meter.providers.google.generate_content import locate_usage, paths
from token_meter.providers.google.usage import GENERATE, usage_of
from token_meter.types import Usage
from token_meter.wire.format import Format, UsageLocation
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader
from token_meter.wire.safe_access import objects

_EMBED = GENERATE._replace(parts=(("promptTokenDetails", "promptTokensDetails"), (), ()))
"""Both spellings were recorded; never both in one answer."""


def _usage(raw: Object, numbers: NumberReader) -> Usage:
    usage = usage_of(raw, numbers, _EMBED)
    prompt = usage.prompt_tokens
    return usage._replace(completion_tokens=0, total_tokens=prompt)  # 0 is a fact: nothing is generated


def _locate_counts(body: Object) -> UsageLocation:
    """The counts of single embeddings as one report; images have none."""
    found = []
    for prediction in objects(body.get("predictions")):
        embeddings = prediction.get("embeddings")
        statistics = embeddings.get("statistics") if isinstance(embeddings, dict) else None
        count = statistics.get("token_count") if isinstance(statistics, dict) else None
        if count is not None:
            found.append(count)
    return UsageLocation({"counts": found} if found else None, body)


def _counted(raw: Object, numbers: NumberReader) -> Usage:
    counts = [numbers.count(count) for count in raw["counts"]]
    if None in counts:
        return Usage()
    prompt = sum(count or 0 for count in counts)
    return Usage(prompt, 0, prompt)


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.google import counting

    return counting.EMBEDDINGS


EMBED_CONTENT = Api(
    "embed_content",
    Format(
        usage=_usage,
        locate_usage=locate_usage,
        keys=("usageMetadata",),
        optional_keys=("error",),
        usage_key=b'"usageMetadata"',
    ),
    paths=paths("embedContent", "batchEmbedContents"),
    rules=_rules,
)

# TensorFlow Serving has the same path for any model.
PREDICT = Api(
    "predict",
    Format(
        usage=_counted,
        locate_usage=_locate_counts,
        keys=("predictions",),
        optional_keys=("error",),
        usage_key=b'"token_count"',
    ),
    paths=paths("predict"),
    needs_sign=True,
)
