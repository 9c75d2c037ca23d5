"""Compares what the meters of a run say with the simulator's bill, call by call."""

from __future__ import annotations

from collections import Counter

from tests.proof.machine import Fate, Run
from token_meter import Call, Meter, Usage
from token_meter.runtime.hub import HUB
from token_meter.simulator import Bill, Entry, Simulator

LOSSY = ("cut", "error", "truncate")
"""Options after which the client cannot have all that was written."""


def audit(run: Run, simulator: Simulator) -> list[str]:
    """Every difference between the meters and the bill, in words; nothing when all is well."""
    found: list[str] = []
    by_meter = {id(cb): _by_name(cb) for cb in run.meters}
    for name, fate in run.fates.items():
        bill = simulator.bill(f"sim-{name}", settle_s=5)
        records = [by_meter[id(cb)].get(name, []) for cb in fate.meters]
        found += [f"{name}: {text} [{fate.ask}]" for text in _differences(fate, bill, records)]
        found += [
            f"{name}: a meter holds it that was not open where it began [{fate.ask}]"
            for cb in run.meters
            if name in by_meter[id(cb)] and not any(cb is other for other in fate.meters)
        ]
    for cb in run.meters:
        found += _inconsistent(cb)
        pending = sum(f.is_pending and any(cb is m for m in f.meters) for f in run.fates.values() if not f.error)
        if cb.open_streams != pending:
            found.append(f"open_streams is {cb.open_streams}, but {pending} calls are pending")
        late = sum(sum(cb is m for m in f.late) for f in run.fates.values())
        if cb.late_calls != late:
            found.append(f"late_calls is {cb.late_calls}, but {late} calls were late")
    known = {f"sim-{name}" for name in run.fates}
    found += [f"the bill knows {e.key}, which no call used" for e in simulator.bill(None).entries if e.key not in known]
    if HUB.internal_errors:
        found.append(f"internal errors: {HUB.internal_errors}")
    return found


def _by_name(cb: Meter) -> dict[str, list[Call]]:
    """The meter's records by the call's name, which stands in the options of its URL."""
    found: dict[str, list[Call]] = {}
    for call in cb.calls:
        assert call.base_url is not None
        name = call.base_url.partition("seed=")[2].partition("/")[0].partition(",")[0]
        found.setdefault(name, []).append(call)
    return found


def _differences(fate: Fate, bill: Bill, records: list[list[Call]]) -> list[str]:
    if not records:
        return []
    first = records[0]
    if any([c.id for c in other] != [c.id for c in first] for other in records[1:]):
        return [f"its meters disagree: {records}"]
    if len({c.id for c in first}) != len(first):
        return [f"counted twice: {first}"]
    if fate.is_pending and fate.error is None:
        return [f"pending and counted: {first}"] if first else []
    billed = [c for c in first if c.usage is not None or c.certainty != "exact"]
    free = len(first) - len(billed)
    is_racy = fate.is_cancelled or fate.ask.timeout_s is not None
    if is_racy:
        # A request that was stopped may have been billed, or not: each bill has its record, and nothing is free.
        if not len(bill.entries) <= len(billed) <= 1:
            return [f"stopped: {len(bill.entries)} entries, records {first}"]
    elif len(billed) != len(bill.entries):
        return [f"{len(bill.entries)} entries, but billed records are {billed}"]
    elif free != bill.failures:
        return [f"{bill.failures} failures, but records without a bill are {free} of {first}"]
    return [
        text for call, entry in zip(billed, bill.entries, strict=False) for text in _wrong(fate, call, entry, is_racy)
    ]


def _wrong(fate: Fate, call: Call, entry: Entry, is_racy: bool) -> list[str]:
    is_lossy = (
        is_racy or fate.ask.leaving not in ("read", "after", "parked") or not fate.ask.options.keys().isdisjoint(LOSSY)
    )
    is_lossy = is_lossy or fate.ask.options.get("usage") == "after_done"
    usage = call.usage
    if call.certainty == "exact":
        assert usage is not None
        if _totals(usage) != _totals(entry.usage):
            return [f"exact {usage}, but billed {entry.usage}"]
        for part in ("cached_tokens", "reasoning_tokens"):
            if (getattr(usage, part) or 0) not in (0, getattr(entry.usage, part) or 0):
                return [f"{part} of {usage}, but billed {entry.usage}"]
        return []
    if entry.delivered and not is_lossy:
        return [f"delivered {entry.usage}, but read as {call}"]
    if usage is None:
        return [] if call.certainty == "unmeasured" else [f"{call.certainty} without tokens: {call}"]
    if call.certainty == "lower_bound" and (
        (usage.prompt_tokens or 0) > (entry.usage.prompt_tokens or 0)
        or (usage.completion_tokens or 0) > (entry.usage.completion_tokens or 0)
    ):
        return [f"a lower bound of {usage} above the bill of {entry.usage}"]
    return []


def _totals(usage: Usage) -> tuple[int, int, int]:
    return usage.prompt_tokens or 0, usage.completion_tokens or 0, usage.total_tokens or 0


def _inconsistent(cb: Meter) -> list[str]:
    """What in the meter's own sums does not add up."""
    calls = cb.calls
    usage = sum((c.tokens for c in calls), Usage())
    certainties = Counter(c.certainty for c in calls)
    sums = {
        "prompt_tokens": (cb.prompt_tokens, usage.prompt_tokens or 0),
        "completion_tokens": (cb.completion_tokens, usage.completion_tokens or 0),
        "total_tokens": (cb.total_tokens, usage.total_tokens or 0),
        "cached_tokens": (cb.cached_tokens, usage.cached_tokens or 0),
        "requests": (cb.successful_requests + cb.failed_requests, len(calls)),
        "estimated": (cb.estimated_calls, certainties["estimated"] + certainties["lower_bound"]),
        "unmeasured": (cb.unmeasured_calls, certainties["unmeasured"]),
        "by_model": (sum(s.total_tokens for s in cb.by_model.values()), usage.total_tokens or 0),
    }
    return [
        f"{name} of a meter is {is_}, its calls say {should}" for name, (is_, should) in sums.items() if is_ != should
    ]
