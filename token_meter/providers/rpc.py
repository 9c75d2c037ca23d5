"""The type of a method of gRPC that runs models, and how its messages read as the JSON of the same call over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


def as_it_is(message: dict[str, Any]) -> dict[str, Any]:
    """A message whose JSON is that of the api."""
    return message


class Rpc(NamedTuple):
    """Some methods of a gRPC service.

    Attributes:
        method: a pattern of their full names, `/package.Service/Method`.
        host: the provider's host, also where a channel leads elsewhere.
        path: the path of the same call over HTTP, from the pattern's match and the request; `None` where it cannot be
            read, so that such a call is unmeasured.
        request: makes the JSON of a request.
        answer: makes the JSON of an answer, or of one of a stream.
        host_of: tells, by the pattern's match and the request, which of several hosts of the provider serves a call.
        keeps_names: JSON keeps the names of fields as they are declared, instead of camel case.
    """

    method: str
    host: str
    path: Callable[[Any, Any], str] | None = None
    request: Callable[[dict[str, Any]], dict[str, Any]] = as_it_is
    answer: Callable[[dict[str, Any]], dict[str, Any]] = as_it_is
    host_of: Callable[[Any, Any], str] | None = None
    keeps_names: bool = False

    def unread(self) -> Rpc:
        """The same methods, where a request is no message: such a call is unmeasured."""
        return self._replace(path=None, host_of=None)
