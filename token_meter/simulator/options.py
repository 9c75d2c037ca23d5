"""The options of one request, read from `x-sim-*` headers or a URL segment.

The same names work three ways: `x-sim-latency: 0.2`, `x-sim: latency=0.2,chunk=1`, and in the base URL:
`http://127.0.0.1:8000/__opt/latency=0.2,chunk=1/v1`. The URL wins over the headers, so that a redirect can change them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from token_meter.exceptions import ConfigError

USAGE_STYLES = (
    "openai",
    "none",
    "null",
    "every",
    "choices0",
    "deepseek",
    "openrouter",
    "byok",
    "xai",
    "after_done",
)
LINE_ENDS = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}
ENCODINGS = ("gzip", "deflate", "br", "zstd")
SEGMENT = "__opt"
_MOST_FAILURES, _MOST_PADDING, _MOST_WORDS, _MOST_COUNT = 1_000, 100_000_000, 100_000, 1_000_000_000


def _flag(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on", ""):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError(text)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 3600:
        raise ValueError(text)
    return value


def _amount(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1e9:
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


def _up_to(most: int) -> Callable[[str], int]:
    """A count of things that are made, which is bounded: one request must not fill the memory, or hold up others."""

    def read(text: str) -> int:
        value = _count(text)
        if value > most:
            raise ValueError(text)
        return value

    return read


def _status(text: str) -> int:
    value = _count(text)
    if not 400 <= value <= 599:
        raise ValueError(text)
    return value


def _failures(text: str) -> tuple[int, ...]:
    """`429x2+500x1` is 429, 429, 500, then success; a thousand failures in all."""
    found: list[int] = []
    for part in text.split("+"):
        status, _, times = part.partition("x")
        n = _count(times) if times else 1
        if len(found) + n > _MOST_FAILURES:
            raise ValueError(text)
        found += [_status(status)] * n
    return tuple(found)


def _encodings(text: str) -> tuple[str, ...]:
    """`gzip+br` is brotli around gzip."""
    found = tuple(text.split("+"))
    if not all(name in ENCODINGS for name in found):
        raise ValueError(text)
    return found


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(text)
        return text

    return read


def _option(default: Any, read: Callable[[str], Any], meaning: str) -> Any:
    return field(default=default, metadata={"read": read, "meaning": meaning})


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one request; every field is an option of the same name."""

    latency: float = _option(0.0, _seconds, "seconds before the headers")
    delay: float = _option(0.0, _seconds, "seconds before each event of a stream, or each piece of a chunked body")
    chunk: int | None = _option(None, _count, "bytes in each piece sent; 1 is byte by byte, across event borders")
    line: str = _option("lf", _one_of(*LINE_ENDS), f"line end of events: {', '.join(LINE_ENDS)}")
    usage: str = _option("openai", _one_of(*USAGE_STYLES), f"how usage is reported: {', '.join(USAGE_STYLES)}")
    compress: tuple[str, ...] = _option((), _encodings, f"content encodings, joined by +: {', '.join(ENCODINGS)}")
    fail: tuple[int, ...] = _option((), _failures, "failures before success, such as 429x2 or 500x1+503x1; up to 1,000")
    status: int | None = _option(None, _status, "always this error status, with usage in the error body")
    cut: int | None = _option(None, _count, "the socket dies after so many events (or, for JSON, pieces)")
    error: int | None = _option(None, _count, "an error event after so many events, then nothing")
    error_usage: bool = _option(False, _flag, "the error event carries the usage so far")
    done: bool = _option(True, _flag, "send `data: [DONE]` where OpenAI does")
    last_blank: bool = _option(True, _flag, "end the last event with its blank line")
    bom: bool = _option(False, _flag, "start the stream with a byte order mark")
    comments: bool = _option(False, _flag, "a comment line before each event")
    multiline: bool = _option(False, _flag, "spread each event over several data: lines")
    body: str | None = _option(None, _one_of("json", "sse"), "answer in json or sse, whatever was asked for")
    redirect: bool = _option(False, _flag, "answer 307 first, with usage in its body")
    truncate: bool = _option(False, _flag, "send half of a JSON body, then the socket dies")
    slow: float = _option(0.0, _seconds, "seconds between the two halves of a JSON body")
    tier: str | None = _option(None, str, "the service tier that is said to have served the call")
    model: str | None = _option(None, str, "the model name that is said to have served the call")
    id: str | None = _option(None, str, "a fixed response id, repeated by every answer")
    huge: int = _option(0, _up_to(_MOST_PADDING), "bytes of padding in front of a JSON body, up to 100 MB")
    seed: str = _option("", str, "another seed gives another answer to the same request")
    words: int | None = _option(None, _up_to(_MOST_WORDS), "length of the answer in words; up to 100,000")
    reasoning: int | None = _option(None, _up_to(_MOST_COUNT), "hidden reasoning tokens")
    cache: bool = _option(True, _flag, "report prompt tokens read from the cache")
    lag: float = _option(0.0, _amount, "administrators' reports leave out what is younger, in seconds")
    fee: float = _option(0.0, _amount, "a fee of a hosted tool on each day's cost report, US dollars")
    rate: float = _option(1.0, _amount, "cost reports charge the list price times this")
    round: int | None = _option(None, _count, "decimal places of amounts in cost reports")
    polls: int = _option(2, _up_to(_MOST_COUNT), "how often a background response is polled before it is complete")


_FIELDS = {f.name: f for f in fields(Options)}
_PLAIN = Options()


def read_options(pairs: Iterable[tuple[str, str]]) -> Options:
    """Read `(name, value)` pairs; later ones win.

    Raises:
        ConfigError: a name is not an option, or a value is not valid; the text says what is expected.
    """
    found: dict[str, Any] = {}
    for raw_name, value in pairs:
        name = raw_name.strip().replace("-", "_")
        known = _FIELDS.get(name)
        if known is None:
            msg = f"unknown simulator option {name!r}; there are: {', '.join(sorted(_FIELDS))}"
            raise ConfigError(msg)
        try:
            found[name] = known.metadata["read"](value.strip())
        except ValueError:
            msg = f"simulator option {name} cannot be {value!r}: {known.metadata['meaning']}"
            raise ConfigError(msg) from None
    return replace(_PLAIN, **found) if found else _PLAIN


def split_list(text: str) -> list[tuple[str, str]]:
    """`a=1,b` as pairs; a name alone is a flag."""
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    return [(name, value) for name, _, value in parts]


def header_pairs(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Read the options from request headers with lower-case names."""
    pairs = split_list(headers.get("x-sim", ""))
    pairs += [(name[6:], value) for name, value in headers.items() if name.startswith("x-sim-")]
    return pairs


def split_path(path: str) -> tuple[list[tuple[str, str]], str]:
    """Split every `/__opt/<list>` off *path*; return the options and the remaining path."""
    if f"/{SEGMENT}/" not in path:
        return [], path
    pairs: list[tuple[str, str]] = []
    kept: list[str] = []
    parts = iter(path.split("/"))
    for part in parts:
        if part == SEGMENT:
            pairs += split_list(next(parts, ""))
        else:
            kept.append(part)
    return pairs, "/".join(kept)


def describe_options() -> str:
    """One line for each option, for `--help` and the start-up text."""
    width = max(map(len, _FIELDS))
    return "\n".join(f"  {f.name:<{width}}  {f.metadata['meaning']}" for f in _FIELDS.values())
