"""The models that the installed SDK names in its types."""

from __future__ import annotations

import ast
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

_TYPES = (
    "shared/chat_model.py", "chat_model.py", "shared/responses_model.py", "embedding_model.py", "image_model.py",
    "audio_model.py", "moderation_model.py", "audio/speech_model.py", "video_model.py",
)  # fmt: skip


def sdk_models() -> tuple[str, list[str]]:
    """The SDK with its version, and all model names in its types, sorted; read without importing it."""
    try:
        found = distribution("openai")
    except PackageNotFoundError:
        return "", []
    names: set[str] = set()
    for path in _TYPES:
        file = found.locate_file(f"openai/types/{path}")
        try:
            tree = ast.parse(Path(str(file)).read_text(encoding="utf-8"))
        except (OSError, SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Subscript) and getattr(node.value, "id", "") == "Literal":
                names |= {
                    c.value for c in ast.walk(node.slice) if isinstance(c, ast.Constant) and isinstance(c.value, str)
                }
    return f"openai {found.version}", sorted(names)
