"""Meters in IPython and Jupyter: `%load_ext token_meter`, `%%meter` above a cell, `%meter_report` for all so far."""

from __future__ import annotations

import threading
from contextvars import Context
from typing import Any

from token_meter._meter import Meter, meter
from token_meter._meter.card import card
from token_meter.exceptions import ConfigError

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

_REFRESH_S = 0.5
_MAGIC = "%%meter"
_OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("name",), {"nargs": "?", "help": "the name of the meter"}),
    (("--max-cost",), {"metavar": "USD", "help": "US dollars that the cell may spend"}),
    (("--max-tokens",), {"metavar": "N", "help": "tokens that the cell may use"}),
    (("--max-calls",), {"metavar": "N", "help": "calls that the cell may make"}),
    (("--tag",), {"action": "append", "default": [], "metavar": "KEY=VALUE", "help": "a label of the cell's calls"}),
    (("--as",), {"dest": "variable", "metavar": "NAME", "help": "the variable that holds the meter"}),
)


def load_ipython_extension(shell: Any) -> None:
    """Begin to meter the session, and add the magics: what `%load_ext token_meter` calls."""
    unload_ipython_extension(shell)
    shell._token_meter = _Session(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Stop, and remove the magics: what `%unload_ext token_meter` calls."""
    session = shell.__dict__.pop("_token_meter", None)
    if session is not None:
        session.close()


class _Session:
    """The meter of a whole session, and the cells that have one of their own."""

    def __init__(self, shell: Any) -> None:
        from IPython.core.error import UsageError
        from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

        def begin(line: str) -> None:
            """Meter this cell, and show what it uses while it runs."""
            given = parse_argstring(magic, line)
            try:
                self._begin(given)
            except ConfigError as wrong:  # one line, as for an unknown option, and no traceback through this package
                raise UsageError(str(wrong)) from None

        magic: Any = begin
        for names, settings in reversed(_OPTIONS):
            magic = argument(*names, **settings)(magic)
        magic = magic_arguments("%%meter")(magic)

        self._shell = shell
        self._cells: list[_Cell] = []
        # The cell's own code stays as it is, with the numbers of its lines: so it may hold any syntax, `await` too.
        shell.input_transformers_cleanup.append(_first_line)
        shell.events.register("post_run_cell", self._end)
        shell.register_magic_function(magic, "line", "meter")
        shell.register_magic_function(self._report, "line", "meter_report")
        self._meter = meter("session", scope="process")
        self._meter.is_carried = True  # each cell may run in a context of its own
        self._meter.start()

    def close(self) -> None:
        """Put the shell back."""
        self._end(None)
        self._shell.input_transformers_cleanup.remove(_first_line)
        self._shell.events.unregister("post_run_cell", self._end)
        for name in ("meter", "meter_report"):
            self._shell.magics_manager.magics["line"].pop(name, None)
        self._meter.stop()

    def _begin(self, given: Any) -> None:
        tags = [*given.tag]
        limits = {name: getattr(given, name) for name in ("max_cost", "max_tokens", "max_calls")}
        cb = meter(given.name or f"cell {self._shell.execution_count}", tags=tags, **limits)
        cb.is_carried = True
        self._cells.append(_Cell(cb.start()))
        if given.variable:
            self._shell.push({given.variable: cb})

    def _end(self, result: object) -> None:
        """The cell has ended, however it did."""
        while self._cells:
            self._cells.pop().end()

    def _report(self, line: str) -> None:
        """Show what the session has used since `%load_ext token_meter`."""
        from IPython.display import display

        display(_Shown(self._meter))


class _Cell:
    """A cell that runs: its meter, and a card that is refreshed."""

    def __init__(self, cb: Meter) -> None:
        from IPython.display import display

        self._meter = cb
        self._card = display(_Shown(cb), display_id=True)
        self._is_done = threading.Event()
        self._refresher = threading.Thread(target=self._refresh, name="token_meter card", daemon=True)
        Context().run(self._refresher.start)  # outside of all meters

    def _refresh(self) -> None:
        calls = (0, 0, 0)
        while not self._is_done.wait(_REFRESH_S):
            counted = self._meter._counted()
            now = (counted.successful_requests, counted.failed_requests, counted.open_streams)
            if now != calls:
                calls = now
                self._card.update(_Shown(self._meter))

    def end(self) -> None:
        """Close the meter and show the final card."""
        self._is_done.set()
        self._refresher.join()
        if self._meter.is_open:
            self._meter.stop()
        self._card.update(_Shown(self._meter))


class _Shown:
    """A meter as it is now: what is displayed does not change when its calls go on."""

    def __init__(self, cb: Meter) -> None:
        self._html, self._text = card(cb, warns=False), repr(cb)

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self._text


def _first_line(lines: list[str]) -> list[str]:
    """`%%meter ...` on a cell's first line becomes a statement in the same place."""
    if lines and (lines[0].rstrip() == _MAGIC or lines[0].startswith(f"{_MAGIC} ")):
        settings = lines[0].removeprefix(_MAGIC).strip()
        return [f"get_ipython().run_line_magic('meter', {settings!r})\n", *lines[1:]]
    return lines
