"""Voyage's embeddings and rerankings, whose usage is one total."""

from __future__ import annotations

from token_meter.providers.openai.embeddings import EMBEDDINGS
from token_meter.providers.provider import Provider
from token_meter.providers.rerank import RERANK

# https://docs.voyageai.com/reference, 2026-11: contents may be images, whose pixels stand beside the total. The first
# api's rules count a list of texts, and these have other shapes.
MORE_EMBEDDINGS = EMBEDDINGS._replace(
    paths=("contextualizedembeddings", "multimodalembeddings"), rules=None
)  # fmt: skip

VOYAGE = Provider("voyageai", hosts=("api.voyageai.com",), apis=(MORE_EMBEDDINGS, RERANK))
