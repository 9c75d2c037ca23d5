"""Tells when a block starts a child process, whose calls no meter of this process counts. It knows no meter."""

from __future__ import annotations

import contextvars
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from types import ModuleType
from typing import Any

from token_meter.blind_spots import BlindSpot
from token_meter.transports.module_seam import ModuleSeam
from token_meter.transports.ports import Runtime

CHILDREN = BlindSpot(
    "child processes",
    "the block started a process of its own (a process pool, a fork or a Python program), and its calls are not in "
    "this meter",
    "Run the program by `token-meter run`, which counts all its processes, or give the child a block of its own with "
    "the same directory: meter(ledger=...)",
)
_PYTHON = re.compile(r"(?:python|pypy)w?[\d.]*(?:\.exe)?", re.IGNORECASE)
_PYTHON_IN_A_LINE = re.compile(r"(?:^|[\s/;&|(])(?:python|pypy)[\d.]*\s", re.IGNORECASE)
_TOOLS = frozenset({
    "build", "compileall", "cProfile", "ensurepip", "http.server", "json.tool", "pip", "py_compile", "site",
    "sysconfig", "timeit", "venv", "zipfile",
})  # fmt: skip
"""Modules that `python -m` runs and that call no model."""
_RUN = "TOKEN_METER_RUN_DIR"


class ChildSeam(ModuleSeam):
    """Patches `Popen` and `Process.start`, and looks at each fork; what takes part in a run is counted there."""

    modules = ("subprocess", "multiprocessing.process")

    def __init__(
        self,
        stack: contextvars.ContextVar[tuple[Any, ...]],
        runtime: Runtime,
        tell: Callable[[BlindSpot, bool], None],
    ) -> None:
        super().__init__(stack, runtime)
        self._tell = tell
        self._starting = threading.local()
        if sys.platform != "win32":
            os.register_at_fork(before=self._forks)

    def _patch_module(self, module: ModuleType) -> None:
        try:
            if module.__name__ == "subprocess":
                self._patches.put(module.Popen, "__init__", self._popen)
            else:
                self._patches.put(module.BaseProcess, "start", self._process)
        except Exception:
            self._runtime.internal_error("install children")

    def _popen(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def __init__(popen: Any, /, *args: Any, **kwargs: Any) -> None:
            if self._live:
                self._started(lambda: _is_python(args, kwargs), kwargs.get("env"))
            self._call(original, popen, *args, **kwargs)

        return __init__

    def _process(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def start(process: Any, /, *args: Any, **kwargs: Any) -> Any:
            if self._live:
                self._started(lambda: not _is_server(process), None)
            return self._call(original, process, *args, **kwargs)

        return start

    def _call(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Start the child; a fork on the way is no other one."""
        was, self._starting.now = getattr(self._starting, "now", False), True
        try:
            return original(*args, **kwargs)
        finally:
            self._starting.now = was

    def _forks(self) -> None:
        if self._live and not getattr(self._starting, "now", False):
            self._started(lambda: True, None, is_fork=True)

    def _started(
        self, may_call: Callable[[], bool], environment: Mapping[str, str] | None, *, is_fork: bool = False
    ) -> None:
        """Never raises: what it looks at is the caller's."""
        try:
            told = os.environ if environment is None else environment
            if _RUN not in told and self._runtime.is_listening and may_call():
                self._tell(CHILDREN, is_fork)
        except Exception:
            self._runtime.internal_error("children")


def _is_server(process: Any) -> bool:
    """Whether it is the process of a `multiprocessing.Manager`, which runs nothing of the program's."""
    return getattr(getattr(process, "_target", None), "__name__", "") == "_run_server"


def _is_python(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether *args* of `Popen` start a Python program that may call a model."""
    given = args[0] if args else kwargs.get("args", ())
    if isinstance(given, Iterator):
        return False  # `Popen` takes one too, and it can be read once only
    words = [given] if isinstance(given, str | bytes | os.PathLike) else list(given)
    named = [os.fsdecode(word) for word in words]
    if not named:
        return False
    if len(named) == 1 and (kwargs.get("shell") or " " in named[0]):
        return _PYTHON_IN_A_LINE.search(f"{named[0]} ") is not None
    program = os.fsdecode(kwargs.get("executable") or named[0])
    if program != sys.executable and not _PYTHON.fullmatch(os.path.basename(program)):
        return False
    is_tool = len(named) > 2 and named[1] == "-m" and named[2] in _TOOLS
    return not is_tool and named[1:2] not in (["--version"], ["-V"])
