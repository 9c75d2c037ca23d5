"""The facts of a run, and the reasons why its numbers may be incomplete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from token_meter.ledger import RunFacts
from token_meter.report._command import safe_command
from token_meter.report._summary import ModelLine, Notice, Run, Totals


def run_of(facts: RunFacts, command: tuple[str, ...], labels: Mapping[str, str]) -> Run:
    """Facts of the whole run. *labels* override recorded ones; of *command*, only names are kept."""
    status = facts.run.get("exit_status")
    known = facts.run.get("labels")
    merged = {str(k): str(v) for k, v in known.items()} if isinstance(known, dict) else {}
    whole = facts.began_s is not None and facts.ended_s is not None
    return Run(
        id=", ".join(facts.runs[:3]) or None,
        command=safe_command(command),
        exit_status=status if isinstance(status, int) else None,
        complete=facts.is_complete,
        began_s=facts.began_s,
        duration_s=(facts.ended_s or 0) - (facts.began_s or 0) if whole else None,
        processes=facts.processes,
        unclean_processes=facts.unclean_processes,
        running_processes=facts.running_processes,
        in_flight=facts.in_flight,
        in_flight_contexts=facts.in_flight_contexts,
        skipped_records=facts.skipped_records,
        lost_records=facts.lost_records,
        labels={**merged, **labels},
    )


def notices_of(
    totals: Totals, models: Iterable[ModelLine], facts: RunFacts, as_model: str | None
) -> tuple[Notice, ...]:
    """List the reasons why the numbers may be incomplete."""
    found = []
    for line in models:
        why = f": {line.reason}" if line.reason else ""
        for n, what in ((line.totals.unpriced, "without a price"), (line.totals.partly_priced, "priced in part")):
            if n:
                text = f'{_calls(n)} to "{line.kind.model}" {what}; the totals are a lower bound{why}'
                code = "unpriced-model" if what == "without a price" else "partly-priced-model"
                found.append(Notice(code, text, line.kind.model, n))
    if totals.estimated:
        found.append(
            Notice(
                "estimated",
                f"{_calls(totals.estimated)} estimated, not reported by the provider",
                None,
                totals.estimated,
            )
        )
    if totals.unmeasured:
        found.append(Notice("unmeasured", f"{_calls(totals.unmeasured)} with unknown usage", None, totals.unmeasured))
    found += [Notice("blind-spot", f"not seen: {spot}") for spot in facts.blind_spots]
    if facts.in_flight:
        flying = _calls(facts.in_flight)
        text = f"{flying} in flight when a process ended: billed, cost unknown; the total is a lower bound"
        found.append(Notice("in-flight", text, None, facts.in_flight))
        if n := facts.unclean_processes:
            found.append(Notice("unclean-process", f"{n} process{'' if n == 1 else 'es'} ended without a word"))
    if n := facts.running_processes:
        text = f"{n} process{'' if n == 1 else 'es'} still running: the sums are those so far"
        flying = f", with {_calls(facts.under_way)} under way" if facts.under_way else ""
        found.append(Notice("running", text + flying, None, facts.under_way or None))
    if facts.skipped_records:
        found.append(Notice("skipped-records", f"{_count(facts.skipped_records, 'ledger line')} skipped: not readable"))
    if facts.lost_records:
        found.append(Notice("lost-records", f"{_count(facts.lost_records, 'record')} not written"))
    if as_model is not None:
        found.append(Notice("as-model", f'priced as if every call had gone to "{as_model}"', as_model))
    return tuple(found)


def _calls(n: int) -> str:
    return _count(n, "call")


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
