"""The grammar of `--fail-on` and `--warn-on`: `[SCOPE.]FIELD:LIMIT`."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from token_meter._text import suggestion
from token_meter.exceptions import ConfigError

SCOPES = ("total", "test", "model", "new")
_LARGEST = 30  # digits before the point, as in limits
FIELDS = ("cost", "spent", "tokens", "calls", "unpriced")


class Rule(NamedTuple):
    """One rule.

    Attributes:
        text: as the user wrote it.
        scope: `total`, each `test` (or other group of the report), each `model`, each `new` test.
        field: the compared field.
        limit: the largest allowed increase; negative: the decrease from which the baseline is stale.
        relative: the limit is a percentage of the base.
        warn: the rule only warns.
    """

    text: str
    scope: str
    field: str
    limit: Decimal
    relative: bool
    warn: bool = False


def parse_rule(text: str, *, warn: bool = False) -> Rule:
    """Read `cost:10%`, `test.cost:0.05`, `calls:0`, `new.cost:0.10`, `cost:-30%`, ….

    Raises:
        ConfigError: it is not a rule; the message says what was expected.
    """
    head, colon, amount = text.strip().partition(":")
    scope, dot, field = head.rpartition(".")
    scope = scope if dot else "total"
    if not colon:
        raise _wrong(text, "it has no limit")
    if field not in FIELDS:
        raise _wrong(text, _meant(field, FIELDS))
    if scope not in SCOPES:
        raise _wrong(text, _meant(scope, SCOPES))
    relative = amount.endswith("%")
    digits = amount.strip().removesuffix("%").strip().replace("$", "", 1)
    try:
        limit = Decimal(digits)
    except InvalidOperation:
        raise _wrong(text, f"{amount!r} is not a number") from None
    if not limit.is_finite() or limit.adjusted() > _LARGEST:
        raise _wrong(text, f"{amount!r} is not a number")
    if field == "unpriced" and (relative or limit < 0):
        raise _wrong(text, "unpriced calls are limited by a number, such as unpriced:0")
    if scope == "new" and (relative or limit < 0):
        raise _wrong(text, "what is new has no base to be a percentage of")
    return Rule(text.strip(), scope, field, limit, relative, warn)


def _meant(word: str, known: tuple[str, ...]) -> str:
    return f"{word!r} is none of {', '.join(known)}{suggestion(word, known)}"


def _wrong(text: str, why: str) -> ConfigError:
    return ConfigError(f"rule {text!r}: {why}; expected [SCOPE.]FIELD:LIMIT such as cost:10%, test.cost:0.05, calls:0")
