"""The door for calls that no seam sees: another machine's, another language's, a batch's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from token_meter._meter.validation import tags_of
from token_meter.types import Call, Certainty, Outcome, Source, Usage

if TYPE_CHECKING:
    from token_meter.context.ports import Recipient


class Recorder:
    """What a meter can be told by hand."""

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
        """Count a call that was made where no meter sees it; it is priced, told to handlers and written like others.

        Inside of this meter's block the meters around it count it too. It has happened, so no limit refuses it; what
        it used counts against the limits. A coroutine of a handler runs to its end before this returns.

        Args:
            model: the model that served the call.
            provider: who is paid, by the id of the price tables; else told from *host*.
            host: who was asked, `host` or `host:port`.
            api: the api that was used, as in `Call.api`.
            usage: the counts, or the usage object as the provider answered it.
            prompt_tokens: tokens sent, where *usage* is not given.
            completion_tokens: tokens generated, where *usage* is not given.
            status: the HTTP status; `None` when no answer came.
            outcome: how it ended; `error` when *error* is given, else `complete`.
            error: class name or type of the error that ended it.
            certainty: how the counts are known; without counts the call is `unmeasured`, or used nothing if it failed.
            started_s: seconds since the epoch at its start; else it has just ended.
            duration_s: how long it took.
            first_token_s: when the first byte of a stream came, from its start.
            streamed: the answer was a stream.
            service_tier: the tier that served it.
            processing: `batch` for a call of a batch.
            source: live, replayed or mocked.
            tags: labels besides those of the meters.

        Returns:
            The call as it was counted, with its price by this meter's price book.

        Raises:
            ConfigError: an argument cannot be meant.
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
