"""Services that serve OpenAI's chat, or nearly, on paths of their own, and hosts that serve other apis beside it."""

from __future__ import annotations

from token_meter.providers.anthropic.messages import MESSAGES
from token_meter.providers.api import Api
from token_meter.providers.openai.chat import CHAT
from token_meter.providers.provider import Provider
from token_meter.providers.usage import usage_of
from token_meter.wire.format import Format, UsageLocation
from token_meter.wire.json_scan import Object
from token_meter.wire.safe_access import objects, text_of


def _locate_in_result(event: Object) -> UsageLocation:
    """Cloudflare wraps an answer in `result`; an event of a stream is the result itself."""
    inner = event.get("result")
    holder = inner if isinstance(inner, dict) else event
    usage = holder.get("usage")
    return UsageLocation(usage if isinstance(usage, dict) else None, holder)


def _locate_watsonx(event: Object) -> UsageLocation:
    usage = event.get("usage")
    holder = {"model": event.get("model_id"), "id": event.get("id")}
    return UsageLocation(usage if isinstance(usage, dict) else None, holder)


def _dashscope_finish(event: Object) -> str | None:
    """The reason why it ended; while an answer goes on, it is the text `null`."""
    output = event.get("output")
    output = output if isinstance(output, dict) else {}
    first = next(objects(output.get("choices")), output)
    reason = text_of(first.get("finish_reason"))
    return None if reason == "null" else reason or None


# https://docs.databricks.com/machine-learning/model-serving/query-chat-models and
# https://docs.snowflake.com/en/user-guide/snowflake-cortex/cortex-llm-rest-api, 2026-11. An endpoint of Databricks may
# be any model, so that a usage in the answer tells that it was one for text.
DATABRICKS = Provider(
    "databricks", apis=(CHAT._replace(paths=("serving-endpoints/{model}/invocations",), needs_sign=True),)
)
SNOWFLAKE = Provider("snowflake", apis=(CHAT._replace(paths=("api/v2/cortex/inference:complete",)),))

# https://developers.cloudflare.com/workers-ai/get-started/rest-api and /ai-gateway, 2026-11. All else at the first
# host has nothing to do with models.
CLOUDFLARE = Provider(
    "cloudflare",
    hosts=("api.cloudflare.com",),
    apis=(
        Api(
            "ai_run", Format(usage=usage_of, locate_usage=_locate_in_result), paths=("ai/run/{model}",), needs_sign=True
        ),
    ),
    free=("**",),
)
CLOUDFLARE_GATEWAY = Provider("cloudflare-gateway", hosts=("gateway.ai.cloudflare.com",))

# https://cloud.ibm.com/apidocs/watsonx-ai, 2026-11. Texts that are only completed, and embeddings, are unmeasured.
WATSONX = Provider(
    "watsonx",
    hosts=("*.ml.cloud.ibm.com",),
    apis=(
        CHAT._replace(
            name="watsonx_chat",
            format=CHAT.format._replace(locate_usage=_locate_watsonx, keys=("usage", "model_id")),
            paths=(
                "ml/v1/text/chat", "ml/v1/text/chat_stream", "ml/v1/deployments/{}/text/chat",
                "ml/v1/deployments/{}/text/chat_stream",
            ),
            can_request_stream_usage=False,
        ),
    ),
    free=("ml/v1/text/tokenization", "ml/v4/**"),
)  # fmt: skip

# https://www.alibabacloud.com/help/en/model-studio/qwen-api-via-dashscope, 2026-11.
DASHSCOPE = Provider(
    "dashscope",
    hosts=("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com", "dashscope-us.aliyuncs.com"),
    apis=(
        Api(
            "dashscope_generation",
            Format(usage=usage_of, finish=_dashscope_finish, finish_is_end=True, has_running_output=True),
            paths=tuple(f"services/aigc/{kind}-generation/generation" for kind in ("text", "multimodal")),
            is_chat=True,
        ),
        MESSAGES,
    ),
    free=("**/files", "**/files/**", "**/uploads", "**/batches/*/cancel"),
)
MINIMAX = Provider(
    "minimax",
    hosts=("api.minimax.io", "api.minimaxi.com"),
    apis=(CHAT._replace(paths=("text/chatcompletion_v2",)), MESSAGES),
    free=("files/**",),
)

_FREE = ("files", "files/**", "batches/*/cancel", "**/files", "**/files/**")
# Their hosts are known, so that what they serve beside OpenAI's apis is unmeasured instead of nothing at all.
ROWS = (
    DATABRICKS, SNOWFLAKE, CLOUDFLARE, CLOUDFLARE_GATEWAY, WATSONX, DASHSCOPE, MINIMAX,
    Provider("sambanova", hosts=("api.sambanova.ai",), free=_FREE),
    Provider("nvidia", hosts=("integrate.api.nvidia.com", "ai.api.nvidia.com"), free=_FREE),
    Provider("nebius", hosts=("api.studio.nebius.com", "api.tokenfactory.nebius.com"), free=_FREE),
    Provider("hyperbolic", hosts=("api.hyperbolic.xyz",), free=_FREE),
    Provider("novita", hosts=("api.novita.ai",), free=_FREE),
    Provider("moonshotai", ("api.moonshot.ai", "api.moonshot.cn"), (MESSAGES,), (*_FREE, "tokenizers/**")),
    Provider("zai", ("api.z.ai", "open.bigmodel.cn"), (MESSAGES,), (*_FREE, "**/tokenizer")),
    Provider("deepseek", ("api.deepseek.com",), (MESSAGES,)),
    Provider("openrouter", ("openrouter.ai",), (MESSAGES,), ("**/keys", "**/keys/**", "**/auth/**", "**/credits/**")),
)  # fmt: skip
