"""Which model a request asks for, by a glance at the bytes around its key."""

from __future__ import annotations

import re

from token_meter.wire.json_scan import parse_object
from token_meter.wire.readers import read_request

_FIRST, _KEY = b'{"model"', b'"model"'
_named = re.compile(rb'(?<!\\)"model": ?"([^"\\]{1,200})"').match
_is_plain = re.compile(rb'"model": ?"[^"]+"(?:, ?"\w++": ?[\w.+-]++)*+\}').fullmatch  # numbers and the like, no words
_SHORT = 64
_FAR = 64 * 1024
"""Bytes in front of an end that are looked through: an upload may have millions."""
_LIMIT = 256
_known: dict[bytes | int, str] = {}
"""Models by a short end of a request, by their bytes, or by a hash of a long end: no word that a program sends."""


def asked_model(content: bytes) -> str | None:
    """The model that a request asks for.

    The key `model` is the request's own, not that of an object inside it, if it is the first, or if the first bracket
    that is closed behind it is the last byte. Otherwise tools or the like stand behind it, which are mostly those of
    an earlier request. To read a request as a whole takes five times as long, and thirty times with a long prompt.
    """
    if content.startswith(_FIRST):
        at, end, is_own = 1, b"", True
    else:
        at = content.rfind(_KEY) if len(content) <= _FAR else content.rfind(_KEY, -_FAR)
        if at < 0:
            return read_request(content).model
        end = content[at : at + _SHORT]
        model = _known.get(end)  # those that are known are shorter: nothing follows
        if model is not None:
            return model
        is_own = content.find(b"}", at) == len(content) - 1
    named = _named(content, at)
    if named is None:
        return read_request(content).model
    if is_own:
        key: bytes | int = end if 0 < len(end) < _SHORT and _is_plain(end) else named[1]
    else:
        key = hash(content[at:])
    return _known.get(key) or _learned(content, at, named[1], key, is_own=is_own)


def _learned(content: bytes, at: int, name: bytes, key: bytes | int, *, is_own: bool) -> str | None:
    """The model of a request that is read as a whole, and remembered if it is the one that was seen at a glance."""
    model = read_request(content).model
    is_own = is_own or parse_object(b"{" + content[at:]) is not None  # an inner one leaves a bracket over
    if is_own and model is not None and name == model.encode():
        if len(_known) >= _LIMIT:
            _known.clear()
        _known[key] = model
    return model
