"""Formats numbers and names for all report formats.

Names come from models, tests and labels, and may be hostile. For each format, one function here escapes a name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from decimal import Context, Decimal

from token_meter._money import format_usd, scale_of
from token_meter.report._summary import Totals

_COMMAND = re.compile(r"(^|\s)::")
_FINEST, _WIDE = Decimal("1e-100"), Context(prec=160)  # as amounts may be; independent of the caller's context
_TONES = {"EXCEEDED": "red", "UNKNOWN": "yellow", "WARN": "yellow", "ok": "green"}


def cost_text(totals: Totals, *, spent: bool = False, places: int | None = None) -> str:
    """Show a sum that may be partly estimated or a lower bound: `$0.2031`, `~$0.2031`, `>=$0.2031`, `unpriced`."""
    amount = totals.known_cost(spent=spent)
    if amount is None:
        return "unpriced"
    missing, guesses = (totals.live_open, totals.live_estimated) if spent else (totals.open, totals.estimated)
    guessed = "~" if guesses else ""
    if not missing:
        return guessed + format_usd(amount, places)
    shown = format_usd(amount, places)
    return f">={guessed}${Decimal(f'{amount:.1g}'):f}" if shown.startswith("<") else f">={guessed}{shown}"


def cost_sentence(totals: Totals, name_width: int = 10_000) -> str:
    """Show a sum with the reason why it is only a lower bound: `>=$0.0123 (2 calls unpriced: acme-7b)`."""
    text = cost_text(totals)
    if not totals.open:
        return text
    named = ", ".join(shortened(visible(name), name_width) for name in totals.unpriced_models[:3])
    more = f" and {len(totals.unpriced_models) - 3} more" if len(totals.unpriced_models) > 3 else ""
    gaps = ((totals.unpriced, "unpriced"), (totals.partly_priced, "priced in part"))
    calls = ", ".join(f"{counted(n, 'call')} {what}" for n, what in gaps if n) + f": {named}{more}"
    return f"unknown ({calls})" if text == "unpriced" else f"{text} ({calls})"


def tone_of(line: str) -> str | None:
    """The colour of a table's line in a terminal, so that problems are visible."""
    if line.startswith("budget  "):
        return _TONES.get(line.rpartition("  ")[2])
    if line.startswith("warning: "):
        return "yellow"
    word, gap, _ = line.partition("  ")
    return _TONES.get(word) if gap else None


def scale_of_sums(sums: Iterable[Totals | None], *, spent: bool = False) -> int | None:
    """The decimal places of a column of sums."""
    return scale_of(t.known_cost(spent=spent) for t in sums if t is not None)


def change_text(change: Decimal, places: int | None = None) -> str:
    """Show a difference with its sign: `+$0.0080`, `-$0.0002`, `=`."""
    if change == 0:
        return "="
    return f"{'+' if change > 0 else '-'}{format_usd(abs(change), places)}"


def percent_text(change: Decimal, base: Decimal) -> str | None:
    """Show a change as a percentage of *base*; `None` if *base* is 0."""
    if base <= 0:
        return None
    part = change / base * 100
    if change and abs(part) < Decimal("0.1"):
        return f"{'+' if change > 0 else '-'}<0.1%"
    return f"{part:+.1f}%"


def counted(n: int, what: str, more: str = "s") -> str:
    """Show a number of things: `1 call`, `2 processes`."""
    return f"{n:,} {what}{'' if n == 1 else more}"


def count_text(count: int | None) -> str:
    """Show a count; an unreported one is a dash."""
    return "-" if count is None else f"{count:,}"


def exact(amount: Decimal | None) -> str:
    """Show money for machines: digit for digit, without an exponent; nothing where it is not known."""
    if amount is None:
        return ""
    if int(amount.as_tuple().exponent) < -100:  # of a report that others wrote
        amount = amount.quantize(_FINEST, context=_WIDE)
    return f"{amount.normalize(_WIDE):f}"


def visible(name: str) -> str:
    """Escape each character that could move the cursor, reverse or end a line, or be invisible.

    Also `##`, because `##[` and `##vso[` are commands to a CI's log reader anywhere in a line.
    """
    if not (name.isascii() and name.isprintable()):
        name = "".join(c if _is_plain(c) else _escape(c) for c in name)
    return name.replace("##", "#\\x23") if "##" in name else name


def _is_plain(c: str) -> bool:
    # Cc, Cf (bidi, zero width), Cs (lone surrogates), Co, Cn, Zl, Zp.
    return unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _escape(c: str) -> str:
    return c.encode("unicode_escape").decode("ascii")


def cells(text: str) -> int:
    """The number of terminal columns of *text*."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def shortened(name: str, width: int) -> str:
    """Cut a name in the middle to *width* columns, because both a test's file and its last words identify it."""
    if cells(name) <= width:
        return name
    if width < 8:
        return _first(name, width)
    head = _first(name, (width - 1) // 3)
    tail = _first(name[::-1], width - 1 - cells(head))
    return f"{head}…{tail[::-1]}"


def _first(name: str, width: int) -> str:
    taken = 0
    for at, c in enumerate(name):
        taken += cells(c)
        if taken > width:
            return name[:at]
    return name


def terminal(name: str, width: int = 10_000) -> str:
    """Escape a name for a CI's log reader, for which `::error::` at the start of a line is a command.

    Also after a blank: a line may be wrapped there, and a reader ignores blanks before a command.
    """
    return shortened(_COMMAND.sub(r"\1\\x3a:", visible(name)), width)


def markdown(name: str) -> str:
    """Write a name as a code span that cells, fences, links, mentions and tags in it cannot end."""
    shown = visible(name).replace("|", "\\|")
    longest = run = 0
    for c in shown:
        run = run + 1 if c == "`" else 0
        longest = max(longest, run)
    fence = "`" * (longest + 1)
    pad = " " if not shown.strip() or shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown or '(empty)'}{pad}{fence}"


def csv_cell(name: str) -> str:
    """Escape a cell for spreadsheets: text that begins like a formula gets an apostrophe."""
    shown = visible(name)
    return f"'{shown}" if name.lstrip()[:1] in ("=", "+", "-", "@") or name[:1] in ("\t", "\r", "\n") else shown


def xml(name: str) -> str:
    """Remove the characters that XML 1.0 forbids; the writer escapes `<` and `&`."""
    return visible(name)


def label_value(name: str) -> str:
    """Escape a label value of OpenMetrics."""
    return visible(name).replace("\\", "\\\\").replace('"', '\\"')


def command_data(text: str) -> str:
    """Escape the message of a GitHub workflow command."""
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def command_property(text: str) -> str:
    """Escape a property of a GitHub workflow command."""
    return command_data(text).replace(":", "%3A").replace(",", "%2C")


def azure_data(text: str) -> str:
    """Escape the message of an Azure logging command."""
    return visible(text).replace("%", "%AZP25").replace("\r", "%0D").replace("\n", "%0A")


def azure_property(text: str) -> str:
    """Escape a property of an Azure logging command."""
    return azure_data(text).replace(";", "%3B").replace("]", "%5D")
