"""A command line without what it was told: arguments are prompts, keys and URLs often enough. It runs nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

HIDDEN = "..."

_FOLDER = r"(?:(?:[A-Za-z]:)?[\w./\\-]*[/\\])?"  # of a path, not of a URL
_PYTHON = re.compile(_FOLDER + r"(?:python|pypy)[\d.]*(?:\.exe)?")
_PYTEST = re.compile(_FOLDER + r"(?:pytest|py\.test)(?:\.exe)?")
_SCRIPT = re.compile(_FOLDER + r"[\w.-]+\.pyw?")
_TEST = re.compile(rf"({_FOLDER}[\w.-]+\.py(?:::\w+)*)(\[.*)?", re.DOTALL)
_MODULE = re.compile(r"[^\W\d][\w.]*")
_LONG = re.compile(r"(--[A-Za-z][\w-]*)(=.*)?", re.DOTALL)
_SHORT = re.compile(r"(-[A-Za-z])(.*)", re.DOTALL)
_NUMBER = re.compile(r"-[a-z]\d{1,3}")


def safe_command(words: Sequence[str]) -> tuple[str, ...]:
    """Keep the program, its script or `-m MODULE`, and the bare names of options; all else is `...`.

    Of pytest's arguments the tests stay too, without their parameters, and short options with a number (`-n2`). What
    stands side by side and is hidden is one `...`.
    """
    shown: list[str] = []
    is_python = is_pytest = is_started = False
    for at, word in enumerate(words):
        kept = HIDDEN
        if at == 0 or (not is_started and (_PYTHON.fullmatch(word) or _PYTEST.fullmatch(word))):
            kept = word  # behind `env`, `uv run`, … too
            is_python, is_pytest = bool(_PYTHON.fullmatch(word)), bool(_PYTEST.fullmatch(word))
            is_started = is_pytest or bool(_SCRIPT.fullmatch(word))
        elif is_python and not is_started and words[at - 1] == "-m" and _MODULE.fullmatch(word):
            kept, is_started, is_pytest = word, True, word == "pytest"
        elif is_pytest and (test := _TEST.fullmatch(word)):
            kept = f"{test[1]}[...]" if test[2] else word
        elif not is_started and _SCRIPT.fullmatch(word):
            kept = word
            is_started = True
        elif word == "--" or (is_pytest and _NUMBER.fullmatch(word)):
            kept = word
        elif option := _LONG.fullmatch(word):
            kept = f"{option[1]}=..." if option[2] else word
        elif option := _SHORT.fullmatch(word):
            kept = option[1] + (HIDDEN if option[2] else "")
            is_started = is_started or (is_python and option[1] == "-c")  # what follows is the code, and its arguments
        if kept != HIDDEN or shown[-1:] != [HIDDEN]:
            shown.append(kept)
    return tuple(shown)
