"""Legacy completions: the text stands in the choice itself."""

from __future__ import annotations

from collections.abc import Iterator

from token_meter._wire._flavour import Flavour, Piece, outer_or_choice
from token_meter._wire._json import Object
from token_meter._wire._shapes import index_of, objects, text_of


def _pieces(event: Object) -> Iterator[Piece]:
    for position, choice in enumerate(objects(event.get("choices"))):
        if text := text_of(choice.get("text")):
            yield Piece("text", text, index_of(choice, position))


def _finish(event: Object) -> str | None:
    reasons = (text_of(choice.get("finish_reason")) for choice in objects(event.get("choices")))
    return next(filter(None, reasons), None)


COMPLETIONS = Flavour(
    "completions", paths=("completions",), place=outer_or_choice, pieces=_pieces, answer=_pieces, finish=_finish
)
