"""Reads a call of an SDK that Stainless generates (openai, anthropic, groq, ...) before its request is built."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from token_meter.transports.ports import Key, PlannedCall

RETRY_COUNT = "x-stainless-retry-count"


def read_options(client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PlannedCall:
    """Read a call of `request(cast_to, options, ...)`, where the options are the second argument in every version."""
    options = args[1] if len(args) > 1 else kwargs.get("options")
    return _OptionsCall(client, options)


class _OptionsCall:
    """A call of an SDK whose request is not built yet."""

    __slots__ = ("_body", "_options", "client")

    def __init__(self, client: Any, options: Any) -> None:
        self.client = client
        self._options = options
        self._body = b""

    @property
    def key(self) -> Key:
        """The endpoint to which the SDK will send it."""
        base = self.client.base_url
        url = type(base)(self._options.url)
        if not url.is_absolute_url:
            url = base.copy_with(raw_path=base.raw_path.rstrip(b"/") + b"/" + url.raw_path.lstrip(b"/"))
        return str(self._options.method).upper(), url.scheme, url.host, url.port, url.path

    def body(self) -> bytes:
        """The body that the SDK will send, as JSON; for a form, its fields. It is made once."""
        self._body = self._body or self._made()
        return self._body

    def _made(self) -> bytes:
        data = getattr(self._options, "json_data", None)
        more = getattr(self._options, "extra_json", None)
        if isinstance(more, Mapping):
            data = {**data, **more} if isinstance(data, Mapping) else more
        if data is None:
            return b""
        return json.dumps(data, ensure_ascii=False, default=_plain).encode("utf-8", "surrogatepass")


def _plain(value: Any) -> Any:
    """Convert a value that is not JSON as the SDK does: a model to its fields; any other value to its text."""
    dump = getattr(value, "model_dump", None)
    return dump(mode="json", exclude_unset=True) if dump is not None else str(value)
