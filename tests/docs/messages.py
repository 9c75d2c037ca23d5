"""The messages that the package raises or warns with, read from its source; `{}` stands for what differs."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import token_meter
from token_meter import exceptions

SOURCE = Path(token_meter.__file__).parent
CLASSES = [
    name for name, value in vars(exceptions).items()
    if isinstance(value, type) and issubclass(value, (exceptions.TokenMeterError, exceptions.TokenMeterWarning))
    and value not in (exceptions.TokenMeterError, exceptions.TokenMeterWarning)
]  # fmt: skip
_OTHERS = ("TypeError", "AttributeError")


def text_of(node: ast.expr | None) -> str:
    """A text of the source."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    return "{}"


def _of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, str]]:
    assigned = [
        (node.lineno, node.targets[0].id, text_of(node.value)) for node in ast.walk(function)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    ]  # fmt: skip
    for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
        names = [getattr(each, "id", "") for each in (call.func, *call.args)]
        kinds = [name for name in names if name in CLASSES or name in _OTHERS]
        if kinds and call.args:
            named = [text for line, name, text in assigned if [name] == names[1:2] and line <= call.lineno]
            yield kinds[0], named[-1] if named else text_of(call.args[0])


@functools.cache
def messages() -> set[tuple[str, str]]:
    """Each class with each text that it is raised or issued with."""
    found: set[tuple[str, str]] = set()
    for path in SOURCE.rglob("*.py"):
        if path.parts[len(SOURCE.parts)] != "simulator":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    found.update(_of(node))
    return found


@functools.cache
def all_texts() -> str:
    """Every text of the package, one a line."""
    return "\n".join(
        text_of(node)
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Constant, ast.JoinedStr))
    )
