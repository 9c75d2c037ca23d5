"""Converts events to bytes: framing, line ends, compression, re-chunking."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from token_meter.exceptions import ConfigError
from token_meter.simulator.options import LINE_ENDS, Options

DONE = "[DONE]"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream.

    Attributes:
        data: the data: a JSON object, or text that is sent unchanged.
        name: the `event:` field, if the API sends one.
        text: the text that was generated since the last event.
        choice: the index of the text's choice.
        has_usage: the event contains the usage.
    """

    data: dict[str, Any] | str
    name: str | None = None
    text: str = ""
    choice: int = 0
    has_usage: bool = False


def dump(data: Any, indent: int | None = None) -> str:
    """Compact JSON, as providers send it."""
    return json.dumps(data, ensure_ascii=False, indent=indent, separators=(",", ":"))


def frame(event: Event, options: Options, *, is_first: bool = False, is_last: bool = False) -> bytes:
    """The bytes of one event."""
    lines = [": simulated"] if options.comments else []
    if event.name:
        lines.append(f"event: {event.name}")
    if isinstance(event.data, str):
        lines.append(f"data: {event.data}")
    else:
        # JSON allows a line break wherever it allows a space, so an indented dump may be spread over data: lines.
        lines += [f"data: {part}" for part in dump(event.data, 0 if options.multiline else None).split("\n")]
    end = LINE_ENDS[options.line]
    found = end.join(line.encode() for line in lines) + end
    if not (is_last and not options.last_blank):
        found += end
    return _BOM + found if is_first and options.bom else found


def rechunk(data: bytes, size: int | None) -> Iterator[bytes]:
    """Cut *data* into pieces of *size* bytes; `None` or 0 leaves it whole."""
    if not size:
        yield data
        return
    for start in range(0, len(data), size):
        yield data[start : start + size]


class Packer:
    """Compresses a body piece by piece, by one or more encodings, the first one innermost."""

    def __init__(self, encodings: tuple[str, ...]) -> None:
        self.header = ", ".join(encodings)
        self._layers = [_LAYERS[name]() for name in encodings]

    def pack(self, data: bytes, *, is_last: bool = False) -> bytes:
        """Compress *data*, flushed so that a client can read all of it at once."""
        for push in self._layers:
            data = push(data, is_last)
        return data


def _zlib(wbits: int) -> Callable[[], Callable[[bytes, bool], bytes]]:
    def make() -> Callable[[bytes, bool], bytes]:
        packer = zlib.compressobj(wbits=wbits)
        return lambda data, is_last: (
            packer.compress(data) + packer.flush(zlib.Z_FINISH if is_last else zlib.Z_SYNC_FLUSH)
        )

    return make


def _brotli() -> Callable[[bytes, bool], bytes]:
    packer = _module("br", "brotli", "brotlicffi").Compressor()

    def push(data: bytes, is_last: bool) -> bytes:
        found: bytes = packer.process(data) + (packer.finish() if is_last else packer.flush())
        return found

    return push


def _zstd() -> Callable[[bytes, bool], bytes]:
    zstd = _module("zstd", "compression.zstd", "backports.zstd")
    packer = zstd.ZstdCompressor()

    def push(data: bytes, is_last: bool) -> bytes:
        found: bytes = packer.compress(data, zstd.ZstdCompressor.FLUSH_FRAME if is_last else packer.FLUSH_BLOCK)
        return found

    return push


def _module(encoding: str, *names: str) -> Any:
    for name in names:
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue
    msg = f"simulator option compress={encoding} needs the module {names[-1]}, which is not installed"
    raise ConfigError(msg)


_LAYERS: dict[str, Callable[[], Callable[[bytes, bool], bytes]]] = {
    "gzip": _zlib(31),
    "deflate": _zlib(15),
    "br": _brotli,
    "zstd": _zstd,
}
