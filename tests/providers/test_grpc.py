"""xAI's and Google's SDKs over gRPC: their messages by grpc itself, without their SDKs."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

# It is not imported here: in this process it would be watched from then on.
pytestmark = pytest.mark.skipif(find_spec("grpc") is None, reason="grpcio is not installed")

XAI = "/xai_api.Chat/GetCompletion"
GEMINI = "/google.ai.generativelanguage.v1beta.GenerativeService"
VERTEX = "/google.cloud.aiplatform.{}.PredictionService"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What a meter counted of each program of `grpc_fake`."""
    command = [sys.executable, "-m", "tests.providers.grpc_fake"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return read


COLOURS = pytest.mark.parametrize("colour", ["sync", "async"])
GROK = ["chat", "x-ai", "grok-4", "grok-4-0709", "exact", "complete", 200]
GOOGLE = ["generate_content", "google", "gemini-2.5-flash"]


@COLOURS
@pytest.mark.parametrize("way", [f"plain {XAI}", f"plain {XAI}Chunk", "intercepted"])
def test_grok_is_read_with_its_own_charge(found: dict[str, Any], colour: str, way: str) -> None:
    """Its completion leaves the thoughts out, which its total includes."""
    told = found[f"{colour} {way}"]

    assert told["calls"] == [GROK]
    assert told["counts"] == [107, 33, 150, 50]
    assert (float(told["cost"]), told["is_complete"], told["blind"]) == (0.00126, True, [])


@pytest.mark.parametrize("way", ["sync with_call", "sync future", "async waited"])
def test_each_way_of_a_call_counts_once(found: dict[str, Any], way: str) -> None:
    assert found[way]["calls"] == [GROK]


@COLOURS
@pytest.mark.parametrize("method", ["GenerateContent", "StreamGenerateContent"])
def test_gemini_is_read_as_over_http(found: dict[str, Any], colour: str, method: str) -> None:
    told = found[f"{colour} plain {GEMINI}/{method}"]

    assert [call[:3] for call in told["calls"]] == [GOOGLE]
    assert (told["counts"][:3], told["is_complete"]) == ([107, 43, 150], True)


@COLOURS
@pytest.mark.parametrize(("version", "factor"), [("v1", "1.1"), ("v1beta", "1.1"), ("v1beta1", "1")])
def test_a_region_of_vertex_costs_what_it_costs_over_http(
    found: dict[str, Any], colour: str, version: str, factor: str
) -> None:
    """It stands in the model's name: us-central1, eu, and the global one. The prompt costs $1.50 a million, of which 50
    tokens were cached at $0.15; the answer $9."""
    told = found[f"{colour} plain {VERTEX.format(version)}/GenerateContent"]

    assert (Decimal(told["cost"]), told["is_complete"]) == (Decimal("0.00048") * Decimal(factor), True)


@COLOURS
def test_embeddings_of_vertex_are_read_from_their_predictions(found: dict[str, Any], colour: str) -> None:
    told = found[f"{colour} plain {VERTEX.format('v1')}/Predict"]

    assert [call[:5] for call in told["calls"]] == [["predict", "google", "text-embedding-005", None, "exact"]]
    assert (told["counts"][:3], told["blind"]) == ([14, 0, 14], [])


@COLOURS
def test_a_handler_is_told_the_pieces(found: dict[str, Any], colour: str) -> None:
    assert found[f"{colour} plain {XAI}Chunk"]["handled"] == ["Pink", " Peace"]


@COLOURS
def test_a_stream_that_is_left_is_a_lower_bound(found: dict[str, Any], colour: str) -> None:
    told = found[f"{colour} left"]

    assert [call[4] for call in told["calls"]] in (["lower_bound"], ["exact"])  # the rest may have come meanwhile
    assert told["counts"][0] == 107


@COLOURS
@pytest.mark.parametrize("way", ["failed", "failed stream"])
def test_a_code_that_is_no_success_is_a_failed_call(found: dict[str, Any], colour: str, way: str) -> None:
    """And no unmeasured one."""
    assert [call[5:] for call in found[f"{colour} {way}"]["calls"]] == [["error", 429]]
    assert found[f"{colour} {way}"]["is_complete"] is True


@COLOURS
def test_f131_a_paid_method_that_is_not_read_is_unmeasured_and_named(found: dict[str, Any], colour: str) -> None:
    told = found[f"{colour} plain /xai_api.Image/GenerateImage"]

    assert ([call[4] for call in told["calls"]], told["is_complete"], told["blind"]) == (
        ["unmeasured"],
        False,
        ["gRPC"],
    )


@COLOURS
def test_a_free_method_is_no_call(found: dict[str, Any], colour: str) -> None:
    assert found[f"{colour} plain {GEMINI}/CountTokens"]["calls"] == []


@COLOURS
def test_f127_a_limit_refuses_the_second_call_before_it_leaves(found: dict[str, Any], colour: str) -> None:
    """Through interceptors too, which catch exceptions."""
    assert found[f"{colour} refused plain"] == ["BudgetExceededError", 1]
    assert found[f"{colour} refused intercepted"] == ["BudgetExceededError", 1]
    assert found[f"{colour} refused by cost"] == ["BudgetExceededError", 0]


def test_nothing_of_ours_failed(found: dict[str, Any]) -> None:
    assert found["internal errors"] == {}
