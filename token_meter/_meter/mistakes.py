"""What people write by mistake, and the words that they get: what happened, and what to write instead."""

from __future__ import annotations

from decimal import Decimal
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, NoReturn

from token_meter._text import suggestion

_MEANT = {
    "tokens": "total_tokens", "token_count": "total_tokens", "usage": "total_tokens", "total": "total_tokens",
    "tokens_used": "total_tokens", "input": "prompt_tokens", "output": "completion_tokens",
    "price": "cost", "usd": "cost", "dollars": "cost", "total_price": "cost", "spent": "cost", "total_cost_usd": "cost",
    "requests": "successful_requests", "num_requests": "successful_requests", "models": "by_model", "tag": "by_tag",
    "complete": "is_complete", "records": "calls", "history": "calls", "errors": "failed_requests",
    "limit": "remaining", "limits": "remaining", "left": "remaining", "max_cost": "remaining",
    "close": "stop", "end": "stop", "open": "start", "begin": "start",
}  # fmt: skip
"""Words of other meters, and what their numbers are called here. Near misses are found by their spelling."""
_INSTEAD = {
    "reset": "a new block, `with meter() as cb:`, begins at 0",
    **dict.fromkeys(("print", "show", "summary", "report"), "print(cb) shows it"),
    **dict.fromkeys(
        ("elapsed", "duration", "duration_s"), "calls have it, with meter(keep_calls=True): call.duration_s"
    ),
    **dict.fromkeys(("last_call", "last"), "cb.calls[-1] is it, with meter(keep_calls=True)"),
}
"""What has no attribute, and how to have it."""
_MEANT_LIMIT = ("limit", "budget", "max_budget", "cost_limit", "max_price", "max_dollars", "cost")
_MEANT_ARGUMENT = {
    **dict.fromkeys(_MEANT_LIMIT, "max_cost"),
    "label": "tags",
    "labels": "tags",
    "callbacks": "handlers",
}

if TYPE_CHECKING:
    MeterType = type  # type checkers refuse these mistakes themselves
else:

    class MeterType(type):
        """The class of the class `Meter`: what is done to `meter` itself, without its parentheses, comes here."""

        def __call__(cls, *values: Any, **settings: Any) -> Any:
            """Make a meter; an argument that it does not have is named with the one that is meant."""
            try:
                return super().__call__(*values, **settings)
            except TypeError:
                taken = signature(cls.__init__).parameters
                known = [*taken][1:]
                takes_any = any(
                    one.kind is one.VAR_KEYWORD for one in taken.values()
                )  # a subclass; the error is its own
                for name in settings:
                    if name not in known and not takes_any:
                        # `budget=Budget(...)` is not an amount: its nearest name is the one that is meant
                        is_amount = isinstance(settings[name], str | int | float | Decimal)
                        meant = _MEANT_ARGUMENT.get(name) if is_amount or name not in _MEANT_LIMIT else None
                        hint = f"; did you mean {meant!r}?" if meant else suggestion(name, known)
                        msg = f"meter() has no argument {name!r}{hint}"
                        raise TypeError(msg) from None
                kinds = [one.kind for one in taken.values()]
                if len(values) > 1 and kinds.count(Parameter.POSITIONAL_OR_KEYWORD) == 2:  # self and the name
                    msg = f"meter() takes one value without a keyword, its name; {values[1]!r} needs one: max_cost=0.05"
                    raise TypeError(msg) from None
                raise

        def __enter__(cls) -> NoReturn:
            """Say that the parentheses are missing."""
            msg = "with meter as cb: the parentheses are missing; write `with meter() as cb:`"
            raise TypeError(msg)

        def __exit__(cls, *exc: object) -> None:
            """Make `with` look for the above."""

        async def __aenter__(cls) -> NoReturn:
            """Say that the parentheses are missing."""
            msg = "async with meter as cb: the parentheses are missing; write `async with meter() as cb:`"
            raise TypeError(msg)

        async def __aexit__(cls, *exc: object) -> None:
            """Make `async with` look for the above."""


class Helpful:
    """The part of a meter that answers to what it does not have."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            """Name the attribute that is meant."""
            meant = _MEANT.get(name)
            hint = f"; did you mean {meant!r}?" if meant else f"; {_INSTEAD[name]}" if name in _INSTEAD else ""
            if not hint and not name.startswith("_"):
                hint = suggestion(name, [known for known in dir(type(self)) if not known.startswith("_")])
            msg = f"a meter has no attribute {name!r}{hint}"
            raise AttributeError(msg, name=name)  # without the meter itself, for which Python has guesses of its own

    def __format__(self, spec: str) -> str:
        """A meter as text; widths and precisions belong to its numbers."""
        if spec:
            msg = (
                f"a meter takes no format {spec!r}; format a number of it: f'{{cb.cost:.4f}}', f'{{cb.total_tokens:,}}'"
            )
            raise TypeError(msg)
        return str(self)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a copy in another process would count nothing."""
        msg = (
            "a meter cannot be pickled or sent to another process, where it would count nothing; "
            "send its numbers, cb.to_dict(), or open a meter there and record() them here"
        )
        raise TypeError(msg)
