"""Reads JSON as far as it must: whole when small, by its outer keys when big. Knows no api and no usage."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]

SMALL = 16 * 1024
FULL_PARSE_LIMIT = 32 * 1024 * 1024
_TRIES = 8
_VALUE_LIMIT = 4096
_SPACE = b" \t\n\r"
# A server keeps a slow answer alive with blank lines, as many as it takes; clients skip a mark of byte order too.
_BEFORE = re.compile(rb"[ \t\n\r]*(?:\xef\xbb\xbf[ \t\n\r]*)?")

# What a document can do to the parser: bad syntax and 5 000-digit numbers; 200 000 levels.
_UNREADABLE = (ValueError, RecursionError)


def _once(pairs: list[tuple[str, Any]]) -> Object:
    """Build an object without the keys that it gives twice: which of the two is meant is unknown."""
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                found.pop(key, None)
            seen.add(key)
    return found


def _money(text: str) -> Decimal:
    """A number that may be money; one whose exponent no decimal can hold is none, and costs the rest nothing."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def _unreadable(_: bytes) -> Any:
    """Where there is no quick parser the careful one does it all."""
    raise ValueError


try:
    # Comes with the SDK, which requires it; takes a third of json's time, and finds keys that are given twice.
    from jiter import from_json

    _quick: Callable[[bytes], Any] = partial(from_json, catch_duplicate_keys=True)
except ImportError:
    _quick = _unreadable

_PLAIN = json.JSONDecoder()
# Exact only where money may stand in the text: a float would not give back its digits.
_EXACT = json.JSONDecoder(parse_float=_money)
_DECODERS = {
    (False, False): _PLAIN,
    (True, False): _EXACT,
    (False, True): json.JSONDecoder(object_pairs_hook=_once),
    (True, True): json.JSONDecoder(object_pairs_hook=_once, parse_float=_money),
}
_USAGE = b'"usage"'
_TOTALS = (b'"total_tokens"', b'"prompt_tokens"', b'"completion_tokens"', b'"input_tokens"', b'"output_tokens"')


def parse(raw: bytes) -> Any:
    """The value of a JSON text, or `None` when it has none that can be read."""
    at = raw.rfind(_USAGE)  # a fourth of the time of `find`
    exact = at >= 0 and raw.rfind(b'"cost"', at) >= 0
    if not exact:
        try:
            return _quick(raw)
        except ValueError:  # it is stricter than json: a key given twice, a lone surrogate
            pass
    decoder = _DECODERS[exact, at >= 0 and _is_suspect(raw, at)]
    text = _decoded(raw).strip("\ufeff \t\n\r")
    try:
        value, end = decoder.raw_decode(text)
    except _UNREADABLE:
        return None
    return value if end == len(text) else None


def start_of(raw: bytes) -> int:
    """Where a body begins, behind blank lines and a mark of byte order."""
    found = _BEFORE.match(raw)
    return 0 if found is None else found.end()


def _decoded(raw: bytes) -> str:
    """The text of a body, in the encoding that clients find out as JSON's own rules have it."""
    encoding = "utf-8" if raw[:1] in (b"{", b"[") and raw[1:2] != b"\0" else json.detect_encoding(raw)
    return raw.decode(encoding, "replace")


def _is_suspect(raw: bytes, at: int) -> bool:
    """Whether a count may be given twice: then the slow parse shall find out."""
    if raw.rfind(_USAGE, 0, at) >= 0:
        return True
    for key in _TOTALS:
        last = raw.rfind(key, at)
        if last >= 0 and raw.rfind(key, at, last) >= 0:
            return True
    return False


def parse_object(raw: bytes) -> Object | None:
    """The object of a JSON text, or `None`."""
    value = parse(raw)
    return value if isinstance(value, dict) else None


def fields(body: bytes, keys: Sequence[str], optional_keys: Sequence[str] = (), small: int = SMALL) -> Object | None:
    """At least *keys* of the object in *body*, as far as it has them; `None` when it is no object.

    A big body is searched near its ends, and only what stands there is parsed; when that cannot settle
    where a key belongs, the whole is parsed after all. *optional_keys* are keys that are taken when they stand
    near an end, and not missed otherwise.
    """
    if len(body) > small:
        found = _search(body, keys, optional_keys)
        if found is not None:
            return found
        if len(body) > FULL_PARSE_LIMIT:
            return None
    return parse_object(body)


class _UnsureError(Exception):
    """Where a key belongs cannot be settled from the ends of the body."""


def _search(body: bytes, keys: Sequence[str], optional_keys: Sequence[str]) -> Object | None:
    """Find outer *keys* near the ends of *body*; `None` when unsure."""
    if not body.startswith(b"{", start_of(body)) or body[-64:].rstrip(_SPACE)[-1:] != b"}":
        return None
    head_end, tail_start = min(SMALL, len(body) // 2), max(len(body) - SMALL, len(body) // 2)
    found: Object = {}
    for key in (*keys, *optional_keys):
        if key in found:
            continue
        quoted = b'"' + key.encode("ascii") + b'"'
        try:
            behind = _behind(body, quoted, tail_start)
            if behind is not None:
                found.update(behind)
                continue
            # It may be the outer one that stands in the middle. (`rfind` is four times as fast as `find`.)
            if key in keys and body.rfind(quoted, head_end - len(quoted), tail_start + len(quoted)) >= 0:
                return None
            found = {**_before(body, quoted, key, head_end), **found}
        except _UnsureError:
            if key in keys:
                return None
    return found


def _behind(body: bytes, quoted: bytes, start: int) -> Object | None:
    """The outer fields from the last outer key *quoted* on.

    What follows an outer key, with a brace put before it, is itself one whole object;
    what follows a nested key leaves a closing bracket over.
    """
    at = body.rfind(quoted, start)
    for _ in range(_TRIES):
        if at < 0:
            return None
        if _is_key(body, at, len(quoted)):
            rest = parse(b"{" + body[at:])
            if isinstance(rest, dict):
                return rest
        at = body.rfind(quoted, start, at)
    raise _UnsureError


def _before(body: bytes, quoted: bytes, key: str, end: int) -> Object:
    """The outer fields up to the first outer key *quoted*, and its value; empty when there is none.

    What stands before an outer key, closed with an empty field and a brace, is itself one whole object;
    before a nested key an opening bracket is left over.
    """
    at = body.find(quoted, 0, end)
    for _ in range(_TRIES):
        if at < 0:
            return {}
        if _is_key(body, at, len(quoted)):
            head = parse(body[:at] + b'"":0}')
            if isinstance(head, dict):
                del head[""]
                text = body[at + len(quoted) : at + len(quoted) + _VALUE_LIMIT].decode("utf-8", "replace")
                try:
                    head[key], _ = _EXACT.raw_decode(text.lstrip().removeprefix(":").lstrip())
                except _UNREADABLE:
                    raise _UnsureError from None
                return head
        at = body.find(quoted, at + 1, end)
    raise _UnsureError


def _is_key(body: bytes, at: int, length: int) -> bool:
    """Whether the quoted word at *at* can be a key: not part of a text, and a colon behind it."""
    return body[max(0, at - 64) : at].rstrip(_SPACE)[-1:] in (b"{", b",") and body[
        at + length : at + length + 64
    ].lstrip(_SPACE).startswith(b":")
