"""`token-meter count`: tokens and price of texts and requests before they are sent."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from decimal import Decimal
from itertools import chain
from typing import IO, Any, NamedTuple

import click

from token_meter.cli._options import examples, wrapped

_CHUNK = 1 << 16
_LARGEST_REQUEST = 64 << 20
"""Bytes of the largest file that is parsed as JSON; a larger one counts as text."""

_APIS = ("chat", "responses", "completions", "embeddings", "messages", "generate_content", "converse")


class _Row(NamedTuple):
    """The count of one file; a text has no class, and is priced together with other texts."""

    file: str
    tokens: int
    encoding: str
    approximate: tuple[str, ...]
    request: dict[str, Any] | None = None
    cost: Decimal | None = None
    reason: str | None = None

    @property
    def shown(self) -> str:
        """The tokens, with a mark where they are not exact."""
        is_least = self.request is not None and self.request["not_counted"]
        return f"{'>=' if is_least else ''}{'~' if self.approximate else ''}{self.tokens:,}"

    @property
    def told(self) -> str:
        """The class of a request, and the certainty of its count."""
        if self.request is None:
            return ""
        found = self.request
        said = f"{found['api']}, {found['class']}: {found['certainty'].replace('_', ' ')}"
        for words, names in (("approximate", self.approximate), ("not counted", found["not_counted"])):
            said += f"; {words}: {', '.join(names)}" if names else ""
        return f"  {said}"


@click.command("count", epilog=examples("count request.json", "count -m gpt-4o prompt.txt", "count < book.txt"))
@click.argument("files", nargs=-1, metavar="[FILES|-]...")
@click.option("-m", "--model", metavar="MODEL", help="The model that counts and prices; without it a request's own.")
@click.option(
    "--as",
    "kind",
    metavar="KIND",
    type=click.Choice(("text", *_APIS)),
    help=f"What FILES are: text, {', '.join(_APIS[:-1])} or {_APIS[-1]}.  [default: by their shape]",
)
@click.option("--prices", metavar="FILE", help="Private prices, TOML or JSON.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@wrapped
def command(files: tuple[str, ...], model: str | None, kind: str | None, prices: str | None, as_json: bool) -> None:
    """Count the tokens of FILES (UTF-8), or of stdin, and what they cost as input of MODEL.

    A file is a text of any size, or the JSON body of a request, which counts as the API would count it, with its tools
    and schema. A ~ marks a count that may be some tokens off, a >= one that lacks what only the provider sees.
    """  # fmt: skip
    rows = []
    for name in files or ("-",):
        try:
            with nullcontext(sys.stdin.buffer) if name == "-" else open(name, "rb") as source:
                rows.append(_row(name, source, model, kind, prices))
        except IsADirectoryError:
            msg = f"{name} is a directory; expected a text file"
            raise click.ClickException(msg) from None
    tokens = sum(row.tokens for row in rows)
    cost, reason = _cost(rows, model, prices)
    if as_json:
        total = {"tokens": tokens, "cost_usd": None if cost is None else f"{cost:f}", "unpriced_reason": reason}
        click.echo(json.dumps({"model": model, "files": [_as_json(row) for row in rows], "total": total}, indent=1))
        return
    width = max(6, len(f"{tokens:,}") + 1, *(len(row.shown) for row in rows))
    for row in rows:
        click.echo(f"{row.shown:>{width}}  {_visible(row.file + row.told)}")
    if len(rows) > 1:
        marks = "".join(mark for mark in (">=", "~") if any(mark in row.shown for row in rows))
        click.echo(f"{marks}{tokens:,}".rjust(width) + "  total")
    from token_meter._money import format_usd

    models = ", ".join(dict.fromkeys(_visible(str(model or (row.request or {}).get("model"))) for row in rows))
    price = f"{format_usd(cost)} as input of {models}" if cost is not None else f"no price: {reason}"
    click.echo(f"{', '.join(dict.fromkeys(row.encoding for row in rows))}; {price}", err=True)


def _row(name: str, source: IO[bytes], model: str | None, kind: str | None, prices: str | None) -> _Row:
    from token_meter.estimate import count_stream, resolve_encoding
    from token_meter.forecast import estimate_cost, request_in

    head = source.read(_CHUNK)
    body = None
    if kind != "text" and head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        head += source.read(_LARGEST_REQUEST)
        body = request_in(head, by_shape=kind is None)
    if body is None:
        if kind not in (None, "text"):
            msg = f"{name} contains no {kind} request; expected a JSON object, the body of one"
            raise click.ClickException(msg)
        if kind is None and name.lower().endswith(".json"):
            click.echo(f"{_visible(name)} holds no request that is known, and counts as a text", err=True)
        count = count_stream(_text(chain((head,), iter(lambda: source.read(_CHUNK), b""))), model)
        return _Row(name, count.tokens, count.encoding, ("unknown encoding",) if count.approximate else ())
    from token_meter.ci.harness import book_of

    found = estimate_cost(body, model, prices=book_of(prices), api=kind)
    named = model or body.get("model", body.get("modelId"))
    named = named if isinstance(named, str) else None
    told = {
        "model": named,
        "api": found.api,
        "class": found.kind,
        "certainty": found.certainty,
        "approximate_because": list(found.approximate),
        "not_counted": list(found.uncounted),
    }
    encoding, _ = resolve_encoding(named)
    return _Row(name, found.prompt_tokens, encoding, found.approximate, told, found.low, found.reason)


def _as_json(row: _Row) -> dict[str, Any]:
    known = {"file": row.file, "tokens": row.tokens, "encoding": row.encoding, "approximate": bool(row.approximate)}
    return {**known, **(row.request or {})}


def _text(chunks: Iterable[bytes]) -> Iterator[str]:
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    for chunk in chunks:
        yield decode(chunk)
    yield decode(b"", True)


def _cost(rows: list[_Row], model: str | None, prices: str | None) -> tuple[Decimal | None, str | None]:
    """Price all rows: each request as one call, and all texts as the input of another."""
    costs = [(row.cost, row.reason) for row in rows if row.request is not None]
    texts = [row.tokens for row in rows if row.request is None]
    if texts:
        costs.append(_cost_of_text(sum(texts), model, prices))
    total = Decimal(0)
    for cost, reason in costs:
        if cost is None:
            return None, reason
        total += cost
    return total, None


def _cost_of_text(tokens: int, model: str | None, prices: str | None) -> tuple[Decimal | None, str | None]:
    if model is None:
        return None, "no model was named (-m)"
    import time

    from token_meter.ci.harness import book_of
    from token_meter.forecast import price_before
    from token_meter.types import Call, Usage

    call = Call("", time.time(), 0.0, None, "chat", model, usage=Usage(tokens, 0, tokens))
    price = price_before(book_of(prices), call)
    return price.cost, price.reason


def _visible(name: str) -> str:
    from token_meter.report._formatting import visible

    return visible(name)
