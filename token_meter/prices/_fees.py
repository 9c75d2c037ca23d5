"""Fees beside tokens, as data: what a search or a character costs at a provider, and where that stands.

A fee that is not published, or that an answer does not show enough of, has no rate: it is named as missing. Free
allowances of an account (Gemini's first searches of a day or month) are not known here, and not subtracted.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from token_meter._fees import LARGEST
from token_meter.prices._rate_card import EXACT
from token_meter.prices._uplifts import matches
from token_meter.types import Usage

AS_OF = "2026-11-27"
"""The date of this table; shown in the source of a price with a fee."""
_THOUSAND = Decimal(1000)
_MILLION = Decimal(1_000_000)
OTHER_MODEL = "@"
"""In the name of a fee: tokens of another model, such as `output@gpt-image-1`."""
UPSTREAM = "upstream_inference"
"""What a router says that it has not charged itself, and does not tell."""

_OPENAI = "https://platform.openai.com/docs/pricing, built-in tools, as quoted in 2026; genai-prices 0.2.3"
_SPEECH = "https://platform.openai.com/docs/pricing, speech generation, 2026; genai-prices 0.2.3 (input_mchars)"
_ANTHROPIC = "https://docs.claude.com/en/docs/about-claude/pricing, web search tool, 2026; genai-prices 0.2.3"
_GEMINI = "https://ai.google.dev/gemini-api/docs/pricing, grounding with Google Search, 2026-09; genai-prices 0.2.3"
_VIDEO = "https://ai.google.dev/gemini-api/docs/pricing, 2026-11; genai-prices 0.2.3 (input_video, output_video)"
_SONAR = "https://docs.perplexity.ai/getting-started/pricing, 2026-11"
_CLASSIC = ("gpt-4o*", "gpt-4.1*", "chatgpt-4o*")
_SEARCH_MODELS = ("gpt-4o-search-preview*", "gpt-4o-mini-search-preview*")
_OLDER_GEMINI = ("gemini-1*", "gemini-2*")


DEEP_RESEARCH = "sonar-deep-research"
"""Bills searches one by one, and reasoning that stands beside its completion."""
BESIDE = "reasoning_tokens_beside"


class Fee(NamedTuple):
    """One fee.

    Attributes:
        provider: who takes it.
        name: what it is for, as a usage counts it.
        per_thousand: US dollars for 1,000 of it.
        source: where it is published.
        models: with which models; `*` at the end is any ending.
        is_once: a call with any pays for one (Gemini 2 bills a grounded prompt, not its searches).
        is_per_call: every call of the model pays for one, whatever its answer shows.
    """

    provider: str
    name: str
    per_thousand: str
    source: str
    models: tuple[str, ...] = ("*",)
    is_once: bool = False
    is_per_call: bool = False


FEES: tuple[Fee, ...] = (
    Fee("openai", "web_search", "10", _OPENAI),
    Fee("openai", "web_search_preview", "25", _OPENAI, _CLASSIC),
    Fee("openai", "web_search_preview", "10", _OPENAI),
    Fee("openai", "file_search", "2.50", _OPENAI),
    Fee("openai", "search_model", "25", _OPENAI, _SEARCH_MODELS, is_per_call=True),
    Fee("openai", "search_model", "10", _OPENAI, ("gpt-5-search-api*",), is_per_call=True),
    Fee("openai", "characters", "0.030", _SPEECH, ("tts-1-hd*",)),
    Fee("openai", "characters", "0.015", _SPEECH, ("tts-1*",)),
    Fee("groq", "characters", "0.022", "genai-prices 0.2.3 (groq.com/pricing)", ("canopylabs/orpheus-v1-english",)),
    Fee("groq", "characters", "0.040", "genai-prices 0.2.3 (groq.com/pricing)", ("canopylabs/orpheus-arabic-saudi",)),
    Fee("anthropic", "web_search", "10", _ANTHROPIC),
    Fee("google", "web_search", "10", f"{_ANTHROPIC}: Claude on Vertex", ("claude-*",)),
    Fee("google", "google_search", "35", _GEMINI, _OLDER_GEMINI, is_once=True),
    Fee("google", "google_search", "14", _GEMINI, ("gemini-*",)),
    # Beside the rate of text, at which they are counted: $12.00 less $0.20, $17.50 less $9.00 a million.
    Fee("google", "input_video_tokens", "0.0118", _VIDEO, ("gemini-embedding-2*",)),
    Fee("google", "output_video_tokens", "0.0085", _VIDEO, ("gemini-omni-*",)),
    Fee("deepseek", "web_search", "0.75", "https://api-docs.deepseek.com/quick_start/pricing, as quoted 2026-11-10"),
    Fee("meta", "web_search", "2.50", "genai-prices 0.2.3 (web_searches_kcount)"),
    Fee("moonshotai", "$web_search", "5", "https://platform.kimi.ai/docs/pricing/tools, 2026"),
    Fee("perplexity", "request_low", "5", _SONAR, ("sonar", "sonar-reasoning")),
    Fee("perplexity", "request_medium", "8", _SONAR, ("sonar", "sonar-reasoning")),
    Fee("perplexity", "request_high", "12", _SONAR, ("sonar", "sonar-reasoning")),
    Fee("perplexity", "request_low", "6", _SONAR, ("sonar-pro", "sonar-reasoning-pro")),
    Fee("perplexity", "request_medium", "10", _SONAR, ("sonar-pro", "sonar-reasoning-pro")),
    Fee("perplexity", "request_high", "14", _SONAR, ("sonar-pro", "sonar-reasoning-pro")),
    Fee("perplexity", "citation_tokens", "0.002", _SONAR, (DEEP_RESEARCH,)),
    Fee("perplexity", BESIDE, "0.003", _SONAR, (DEEP_RESEARCH,)),
    Fee("perplexity", "search_queries", "5", _SONAR, (DEEP_RESEARCH,)),
)  # fmt: skip
"""The first row that fits counts."""

BY_PIECE = frozenset({"characters"})
"""What is billed instead of tokens."""
INCLUDED = frozenset({
    ("perplexity", "citation_tokens"), ("perplexity", "search_queries"), ("google", "input_video_tokens"),
})  # fmt: skip
"""What is part of another fee or rate, unless the model has a row of its own: searches of a request, video of text."""
WITHOUT_RATE = ("code_interpreter", "shell", "code_execution", "image_generation", "google_maps", "retrieval")
"""Fees that answers show, and that have no published rate: a price book may give them one."""
SEARCHES = ("web_search", "web_search_preview", "search_model", "google_search")
"""The fees that `PriceBook(web_search=...)` sets."""
MINIS_SEARCH = ("gpt-4o-mini*", "gpt-4.1-mini*")
"""With OpenAI's `web_search`, these pay for a block of 8,000 tokens a search, which no usage is known to hold."""


