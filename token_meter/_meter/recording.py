"""Records calls that no transport sees: those of another machine, of another language, or of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from token_meter._meter.validation import tags_of
from token_meter.types import Call, Certainty, Outcome, Source, Usage

if TYPE_CHECKING:
    from token_meter.context.ports import Recipient


class Recorder:
    """The part of a meter that counts calls reported by the program."""

    def record(
        self: Recipient,
        model: str | None,
        *,
        provider: str | None = None,
        host: str | None = None,
        api: str = "unknown",
        usage: Usage | Mapping[str, Any] | None = None,
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        status: int | None = 200,
        outcome: Outcome | None = None,
        error: str | None = None,
        certainty: Certainty | None = None,
        started_s: float | None = None,
        duration_s: float = 0.0,
        first_token_s: float | None = None,
        streamed: bool = False,
        service_tier: str | None = None,
        processing: str | None = None,
        source: Source = "live",
        tags: Iterable[str] | Mapping[str, object] | None = None,
    ) -> Call:
        """Count a call that no transport saw. It is priced, passed to handlers and written to the ledger as others are.

        In this meter's block, the meters around it count the call too. No limit refuses it, because it has happened,
        but it counts against the limits. Coroutines of handlers have finished when this returns.

        Args:
            model: the model that served the call.
            provider: the provider's id in the price tables; default: the provider of *host*.
            host: the server, as `host` or `host:port`.
            api: the api that was used, as in `Call.api`.
            usage: the tokens, or the usage object of the provider's answer.
            prompt_tokens: tokens sent, instead of *usage*.
            completion_tokens: tokens generated, instead of *usage*.
            status: the HTTP status; `None` without an answer.
            outcome: how it ended; default: `error` with *error*, else `complete`.
            error: class name or type of the error that ended it.
            certainty: how the tokens are known. A call without tokens is `unmeasured`; if it failed, it used none.
            started_s: its start in seconds since the epoch; default: it has just ended.
            duration_s: its duration in seconds.
            first_token_s: seconds from its start to the first byte of a stream.
            streamed: the answer was a stream.
            service_tier: the tier that served it.
            processing: `batch` for a call of a batch.
            source: `live`, `replay` or `mock`.
            tags: labels in addition to those of the meters.

        Returns:
            The counted call, with its price by this meter's price book.

        Raises:
            ConfigError: an argument is not valid.
        """
        from token_meter.call.recorded import call_recorded, deliver

        counts = (prompt_tokens, completion_tokens)
        call = call_recorded(
            model, counts, usage, tags_of(tags), provider=provider, host=host, api=api, status=status,
            outcome=outcome, error=error, certainty=certainty, started_s=started_s, duration_s=duration_s,
            first_token_s=first_token_s, streamed=streamed, service_tier=service_tier, processing=processing,
            source=source,
        )  # fmt: skip
        return self.priced(deliver(call, self))
