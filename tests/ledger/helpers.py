"""Calls for ledger and report tests, made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from token_meter.ledger import Ledger, Row, read_run
from token_meter.types import Call, Usage

T0 = 1_795_169_700.25  # 2026-11-20T10:15:00Z


def a_call(n: int = 0, **changes: Any) -> Call:
    """A plain chat call, the *n*-th of its process."""
    call = Call(
        f"00000000000000a1-{n:x}",
        T0 + n,
        0.812,
        "api.openai.com",
        "chat",
        request_model="gpt-4o-mini",
        response_model="gpt-4o-mini-2024-07-18",
        usage=Usage(1900, 40, 1940, 0, 0, reasoning_tokens=0),
        status=200,
        provider="openai",
    )
    return call._replace(**changes)


def rows_of(*paths: Path, merge: bool = False) -> list[Row]:
    """Every row behind *paths*."""
    return list(read_run(paths, merge=merge))


def ids_of(*paths: Path) -> list[str]:
    """Every call id behind *paths*, in order of reading."""
    return [row.call.id for row in rows_of(*paths)]


def a_shard(data_dir: Path, calls: int = 3) -> Path:
    """A shard with some calls, closed."""
    ledger = Ledger.create(data_dir)
    for n in range(calls):
        ledger.call(a_call(n), context=f"tests/test_a.py::test_{n}")
    ledger.close()
    assert ledger.shard is not None
    return ledger.shard


def prefixes(data: bytes) -> Iterator[bytes]:
    """*data* cut at every byte."""
    return (data[:end] for end in range(len(data) + 1))
