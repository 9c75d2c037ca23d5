"""Parses multipart requests into fields and files."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from token_meter.simulator.reply import RefusedError


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, and its files by field; `image[]` and `image[0]` count as `image`."""

    fields: dict[str, Any]
    files: dict[str, list[bytes]]


async def read_form(content_type: str, body: bytes) -> Form:
    """Read a multipart body."""
    if not content_type.lower().startswith("multipart/form-data"):
        msg = "this route wants multipart/form-data"
        raise RefusedError(msg)

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await MultiPartParser(Headers({"content-type": content_type}), stream()).parse()
    except (MultiPartException, KeyError) as exc:
        msg = "the multipart body cannot be read"
        raise RefusedError(msg) from exc
    found = Form({}, {})
    try:
        for name, value in form.multi_items():
            plain = name.partition("[")[0]
            if isinstance(value, UploadFile):
                found.files.setdefault(plain, []).append(await value.read())
            else:
                found.fields[plain] = value
    finally:
        await form.close()
    return found