class FeeList(NamedTuple):
    """The fees of one model at one provider.

    Attributes:
        provider: who takes them.
        model: the model, as price lists name it.
        own: rates per 1,000 from the price book, by name; `None`: no fee has a price.
        per_call: the names of the fees that every call pays.
    """

    provider: str
    model: str
    own: Mapping[str, Decimal] | None
    per_call: tuple[str, ...]

    def of(self, usage: Usage) -> tuple[Decimal, tuple[str, ...]]:
        """What the fees of *usage* cost together, and the names of those without a rate."""
        amount, missing = Decimal(0), []
        for name, count in self._counts(usage).items():
            cost = None if count is None else self._cost(name, count)
            if cost is not None:
                amount = EXACT.add(amount, cost)
            elif OTHER_MODEL not in name and (count is None or (self.provider, name) not in INCLUDED):
                missing.append(name)
        return amount, tuple(missing)

    def _counts(self, usage: Usage) -> dict[str, int | None]:
        """What a call pays for beside its tokens, as far as its answer and its model say."""
        counts: dict[str, int | None] = dict(usage.fees or ())
        counts.pop(LARGEST, None)
        if usage.web_searches and "web_search_preview" not in counts:
            is_gemini = self.provider == "google" and self.model.startswith("gemini")
            counts["google_search" if is_gemini else "web_search"] = usage.web_searches
            if self.provider == "openai" and any(matches(name, self.model) for name in MINIS_SEARCH):
                counts["search content tokens"] = None
        counts.update(dict.fromkeys(self.per_call, 1))
        if self.provider == "perplexity" and self.model.startswith("sonar"):
            if self.model == DEEP_RESEARCH:
                counts[BESIDE] = usage.reasoning_tokens or 0
                counts.setdefault("search_queries", None)
                for size in ("low", "medium", "high"):
                    counts.pop(f"request_{size}", None)
            elif not any(name.startswith("request_") for name in counts):
                counts["request"] = None
        return counts

    def _cost(self, name: str, count: int) -> Decimal | None:
        if self.own is None:
            return None
        row = next((row for row in FEES if self._fits(row) and row.name == name), None)
        rate = self.own.get(name) if name in self.own else None if row is None else Decimal(row.per_thousand)
        if rate is None:
            return None
        number = 1 if row is not None and row.is_once and count else count
        return EXACT.divide(EXACT.multiply(rate, Decimal(number)), _THOUSAND)

    def _fits(self, row: Fee) -> bool:
        return row.provider == self.provider and any(matches(pattern, self.model) for pattern in row.models)


def fee_list(provider: str, model: str, own: Mapping[str, Decimal] | None) -> FeeList:
    """The fees of one model."""
    fees = FeeList(provider, model, own, ())
    found = [row.name for row in FEES if row.is_per_call and fees._fits(row)]
    if not found and provider != "openai" and any(matches(pattern, model) for pattern in _SEARCH_MODELS):
        found = ["search_model"]  # at another provider its rate is not known
    return fees._replace(per_call=tuple(dict.fromkeys(found)))
