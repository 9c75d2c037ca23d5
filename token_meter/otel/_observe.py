"""Counters that read the sums of a meter when they are collected, so that a call costs nothing more."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from opentelemetry import metrics

import token_meter
from token_meter._failures import internal_error
from token_meter._fork import in_child
from token_meter.exceptions import ConfigError
from token_meter.otel._names import OPERATIONS, Names, names_of, provider_name
from token_meter.otel._sums import OTHER, Grouping, Key, ProcessMeter
from token_meter.runtime.hub import HUB
from token_meter.totals.totals import Totals

if TYPE_CHECKING:
    from token_meter.prices import PriceBook

BY = ("provider", "model", "operation", "host")
Attributes: TypeAlias = tuple[tuple[str, str], ...]
_PATIENCE_S = 1.0
_open: set[Observation] = set()
_TEXTS = {
    "prompt_tokens": "Tokens sent, those from the cache included.",
    "completion_tokens": "Tokens generated, reasoning included.",
    "cached_tokens": "Part of the input that was read from the provider's cache.",
    "cache_write_tokens": "Part of the input that was written to the provider's cache.",
    "reasoning_tokens": "Part of the output that was not shown.",
}


def observe(
    *,
    provider: metrics.MeterProvider | None = None,
    by: Iterable[str] = ("provider", "model", "operation"),
    tags: Iterable[str] = (),
    limit: int = 900,
    names: str | None = None,
    prices: PriceBook | str | os.PathLike[str] | None = None,
    histograms: bool = False,
    spans: bool = False,
) -> Observation:
    """Report every LLM call of this process to OpenTelemetry, until `stop()`.

    Sums are read when the SDK collects them. A forked child reports its own calls only. `observe()` once in a process:
    two would report each call twice.

    Args:
        provider: where instruments are made; the program's global `MeterProvider` if none is given.
        by: the attributes of each sum: some of `provider`, `model`, `operation`, `host`.
        tags: the names of tags that become attributes: `customer` for meters with `tags={"customer": ...}`.
        limit: how many sets of attributes there may be; beyond it, tags read `(other)` and the model stays. SDKs drop
            all attributes beyond 2,000, and a set with failed calls counts twice.
        names: `current`, `next` or `openlit`; by default what `OTEL_SEMCONV_STABILITY_OPT_IN` says.
        prices: private prices, as a meter takes them.
        histograms: also record the tokens and the duration of each call (some 60 us a call).
        spans: also write tokens and cost on the span that was current when a call was sent; several calls add up.

    Raises:
        ConfigError: an argument is not valid.
    """
    return Observation(provider, by, tags, limit, names, prices, histograms=histograms, spans=spans)


class Observation:
    """Instruments of one process over a meter of their own: `meter` has its sums."""

    def __init__(
        self,
        provider: metrics.MeterProvider | None,
        by: Iterable[str],
        tags: Iterable[str],
        limit: int,
        names: str | None,
        prices: PriceBook | str | os.PathLike[str] | None,
        *,
        histograms: bool,
        spans: bool,
    ) -> None:
        self._by, grouping = _checked(by, tags, limit)
        self._tags = grouping.tags
        self._names = names_of(names, os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", ""))
        self._provider = provider
        self._generation = 0
        self._stills = threading.local()
        self.meter = ProcessMeter(grouping, prices)
        if histograms or spans:
            from token_meter.otel._calls import CallSink

            self.meter.sink = CallSink(
                self.meter, self._names, self.attributes_of, self._instruments_of(), histograms=histograms, spans=spans
            )
            self.meter.allows_deferral = False
        self._register()
        HUB.open(self.meter)
        _open.add(self)

    def stop(self) -> None:
        """Count no more calls. What was counted is still reported: collectors expect a sum to stay."""
        if self.meter.is_open:
            _open.discard(self)
            self.meter.__exit__(None, None, None)

    def __enter__(self) -> Observation:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Observation of {self.meter!r}>"

    @property
    def names(self) -> Names:
        """The names in use."""
        return self._names

    def attributes_of(self, key: Key) -> Attributes:
        """The attributes of calls with this key, as the convention calls them."""
        found: dict[str, str | None] = {}
        if "operation" in self._by:
            found["gen_ai.operation.name"] = OPERATIONS.get(key.api, key.api)
        if "provider" in self._by:
            found[self._names.provider] = provider_name(self.meter.provider_of(key), key.host) or "unknown"
        if "model" in self._by:
            found["gen_ai.request.model"] = key.request_model or key.response_model or "unknown"
            found["gen_ai.response.model"] = key.response_model
        if "host" in self._by:
            found["server.address"] = key.host
        found |= zip(self._tags, key.tags, strict=True)
        return tuple((name, value) for name, value in found.items() if value is not None)

    # Instruments.

    def _instruments_of(self, pid: int | None = None) -> metrics.Meter:
        provider = self._provider or metrics.get_meter_provider()
        scope = None if pid is None else {"process.pid": pid}
        return provider.get_meter("token_meter", token_meter.__version__, attributes=scope)

    def _register(self, pid: int | None = None) -> None:
        """Make the instruments. The first one takes a still of the sums, which the others of a collection share."""
        instruments = self._instruments_of(pid)
        extra: Attributes = (("gen_ai.token.modality", "unknown"),) if self._names.modality else ()
        is_first = True
        for field, name in self._names.tokens.items():
            reads = self._reader(_field(field), extra, is_first=is_first)
            instruments.create_observable_counter(name, [reads], "{token}", _TEXTS[field])
            is_first = False
        rows: tuple[tuple[str, _Read, str, str], ...] = (
            (self._names.cost, _cost, "{USD}", "List price of the tokens; a lower bound where calls are unpriced."),
            (self._names.calls, _calls, "{call}", "Requests, by how they ended."),
            (
                self._names.unpriced,
                _field("unpriced_calls"),
                "{call}",
                "Requests whose price is not known, or not whole.",
            ),
            (self._names.estimated, _field("estimated_calls"), "{call}", "Requests whose tokens are estimated."),
            (self._names.unmeasured, _field("unmeasured_calls"), "{call}", "Requests whose tokens are not known."),
        )
        for name, read, unit, text in rows:
            instruments.create_observable_counter(name, [self._reader(read)], unit, text)

    def _reader(
        self, read: _Read, extra: Attributes = (), *, is_first: bool = False
    ) -> Callable[[metrics.CallbackOptions], Iterable[metrics.Observation]]:
        """A callback of an instrument. It raises nothing, and says nothing in a child of the process that made it."""
        generation = self._generation

        def observed(_: metrics.CallbackOptions) -> Sequence[metrics.Observation]:
            if self._generation != generation:
                return ()
            try:
                return [
                    metrics.Observation(value, {**dict(attributes), **dict(extra), **more})
                    for attributes, sums in self._still(is_new=is_first).items()
                    for value, more in read(sums)
                ]
            except Exception:  # noqa: BLE001  # the observer never harms the observed
                internal_error("otel")
                return ()

        return observed

    def _still(self, *, is_new: bool) -> dict[Attributes, Totals]:
        """The sums of this collection, which is in one thread: a slower one in another thread may have older sums."""
        found: dict[Attributes, Totals] | None = getattr(self._stills, "sums", None)
        if is_new or found is None:
            found = {}
            for key, sums in self.meter.groups().items():
                found.setdefault(self.attributes_of(key), Totals()).add(sums)
            self._stills.sums = found
        return found

    # Forks.

    def _begin_in_child(self) -> None:
        """Make instruments of the child's own.

        SDKs take the difference to what was read last, and that was the parent's: a sum that begins at 0 again would be
        negative in a delta. SDKs hold locks while they collect, and one that was held at the fork stays held: so a
        thread makes the instruments, and the child waits for it for a moment only.
        """
        self._generation += 1
        self._stills = threading.local()
        maker = threading.Thread(target=self._register_safely, args=(os.getpid(),), daemon=True)
        maker.start()
        maker.join(_PATIENCE_S)

    def _register_safely(self, pid: int) -> None:
        try:
            self._register(pid)
        except Exception:  # noqa: BLE001  # the observer never harms the observed
            internal_error("otel")


@in_child
def _after_fork() -> None:
    for observation in list(_open):
        try:
            observation._begin_in_child()
        except Exception:  # noqa: BLE001  # the observer never harms the observed
            internal_error("otel")


_Read: TypeAlias = Callable[[Totals], Iterator[tuple[int | float, dict[str, Any]]]]


def _field(name: str) -> _Read:
    def read(sums: Totals) -> Iterator[tuple[int | float, dict[str, Any]]]:
        if value := getattr(sums, name):
            yield value, {}

    return read


def _cost(sums: Totals) -> Iterator[tuple[int | float, dict[str, Any]]]:
    """Nothing where no price is known, which would read as 0."""
    if sums.priced_calls:
        yield float(sums.cost), {}


def _calls(sums: Totals) -> Iterator[tuple[int | float, dict[str, Any]]]:
    if sums.successful_requests:
        yield sums.successful_requests, {"token_meter.status": "ok"}
    if sums.failed_requests:
        yield sums.failed_requests, {"token_meter.status": "failed"}


def _checked(by: Iterable[str], tags: Iterable[str], limit: int) -> tuple[tuple[str, ...], Grouping]:
    by, tags = (by,) if isinstance(by, str) else tuple(by), (tags,) if isinstance(tags, str) else tuple(tags)
    for word in by:
        if word not in BY:
            msg = f"by must be some of {', '.join(BY)}, not {word!r}"
            raise ConfigError(msg)
    for name in tags:
        if not isinstance(name, str) or not name or "=" in name or name.startswith("gen_ai."):
            msg = f"tags must be names of tags, such as 'customer', not {name!r}"
            raise ConfigError(msg)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 10:
        msg = f"limit must be a number of attribute sets, at least 10, not {limit!r}"
        raise ConfigError(msg)
    return by, Grouping(tags, limit)


__all__ = ["OTHER", "Observation", "observe"]
