"""The bases as a type checker sees them: overrides may name the keywords that they need."""

from __future__ import annotations

import subprocess
import sys
import typing
from typing import Any

import pytest

from tests.handlers.conftest import USAGE, Colour, Told, piece, sdk_http, sse, streamed
from token_meter import meter
from token_meter.handlers import _base

PROGRAM = """
from typing import Any
from token_meter.handlers import AsyncCallbackHandler, CallbackHandler
from token_meter.types import Call

class Lesson(AsyncCallbackHandler):
    async def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], **kwargs: Any) -> None: ...
    async def on_llm_new_token(self, token: str, **kwargs: Any) -> None: ...
    async def on_llm_end(self, response: Call, **kwargs: Any) -> None: ...

class Picky(CallbackHandler):
    def on_chat_model_start(self, serialized: Any, messages: list[list[Any]], *, run_id: str, **kwargs: Any) -> None: ...
    def on_llm_new_token(self, token: str, *, kind: str, choice: int, **kwargs: Any) -> None: ...
    def on_llm_end(self, response: Call, *, model: str | None, **kwargs: Any) -> None:
        super().on_llm_end(response, model=model, **kwargs)
    def on_llm_error(self, error: BaseException, *, response: Call, **kwargs: Any) -> None: ...
"""


def test_a_strict_type_checker_accepts_handlers_that_name_their_keywords(tmp_path):
    """The lesson's signatures, and those that name keywords, are valid overrides of the bases."""
    pytest.importorskip("mypy")
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", "program.py"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("event", "keywords"),
    [("start", _base._Every), ("token", _base._OfToken), ("end", _base._OfEnd), ("error", _base._OfError)],
)
async def test_the_keywords_that_are_declared_are_those_that_are_told(event, keywords):
    """What the bases declare is neither more nor less than what handlers get."""
    told, colour = Told(), Colour("sync")
    told.include_output = True  # type: ignore[attr-defined]
    with meter(handlers=[told]):
        await colour.read(await colour.ask(colour.client(streamed(sse(piece("Rose"), USAGE))), stream=True))
        with pytest.raises(Exception, match="400"):
            await colour.ask(colour.client(lambda _: sdk_http.Response(400, json={"error": {"message": "no"}})))

    found: dict[str, Any] = told.keywords[told.events.index(event)]
    assert set(found) == set(typing.get_type_hints(keywords))
