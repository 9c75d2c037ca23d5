"""The house: imports go down, modules stay small and say what they are, the door is light."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import token_meter

ROOT = Path(token_meter.__file__).parents[1]
MODULES = sorted((ROOT / "token_meter").rglob("*.py"))


def test_imports_go_down_only():
    """The layers contract of pyproject.toml, held by import-linter."""
    command = Path(sys.executable).with_name("lint-imports")
    if not command.exists() and shutil.which("lint-imports") is None:
        pytest.skip("import-linter is not installed here (it is in the group `lint`)")
    done = subprocess.run(
        [str(command) if command.exists() else "lint-imports"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "token_meter")))
def test_a_module_has_a_caption(path):
    """The first line of its docstring is one sentence that says what the room is."""
    caption = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))

    assert caption, "no docstring"
    assert caption.splitlines()[0].rstrip().endswith((".", ":")), caption.splitlines()[0]


def test_every_public_name_exists_and_is_documented():
    """What the door names can be had, and says what it is."""
    for name in token_meter.__all__:
        assert getattr(token_meter, name).__doc__, name
