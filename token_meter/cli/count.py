"""`token-meter count`: tokens and price of a text before it is sent. It knows no tokenizer and no price."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from decimal import Decimal
from typing import IO, Any

import click

from token_meter.cli._options import examples, wrapped

_CHUNK = 1 << 16


@click.command("count", epilog=examples("count -m gpt-4o prompt.txt", "count -m gpt-4o-mini < book.txt"))
@click.argument("files", nargs=-1, metavar="[FILES|-]...")
@click.option("-m", "--model", metavar="MODEL", help="Whose tokens, and whose price.")
@click.option("--prices", metavar="FILE", help="Private prices, TOML or JSON.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@wrapped
def command(files: tuple[str, ...], model: str | None, prices: str | None, as_json: bool) -> None:
    """Count the tokens of FILES (UTF-8), or of stdin, and what they cost as input of MODEL.

    Files of any size are read piece by piece. A ~ marks a count in an encoding that is only assumed.
    """
    from token_meter.estimate.count import count_stream

    rows: list[dict[str, Any]] = []
    for name in files or ("-",):
        try:
            with nullcontext(sys.stdin.buffer) if name == "-" else open(name, "rb") as source:
                count = count_stream(_text(source), model)
        except IsADirectoryError:
            msg = f"{name} is a directory; expected a text file"
            raise click.ClickException(msg) from None
        rows.append(
            {"file": name, "tokens": count.tokens, "encoding": count.encoding, "approximate": count.approximate}
        )
    tokens = sum(row["tokens"] for row in rows)
    cost, reason = _cost(tokens, model, prices)
    if as_json:
        total = {"tokens": tokens, "cost_usd": None if cost is None else f"{cost:f}", "unpriced_reason": reason}
        click.echo(json.dumps({"model": model, "files": rows, "total": total}, indent=1))
        return
    width = max(len(f"{tokens:,}") + 1, 6)
    for row in rows:
        shown = f"{'~' if row['approximate'] else ''}{row['tokens']:,}"
        click.echo(f"{shown:>{width}}  {_visible(row['file'])}")
    if len(rows) > 1:
        click.echo(f"{'~' if any(r['approximate'] for r in rows) else ''}{tokens:,}".rjust(width) + "  total")
    encodings = ", ".join(dict.fromkeys(row["encoding"] for row in rows))
    from token_meter._money import format_usd

    price = f"{format_usd(cost)} as input of {model}" if cost is not None else f"no price: {reason}"
    click.echo(f"{encodings}; {price}", err=True)


def _text(source: IO[bytes]) -> Iterator[str]:
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    while chunk := source.read(_CHUNK):
        yield decode(chunk)
    yield decode(b"", True)


def _cost(tokens: int, model: str | None, prices: str | None) -> tuple[Decimal | None, str | None]:
    if model is None:
        return None, "no model was named (-m)"
    import time

    from token_meter.ci.harness import book_of
    from token_meter.types import Call, Usage

    usage = Usage(tokens, 0, tokens)
    call = Call(
        "", time.time(), 0.0, "api.openai.com", "chat", model, usage=usage, base_url="https://api.openai.com/v1"
    )
    price = book_of(prices).price(call)
    return price.cost, price.reason


def _visible(name: str) -> str:
    from token_meter.report._formatting import visible

    return visible(name)
