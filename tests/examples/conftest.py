"""Each program runs once for all tests of a process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.examples import programs
from tests.examples.programs import Run


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """What a program returned and printed."""
    runs: dict[str, Run] = {}

    def run(name: str) -> Run:
        if name in programs.NEEDS:
            pytest.importorskip(programs.NEEDS[name], reason="the dependency group `langchain`")
        if name not in runs:
            runs[name] = programs.run(name, tmp_path_factory.mktemp(name))
        return runs[name]

    return run
