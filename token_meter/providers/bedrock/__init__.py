"""Amazon Bedrock: conversations, and the formats of its models' vendors."""

from __future__ import annotations

from token_meter.providers.bedrock.converse import CONVERSE
from token_meter.providers.bedrock.invoke import INVOKE_MODEL
from token_meter.providers.bedrock.sdk import parts_of, read_operation
from token_meter.providers.provider import Gate, Provider

_ABOUT = (
    "guardrails", "guardrails/*", "inference-profiles", "prompt-routers", "model-copy-jobs", "tagResource",
    "untagResource", "listTagsForResource", "tags/**", "resource-policy", "use-case-for-model-access",
    "create-foundation-model-agreement", "delete-foundation-model-agreement", "marketplace-model/**/registration",
    "evaluation-jobs/batch-delete", "advanced-prompt-optimization-job/batch-delete", "**/stop", "**/cancel",
    "automated-reasoning-policies", "automated-reasoning-policies/*/test-cases",
    "automated-reasoning-policies/*/versions", "knowledgebases/*/datasources/**",
)  # fmt: skip

AWS = Provider(
    "aws",
    hosts=(
        "bedrock-runtime.*.amazonaws.com",
        "bedrock-runtime.*.api.aws",
        "bedrock-mantle.*.api.aws",
        "bedrock-runtime-fips.*.amazonaws.com",
        "bedrock-agent-runtime.*.amazonaws.com",
        "bedrock-agent-runtime-fips.*.amazonaws.com",
        "bedrock.*.amazonaws.com",
        "bedrock-fips.*.amazonaws.com",
    ),
    apis=(CONVERSE, INVOKE_MODEL),
    # https://docs.aws.amazon.com/bedrock/latest/APIReference, 2026-11. A guardrail costs by units of text, a search in
    # a knowledge base what its models take: they are unmeasured.
    free=(
        "model/**/count-tokens",
        "sessions",
        "sessions/**",
        # What names, lists and stops things. Jobs, deployments and reserved throughput are billed, elsewhere.
        *_ABOUT,
    ),
    marks=(  # every SDK of AWS numbers its calls; Anthropic's has clients of its own for Bedrock
        "amz-sdk-invocation-id",
        "user-agent: AnthropicBedrock/",
        "user-agent: AsyncAnthropicBedrock/",
    ),
    # aiobotocore wraps every exception of its transport.
    gates=(
        Gate("botocore.client", "BaseClient", None, "_make_api_call", read_operation, has_stubs=True),
        Gate("aiobotocore.client", None, "AioBaseClient", "_make_api_call", read_operation, has_stubs=True),
    ),
    parts_of=parts_of,
)
