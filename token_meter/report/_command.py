"""Removes the arguments of a command line, which may be prompts, keys or URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

HIDDEN = "..."

_ROOTED = r"(?:[A-Za-z]:(?!//)|~\w*|\.{1,2})?[/\\](?:[\w .@+~()-]*[/\\])*"  # blanks too: no prompt begins like that
_FOLDER = rf"(?:{_ROOTED}|[\w./\\-]*[/\\])?"  # of a path, not of a URL
_PROGRAMS = {
    "python": re.compile(_FOLDER + r"(?:python|pypy)[\d.]*(?:\.exe)?"),
    "pytest": re.compile(_FOLDER + r"(?:pytest|py\.test)(?:\.exe)?"),
    "coverage": re.compile(_FOLDER + r"coverage[\d.-]*(?:\.exe)?"),
}
_SCRIPT = re.compile(_FOLDER + r"[\w.-]+\.pyw?")
_OF_PYTHON = re.compile(r"(?:[A-Za-z]:(?!//))?[\w ./\\@+~()-]+\.pyw?")  # where only a script can stand
_TEST = re.compile(rf"({_FOLDER}[\w.-]+\.py(?:::\w+)*)(\[.*)?", re.DOTALL)
_MODULE = re.compile(r"[^\W\d][\w.]*")
_LONG = re.compile(r"(--[A-Za-z][\w-]*)(=.*)?", re.DOTALL)
_SHORT = re.compile(r"(-[A-Za-z])(.*)", re.DOTALL)
_NUMBER = re.compile(r"-[a-z]\d{1,3}")
_WITH_VALUE = {"python": re.compile(r"(-[bBdEiIOPqRsSuvx]*([cmWX]))(.*)", re.DOTALL),
               "pytest": re.compile(r"(-[hlqsvx]*([ckmnoprW]))()")}  # fmt: skip
_FLAGS = frozenset((
    "--append", "--branch", "--parallel-mode", "--pylib", "--timid",  # of coverage; those of pytest:
    "--co", "--collect-only", "--exitfirst", "--failed-first", "--ff", "--last-failed", "--lf", "--new-first", "--nf",
    "--no-cov", "--no-header", "--no-summary", "--pdb", "--quiet", "--runxfail", "--showlocals", "--stepwise",
    "--strict-config", "--strict-markers", "--sw", "--verbose",
))  # fmt: skip
"""Long options without a value. After any other long option, the next word may be its value."""


def safe_command(words: Sequence[str]) -> tuple[str, ...]:
    """Keep the program, its script or `-m MODULE`, and the bare names of options; replace the rest by `...`.

    Of pytest's arguments, also keep the tests, without their parameters, and short options with a number (`-n2`).
    Adjacent hidden words become one `...`.
    """
    shown: list[str] = []
    for kept in _kept(words):
        if kept != HIDDEN or shown[-1:] != [HIDDEN]:
            shown.append(kept)
    return tuple(shown)


def _kept(words: Sequence[str]) -> Iterator[str]:
    runs = ""  # the reader of the words: a known program, a "script", or "" while it is not known
    awaited = ""  # the letter of the option whose value is the next word
    for at, word in enumerate(words):
        before, awaited = awaited, ""
        kept = HIDDEN
        if at == 0:
            name = re.split(r"[/\\]", word)[-1]
            kept = HIDDEN if "=" in word or "://" in word else word
            runs = _program(name) or ("script" if name.endswith((".py", ".pyw")) else "")
        elif word.startswith("-"):
            option = _WITH_VALUE[runs].fullmatch(word) if runs in _WITH_VALUE else None
            kept = option[1] + (HIDDEN if option[3] else "") if option and runs == "python" else _option(word, runs)
            if option:
                awaited = "" if option[3] else option[2]
                if runs == "python" and option[2] == "m" and _MODULE.fullmatch(option[3]):
                    kept, runs = word, _program(option[3]) or "script"
                elif runs == "python" and (option[2] == "c" or (option[2] == "m" and option[3])):
                    runs = "script"  # what follows is the code, and its arguments
            elif word.startswith("--") and "=" not in word and word not in _FLAGS and word != "--":
                awaited = "--" if runs in _PROGRAMS else ""
        elif before:
            if runs == "python" and before == "m":
                kept = word if _MODULE.fullmatch(word) else HIDDEN
                runs = _program(word) or "script"
        elif runs == "python":
            kept = word if _OF_PYTHON.fullmatch(word) else HIDDEN
            runs = "script"
        elif runs == "pytest" and (test := _TEST.fullmatch(word)):
            kept = f"{test[1]}[...]" if test[2] else word
        elif runs == "coverage" and word == "run":
            kept, runs = word, "python"
        elif not runs and (_SCRIPT.fullmatch(word) or _program(word)):
            kept, runs = word, _program(word) or "script"  # behind `env`, `uv run`, … too
        yield kept


def _program(name: str) -> str:
    return next((program for program, pattern in _PROGRAMS.items() if pattern.fullmatch(name)), "")


def _option(word: str, runs: str) -> str:
    if word == "--" or (runs == "pytest" and _NUMBER.fullmatch(word)):
        return word
    if option := _LONG.fullmatch(word):
        return f"{option[1]}=..." if option[2] else word
    option = _SHORT.fullmatch(word)
    return HIDDEN if option is None else option[1] + (HIDDEN if option[2] else "")
