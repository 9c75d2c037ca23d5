"""`token-meter combine`: shards of many jobs in one file."""

from __future__ import annotations

import click

from token_meter.cli._options import examples, wrapped


@click.command("combine", epilog=examples("combine job-*/.token_meter -o all.jsonl", "report all.jsonl"))
@click.argument("paths", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", required=True, help="The file to write, *.jsonl.")
@click.option("--append", is_flag=True, help="Keep what FILE already has.")
@wrapped
def command(paths: tuple[str, ...], output: str, append: bool) -> None:
    """Write the records of PATHS (*.jsonl files, run or data directories) to one file, each once.

    Doing so twice changes nothing; the files that are read stay.
    """
    from token_meter.exceptions import LedgerError
    from token_meter.ledger import combine, read_run
    from token_meter.report._formatting import counted

    facts = combine(paths, output, append=append)
    if not facts.processes and not append:
        msg = f"no records of token-meter in {', '.join(map(repr, paths))}; {output} is empty"
        raise LedgerError(msg)
    calls = counted(sum(row.calls for row in read_run(output)), "call")
    click.echo(f"wrote {output}: {calls} of {counted(facts.processes, 'process', 'es')}")
    if facts.skipped_records:
        click.echo(f"warning: {counted(facts.skipped_records, 'unreadable line')} skipped", err=True)
