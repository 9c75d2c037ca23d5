"""The data types: the usage of a call, its price, and the call.

Named tuples, not dataclasses: one is made for every call (0.5 against 3 us), and importing `dataclasses` takes long."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from token_meter._call_line import call_line, short_repr

if TYPE_CHECKING:
    from datetime import datetime

    from token_meter._fees import Fees

Certainty: TypeAlias = Literal["exact", "estimated", "lower_bound", "unmeasured"]
"""How a call's tokens are known: reported by the provider; estimated by rules; estimated in part; not at all."""

Outcome: TypeAlias = Literal["complete", "closed", "cancelled", "error", "abandoned"]
"""How a call ended: complete; closed by its reader; cancelled; failed; dropped without being closed."""

Source: TypeAlias = Literal["live", "replay", "mock"]
"""The source of the answer: a server; a cassette or a cache; a mock in place of a server."""


class Usage(NamedTuple):
    """Token counts of one call, as the provider reported them. `None` means "not reported", never 0.

    The first three are totals; every other `*_tokens` field is a part of prompt or completion and never added to them.
    Two usages add up field by field; an unknown plus a number is the number.

    Attributes:
        prompt_tokens: tokens sent, including those read from and written to the cache.
        completion_tokens: tokens generated, as reported; some providers exclude reasoning (`billable_output_tokens`).
        total_tokens: the provider's own total, even if it is not the sum.
        cached_tokens: part of the prompt read from the provider's cache.
        cache_write_tokens: part of the prompt written to the provider's cache, for any time to live.
        cache_write_long_tokens: part of `cache_write_tokens` with the longer of the provider's two times to live.
        reasoning_tokens: part of the completion that is reasoning, and not shown.
        input_audio_tokens: part of the prompt that was audio.
        output_audio_tokens: part of the completion that was audio.
        cached_audio_tokens: part of `cached_tokens` that was audio.
        input_image_tokens: part of the prompt that was images.
        output_image_tokens: part of the completion that was images.
        cached_image_tokens: part of `cached_tokens` that was images.
        output_text_tokens: part of an image model's completion that was text.
        audio_seconds: seconds of audio, where the provider bills by duration (whisper-1).
        web_searches: number of billable web searches; a price has their fee beside that of the tokens.
        tool_usage_tokens: tokens of tools, billed at another model's price (images, advisors); not in any total.
        provider_cost: US dollars that the provider reports as charged.
        fees: what else is billed beside tokens, by name: `{"file_search": 4}`; `None` is a number that nobody tells.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_long_tokens: int | None = None
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    cached_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    output_image_tokens: int | None = None
    cached_image_tokens: int | None = None
    output_text_tokens: int | None = None
    audio_seconds: float | None = None
    web_searches: int | None = None
    tool_usage_tokens: int | None = None
    provider_cost: Decimal | None = None
    fees: Fees | None = None

    @property
    def billable_output_tokens(self) -> int | None:
        """Tokens billed as output: the completion, and its reasoning where only the total includes that."""
        sent, made, total = self[:3]
        if sent is None or made is None or total is None or total - sent - made != self.reasoning_tokens:
            return made
        return total - sent

    @property
    def audio_tokens(self) -> int | None:
        """Audio tokens of both directions."""
        both: int | None = _plus(self.input_audio_tokens, self.output_audio_tokens)
        return both

    @property
    def image_tokens(self) -> int | None:
        """Image tokens of both directions."""
        both: int | None = _plus(self.input_image_tokens, self.output_image_tokens)
        return both

    def __add__(self, other: object) -> Usage:  # adds up; a tuple would concatenate
        if not isinstance(other, Usage):
            return NotImplemented
        return Usage(*map(_plus, self, other))

    def __radd__(self, other: object) -> Usage:
        """Let `sum(usages)` start from its 0."""
        return self if other == 0 else NotImplemented

    def __repr__(self) -> str:
        return short_repr("Usage", self._fields, self)

    def to_dict(self) -> dict[str, Any]:
        """The reported fields as data for JSON; money is a string."""
        kinds: dict[Any, Any] = {Decimal: str, float: float, int: int}
        return {n: kinds.get(type(v), dict)(v) for n, v in zip(self._fields, self, strict=True) if v is not None}


def _plus(a: Any, b: Any) -> Any:
    """Add two counts of which either may be unknown."""
    if a is None:
        return b
    return a if b is None else a + b


class Answer(NamedTuple):
    """The visible part of an answer without usage, from which its usage is estimated. Never stored in a record.

    Attributes:
        texts: the visible text of each choice, including refusals.
        tool_calls: `(name, arguments)` of each tool call, arguments as the raw JSON text.
        finish: the finish reason, if any.
        reasoned: the answer shows signs of reasoning.
        thoughts: the shown reasoning, which may be a summary.
    """

    texts: tuple[str, ...] = ()
    tool_calls: tuple[tuple[str, str], ...] = ()
    reasoned: bool = False
    finish: str | None = None
    thoughts: str = ""


class Reading(NamedTuple):
    """The parsed contents of one answer.

    Attributes:
        usage: the reported usage, or `None`.
        model: the model in the answer.
        service_tier: the tier that served it.
        response_id: the provider's id of the answer.
        status: `complete`, `incomplete`, `failed` or `pending` (a background response that is still running).
        ended: the answer is complete (`[DONE]`, a terminal event, a whole JSON body).
        error: type or code of an error inside the answer.
        coerced: a count was an integral float or a string of digits, and was converted.
        anomalies: the number of reported values that were no valid counts, or are known not to be what is billed.
    """

    usage: Usage | None = None
    model: str | None = None
    service_tier: str | None = None
    response_id: str | None = None
    status: str | None = None
    ended: bool = False
    error: str | None = None
    coerced: bool = False
    anomalies: int = 0


class Delta(NamedTuple):
    """A piece of a streamed answer; `kind` is `text`, `refusal`, `reasoning`, `tool_name` or `tool_arguments`."""

    kind: str
    text: str
    choice: int = 0


class Price(NamedTuple):
    """The cost of a usage, and the source of the price.

    Attributes:
        cost: US dollars, exact; a lower bound if there is a reason too; `None` if no price is known.
        source: the source of the price: `provider`, `override …`, `overlay 2026-11-20`, `genai-prices 0.2.3`.
        reason: why there is no price, or only a lower bound, as a text for users; `None` if there is a price.
        missing: the names of what the cost leaves out: `code_interpreter`, `cached input`; with any, a lower bound.
    """

    cost: Decimal | None = None
    source: str | None = None
    reason: str | None = None
    missing: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the cost is the bill: nothing is missing."""
        return self.cost is not None and self.reason is None and not self.missing


