"""What people write by mistake, and the words that they get: what happened, and what to write instead."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any, NoReturn

from token_meter._text import suggestion

_MEANT = {
    "tokens": "total_tokens", "token_count": "total_tokens", "usage": "total_tokens", "total": "total_tokens",
    "tokens_used": "total_tokens", "input": "prompt_tokens", "output": "completion_tokens",
    "price": "cost", "usd": "cost", "dollars": "cost", "total_price": "cost", "spent": "cost", "total_cost_usd": "cost",
    "requests": "successful_requests", "num_requests": "successful_requests", "models": "by_model", "tag": "by_tag",
    "complete": "is_complete", "records": "calls", "history": "calls",
}  # fmt: skip
"""Words of other meters, and what their numbers are called here. Near misses are found by their spelling."""

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
                        msg = f"meter() has no argument {name!r}{suggestion(name, known)}"
                        if name == "label" or name == "labels":
                            msg += "; did you mean 'tags'?"
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
            hint = f"; did you mean {meant!r}?" if meant else ""
            if not hint and not name.startswith("_"):
                hint = suggestion(name, [known for known in dir(type(self)) if not known.startswith("_")])
            msg = f"a meter has no attribute {name!r}{hint}"
            raise AttributeError(msg)

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
