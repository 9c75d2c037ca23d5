"""`token-meter run`: meters a command and all its Python children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import click

from token_meter.cli._options import config_from, examples, formats_option, options, targets, view_of, wrapped

_FORWARDED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_NOT_FOUND, _NOT_RUNNABLE = 127, 126


@click.command(
    "run",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=examples(
        "run python app.py",
        "run --max-cost 0.50 -- pytest -n 4",
        "run -f html:cost.html -m my.module --an-option",
    ),
)
@options("budget", "run", "view")
@formats_option
@click.argument("command_line", metavar="[--] COMMAND [ARGS]...", nargs=-1, type=click.UNPROCESSED)
@wrapped
def command(
    command_line: tuple[str, ...], formats: tuple[str, ...], exit_code: int, append: bool, **given: Any
) -> None:
    """Meter COMMAND and every Python process that it starts.

    `script.py` and `-m MODULE` get the current Python. What this command prints itself goes to stderr. The exit code is
    the command's own; when the command succeeded and a limit was exceeded, it is 3.
    """
    from token_meter.ci import harness as _run
    from token_meter.ci.losses import NOTHING_MISSING, Missing, unkept
    from token_meter.exceptions import LedgerError
    from token_meter.ledger import new_run_dir, run_dirs
    from token_meter.ledger._place import make_run_dir
    from token_meter.report import remember

    config = config_from(given)
    words = _runnable(command_line)
    wanted = targets(formats, config)
    view_of(given, config)
    _run.limits_of(_run.budget_settings(config), "run")
    if config["prices"]:
        _run.book_of(config["prices"])  # now: a mistake in the file is told before anything is paid
    data_dir = config["data_dir"]
    earlier = run_dirs(data_dir)[-1:] if append else []
    run_dir = earlier[0].absolute() if earlier else new_run_dir(data_dir)
    gone = NOTHING_MISSING
    try:
        make_run_dir(run_dir)
    except (OSError, LedgerError) as error:
        gone = unkept(error)
        click.echo(f"token_meter: this run cannot be recorded, the command runs anyway: {error}", err=True)
    status = _spawn(words, {**os.environ, **_run.environment_of(run_dir, config)})
    if status in (_NOT_FOUND, _NOT_RUNNABLE) and not (run_dir.is_dir() and any(run_dir.iterdir())):
        if not earlier and run_dir.is_dir():
            run_dir.rmdir()
        sys.exit(status)
    if not gone and not run_dir.is_dir():
        gone = Missing(("the run's directory was removed",), 1)
    missing = gone.with_marks(run_dir)
    summary, verdict = _run.finish(run_dir, config, command=tuple(words), by=given["by"], missing=missing)

    def show(text: str) -> None:
        click.echo(text, err=True, nl=False)

    if summary.totals.calls:
        try:
            remember(summary, run_dir.parent.parent)
        except OSError as error:
            click.echo(f"token_meter: {error.filename}: {error.strerror}", err=True)
    view = view_of(given, config, with_history=True)

    if missing:
        click.echo(f"token_meter: {missing}: this report lacks calls or their ends", err=True)
    elif not summary.totals.calls:
        n = summary.run.processes
        lacking = "" if n else "; only a Python that can import token_meter is metered"
        click.echo(f"token_meter: 0 LLM calls seen in {n} Python process{'' if n == 1 else 'es'}{lacking}", err=True)
    _run.deliver(summary, wanted, view, show, only_files=not summary.totals.calls or bool(given["quiet"]))
    if verdict.exit_code:
        click.echo(verdict.headline, err=True)
    sys.exit(status or (exit_code if verdict.exit_code else 0))


def _runnable(words: tuple[str, ...]) -> list[str]:
    if words[:1] == ("--",):
        words = words[1:]
    if not words:
        msg = "no command given; expected something like: token-meter run python app.py"
        raise click.UsageError(msg)
    if words[0] == "-m" or (words[0].endswith(".py") and os.path.isfile(words[0]) and not os.access(words[0], os.X_OK)):
        return [sys.executable, *words]
    if words[0].startswith("-"):
        from token_meter._text import suggestion

        known = [name for parameter in command.params for name in parameter.opts if name.startswith("--")]
        msg = f"no such option: {words[0]}{suggestion(words[0], known)}"
        raise click.UsageError(msg)
    if words[0].endswith(".py") and os.path.isfile(words[0]):
        return [sys.executable, *words]
    return list(words)


def _spawn(words: list[str], environment: dict[str, str]) -> int:
    """Run the command with our terminal, pass on signals, and wait; its exit code, 128 + N for signal N."""
    child: subprocess.Popen[bytes] | None = None
    waiting: list[int] = []

    def forward(number: int, _frame: object) -> None:
        if number == signal.SIGINT and _shares_terminal():
            return  # the terminal has sent the signal to the command too
        if child is None:
            waiting.append(number)
        elif child.poll() is None:
            child.send_signal(number)

    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    try:
        try:
            child = subprocess.Popen(words, env=environment)
        except FileNotFoundError:
            is_missing = words[0].endswith(".py") and not os.path.exists(words[0])
            what = "no such file" if is_missing else "command not found"
            click.echo(f"token-meter run: {words[0]}: {what}", err=True)
            return _NOT_FOUND
        except OSError as error:
            click.echo(f"token-meter run: {words[0]}: {error.strerror}", err=True)
            return _NOT_RUNNABLE
        for number in waiting:
            child.send_signal(number)
        status = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 - status if status < 0 else status


def _shares_terminal() -> bool:
    if sys.platform != "win32":
        try:
            return os.tcgetpgrp(0) == os.getpgrp()
        except OSError:
            return False
    else:
        return True  # a console gives Ctrl-C to all its programs