class Call(NamedTuple):
    """One finished API call. It holds no prompt, answer, key, header or URL query.

    Attributes:
        id: unique across processes and machines. It is not the provider's id, which mocks and cassettes repeat.
        started_s: when the request was sent, in seconds since the epoch (UTC).
        duration_s: seconds from the start to the end of the answer.
        first_token_s: seconds from the start to the first byte of a streamed body.
        host: `host` or `host:port` of the request.
        api: the API: `chat`, `responses`, `completions`, `embeddings`, `images`, …
        request_model: the model, or deployment, in the request.
        response_model: the model in the answer.
        usage: the usage, or `None` if it is not known.
        certainty: how the usage is known.
        outcome: how the call ended.
        status: HTTP status; `None` without an answer.
        error: class name of the exception, or type of the error that ended the call.
        service_tier: the tier that served the call; `flex?` if `flex` was requested and the answer names none.
        attempt: 0 for the first request, 1 for the SDK's first retry, …
        streamed: the answer was a stream.
        tags: the labels of the meters that count the call.
        source: `live`, `replay` or `mock`; only found out where single calls are seen, else `live`.
        processing: `batch` if the caller has recorded the call as part of a batch.
        provider: the provider's id, from the host; `None` for an unknown host, and before the call is priced.
        price: cost and source by the price book of the meter that shows the call; `None` before it is priced.
        base_url: scheme, host and path prefix, for matching private prices; not in reprs and records.
    """

    id: str
    started_s: float
    duration_s: float
    host: str | None
    api: str
    request_model: str | None = None
    response_model: str | None = None
    usage: Usage | None = None
    certainty: Certainty = "exact"
    outcome: Outcome = "complete"
    status: int | None = None
    error: str | None = None
    service_tier: str | None = None
    first_token_s: float | None = None
    attempt: int = 0
    streamed: bool = False
    tags: tuple[str, ...] = ()
    source: Source = "live"
    processing: str | None = None
    provider: str | None = None
    price: Price | None = None
    base_url: str | None = None

    def __repr__(self) -> str:
        return short_repr("Call", self._fields[:-1], self)  # all but base_url

    def __str__(self) -> str:
        return call_line(self)

    @property
    def model(self) -> str | None:
        """The model that answered, else the one that was requested."""
        return self.response_model or self.request_model

    @property
    def cost(self) -> Decimal | None:
        """US dollars, exact, or at least so much (`price.reason` says why); `None` when unknown."""
        return self.price.cost if self.price is not None else None

    @property
    def started_at(self) -> datetime:
        """The start, in UTC."""
        from datetime import UTC, datetime

        return datetime.fromtimestamp(self.started_s, UTC)

    @property
    def is_success(self) -> bool:
        """Whether the server answered with 2xx."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def tokens(self) -> Usage:
        """The usage, or an empty one, so that single counts can be read without a check for `None`."""
        return self.usage if self.usage is not None else _NO_USAGE

    def to_dict(self) -> dict[str, Any]:
        """Data for JSON with the fields of a ledger line."""
        price = self.price or _NO_PRICE
        return {
            "id": self.id,
            "started_at": self.started_at.isoformat().replace("+00:00", "Z"),
            "duration_s": round(self.duration_s, 6),
            "first_token_s": None if self.first_token_s is None else round(self.first_token_s, 6),
            "host": self.host,
            "provider": self.provider,
            "api": self.api,
            "request_model": self.request_model,
            "model": self.model,
            "usage": None if self.usage is None else self.usage.to_dict(),
            "cost": None if price.cost is None else str(price.cost),
            "price_source": price.source,
            "unpriced_reason": price.reason,
            "missing": list(price.missing),
            "certainty": self.certainty,
            "outcome": self.outcome,
            "status": self.status,
            "error": self.error,
            "service_tier": self.service_tier,
            "attempt": self.attempt,
            "streamed": self.streamed,
            "tags": list(self.tags),
            "source": self.source,
        }


_NO_USAGE, _NO_PRICE = Usage(), Price()
