"""Who is paid at which host, and what is done with each path there: read, unmeasured, or free. Never silently nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from token_meter import Meter, meter

CHAT = {
    "id": "c", "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 107, "completion_tokens": 43, "total_tokens": 150},
}  # fmt: skip
LLAMA = "meta-llama/llama-3.3-70b-instruct"


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with httpx2.Client(transport=httpx2.MockTransport(_answer)) as found:
        yield found


def _answer(request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, json=request.extensions["answer"])


def posted(client: Any, url: str, answer: Any, model: str = "m") -> Meter:
    """A plain post by no SDK."""
    with meter(keep_calls=True) as cb:
        client.post(f"https://{url}", json={"model": model, "messages": []}, extensions={"answer": answer})
    return cb


@pytest.mark.filterwarnings("ignore::token_meter.UnpricedWarning")
@pytest.mark.parametrize(
    ("url", "model", "provider", "is_priced"),
    [
        ("openrouter.ai/api/v1/chat/completions", "openai/gpt-4o-mini", "openrouter", True),
        ("roses.services.ai.azure.com/models/chat/completions?api-version=1", "gpt-4o-mini", "azure", True),
        ("roses.services.ai.azure.com/openai/v1/chat/completions", "gpt-4o-mini", "azure", True),
        ("roses.eastus.models.ai.azure.com/v1/chat/completions", "gpt-4o-mini", "azure", True),
        ("models.inference.ai.azure.com/chat/completions", "gpt-4o-mini", "github-models", False),
        ("models.github.ai/inference/chat/completions", "openai/gpt-4o-mini", "github-models", False),
        ("adb-1.2.azuredatabricks.net/serving-endpoints/chat/completions", "databricks-gpt-oss-120b", "databricks", True),
        ("a.cloud.databricks.com/serving-endpoints/databricks-gpt-oss-120b/invocations", "databricks-gpt-oss-120b", "databricks", True),
        ("a.snowflakecomputing.com/api/v2/cortex/inference:complete", "claude-sonnet-4-5", "snowflake", False),
        ("a.snowflakecomputing.com/api/v2/cortex/v1/chat/completions", "claude-sonnet-4-5", "snowflake", False),
        ("api.cloudflare.com/client/v4/accounts/a/ai/v1/chat/completions", "@cf/meta/llama-3.1-8b-instruct", "cloudflare", True),
        ("gateway.ai.cloudflare.com/v1/a/g/openai/chat/completions", "gpt-4o-mini", None, False),
        ("us-south.ml.cloud.ibm.com/ml/v1/text/chat?version=2024-05-31", "ibm/granite-3", "watsonx", False),
        ("api.sambanova.ai/v1/chat/completions", "Meta-Llama-3.3-70B-Instruct", "sambanova", False),
        ("integrate.api.nvidia.com/v1/chat/completions", LLAMA, "nvidia", False),
        ("api.studio.nebius.com/v1/chat/completions", LLAMA, "nebius", False),
        ("api.tokenfactory.nebius.com/v1/chat/completions", LLAMA, "nebius", False),
        ("api.hyperbolic.xyz/v1/chat/completions", LLAMA, "hyperbolic", False),
        ("api.novita.ai/openai/v1/chat/completions", LLAMA, "novita", True),
        ("api.moonshot.ai/v1/chat/completions", "kimi-k2-0711-preview", "moonshotai", True),
        ("api.moonshot.cn/v1/chat/completions", "kimi-k2-0711-preview", "moonshotai-cn", False),
        ("open.bigmodel.cn/api/paas/v4/chat/completions", "glm-4.6", "zhipuai", False),
        ("api.z.ai/api/paas/v4/chat/completions", "glm-4.6", "zai", True),
        ("api.minimax.io/v1/chat/completions", "MiniMax-M2", "minimax", True),
        ("api.minimax.io/v1/text/chatcompletion_v2", "MiniMax-M2", "minimax", True),
        ("dashscope-intl.aliyuncs.com/compatible-mode/v1/chat/completions", "qwen-plus", "dashscope", False),
        ("dashscope.aliyuncs.com/compatible-mode/v1/chat/completions", "qwen-plus", "dashscope-cn", False),
    ],
)  # fmt: skip
def test_a_plain_post_is_a_call_of_the_host_that_is_paid(client, url, model, provider, is_priced) -> None:
    """And has its price where the public list knows it."""
    cb = posted(client, url, {**CHAT, "model": model}, model)

    (call,) = cb.calls
    assert (call.provider, call.usage and call.usage.total_tokens) == (provider, 150)
    assert (call.cost is not None) is is_priced


COUNTS = {"input_tokens": 107, "output_tokens": 43, "total_tokens": 150}


@pytest.mark.filterwarnings("ignore::token_meter.UnpricedWarning")
@pytest.mark.parametrize(
    ("url", "answer", "model"),
    [
        ("eu-de.ml.cloud.ibm.com/ml/v1/text/chat", {**CHAT, "model_id": "ibm/granite"}, "ibm/granite"),
        ("eu-de.ml.cloud.ibm.com/ml/v1/deployments/d/text/chat", {**CHAT, "model_id": "ibm/granite"}, "ibm/granite"),
        ("api.cloudflare.com/client/v4/accounts/a/ai/run/@cf/meta/llama-3",
         {"result": {"response": "hi", "usage": CHAT["usage"]}, "success": True}, "@cf/meta/llama-3"),
        ("dashscope.aliyuncs.com/api/v1/services/aigc/text-generation/generation",
         {"output": {"text": "hi", "finish_reason": "stop"}, "usage": COUNTS, "request_id": "r"}, "m"),
        ("api.minimax.io/anthropic/v1/messages", {"type": "message", "usage": COUNTS}, "m"),
    ],
)  # fmt: skip
def test_answers_of_another_shape_are_read(client, url, answer, model) -> None:
    """By the names that the service has for its counts and its model."""
    (call,) = posted(client, url, answer).calls

    assert (call.model, call.usage and call.usage[:3]) == (model, (107, 43, 150))


VERTEX = "us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1"
GEMINI = "generativelanguage.googleapis.com/v1beta"
RUNTIME, AGENTS, CONTROL = (f"bedrock{kind}.us-east-1.amazonaws.com" for kind in ("-runtime", "-agent-runtime", ""))
UNMEASURED = [
    # Agents, flows and knowledge bases answer by a model; jobs, video and reserved throughput are billed elsewhere.
    f"{RUNTIME}/async-invoke",
    f"{RUNTIME}/guardrail/g/version/1/apply",
    f"{AGENTS}/agents/A/agentAliases/B/sessions/s/text",
    f"{AGENTS}/agents/s",
    f"{AGENTS}/flows/A/aliases/B",
    f"{AGENTS}/flows/A/aliases/B/executions",
    f"{AGENTS}/retrieveAndGenerate",
    f"{AGENTS}/knowledgebases/k/retrieve",
    f"{AGENTS}/retrieveAndGenerateStream",
    f"{AGENTS}/agenticRetrieveStream",
    f"{AGENTS}/rerank",
    f"{AGENTS}/generateQuery",
    f"{AGENTS}/optimize-prompt",
    f"{CONTROL}/model-invocation-job",
    f"{CONTROL}/model-customization-jobs",
    f"{CONTROL}/evaluation-jobs",
    f"{CONTROL}/provisioned-model-throughput",
    # A model of one's own, or of another vendor.
    f"{VERTEX}/endpoints/1:predict",
    f"{VERTEX}/endpoints/1:rawPredict",
    f"{VERTEX}/endpoints/1:streamRawPredict",
    f"{VERTEX}/publishers/mistralai/models/mistral-small:rawPredict",
    f"{VERTEX}/publishers/google/models/veo-3:predictLongRunning",
    f"{VERTEX}/tuningJobs",
    f"{VERTEX}/batchPredictionJobs",
    f"{VERTEX}/cachedContents",
    f"{VERTEX}/reasoningEngines/1:query",
    f"{GEMINI}/tunedModels",
    f"{GEMINI}/models/veo-3:predictLongRunning",
    "gateway.ai.cloudflare.com/v1/a/g/workers-ai/@cf/meta/llama-3",
    "api.cloudflare.com/client/v4/accounts/a/ai/run/@cf/baai/bge-m3",
    "us-south.ml.cloud.ibm.com/ml/v1/text/generation",
    "dashscope.aliyuncs.com/api/v1/services/aigc/text2image/image-synthesis",
    "api.minimax.io/v1/t2a_v2",
    "api.minimax.io/anthropic/v1/messages",
    "ai.api.nvidia.com/v1/cv/nvidia/ocr",
]
FREE = [
    f"{RUNTIME}/model/anthropic.claude-3/count-tokens",
    f"{AGENTS}/sessions/",
    f"{AGENTS}/flows/A/aliases/B/executions/e/stop",
    f"{CONTROL}/guardrails",
    f"{CONTROL}/inference-profiles",
    f"{CONTROL}/model-invocation-job/j/stop",
    f"{VERTEX}/publishers/google/models/gemini-2.5-flash:countTokens",
    f"{VERTEX}/publishers/google/models/gemini-2.5-flash:computeTokens",
    f"{VERTEX}/publishers/anthropic/models/count-tokens:rawPredict",
    f"{VERTEX}/tuningJobs/1:cancel",
    "api.cloudflare.com/client/v4/zones/z/dns_records",
    "us-south.ml.cloud.ibm.com/ml/v1/text/tokenization",
    "us-south.ml.cloud.ibm.com/ml/v4/deployments",
    "api.moonshot.ai/v1/tokenizers/estimate-token-count",
    "dashscope.aliyuncs.com/compatible-mode/v1/files",
    # Any model at all may stand behind such an endpoint; no usage says that it is one for text.
    "adb-1.2.azuredatabricks.net/serving-endpoints/churn/invocations",
    "adb-1.2.azuredatabricks.net/api/2.0/sql/statements",
    "a.snowflakecomputing.com/api/v2/statements",
]


@pytest.mark.parametrize("url", UNMEASURED)
def test_f131_a_paid_path_that_is_not_read_is_unmeasured(client, url) -> None:
    """So that the sum says that it is not whole."""
    cb = posted(client, url, {})

    assert (cb.unmeasured_calls, cb.is_complete) == (1, False)


@pytest.mark.parametrize("url", FREE)
def test_f131_a_free_path_is_no_call(client, url) -> None:
    """It neither costs nor makes a sum doubtful."""
    cb = posted(client, url, {})

    assert (cb.calls, cb.unmeasured_calls, cb.is_complete) == ((), 0, True)
