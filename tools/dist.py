"""`make dist`: builds wheel and source archive, checks them, and tries the wheel in an empty environment.

It needs the standard library and pip. The wheel is built from the source archive; the README's program, and the demo,
run outside of the checkout against the simulator that the wheel brings.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
SHOWN = re.compile(r"```python\n((?:(?!```).)*)```\n\n```text\n(.*?)```", re.DOTALL)
RUNNER = """\
import os, sys
from token_meter.simulator import Simulator
with Simulator() as simulator:
    with open("prices.toml", "w") as file:
        file.write(f'[hosts]\\n"{simulator.url}" = "openai"\\n')
    os.environ.update(
        OPENAI_BASE_URL=simulator.base_url, OPENAI_API_KEY="sim-dist",
        TOKEN_METER_PRICES=os.path.abspath("prices.toml"), NO_PROXY="127.0.0.1", no_proxy="127.0.0.1",
    )
    exec(compile(sys.stdin.read(), "README.md", "exec"))
"""


def main() -> None:
    """Build, check and try; end with an error at the first thing that is wrong."""
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        tools = _environment(place / "tools", "build>=1.2", "twine>=6")
        _run(tools, "-m", "build", "--outdir", str(DIST), str(ROOT), cwd=place)
        archives = sorted(DIST.iterdir())
        _run(tools, "-m", "twine", "check", "--strict", *map(str, archives), cwd=place)
        (wheel,) = (path for path in archives if path.suffix == ".whl")

        empty = _environment(place / "empty", str(wheel))
        version = _run(empty, "-m", "token_meter", "--version", cwd=place)
        _expect(version.split()[-1] in wheel.name, f"the wheel says it is {version.strip()}")
        _run(empty, "-m", "pip", "check", cwd=place)
        _run(empty, "-c", "from token_meter import meter\nwith meter() as cb: pass\nprint(cb)", cwd=place)
        _run(empty, "-m", "pip", "install", "--quiet", f"{wheel}[simulator]", cwd=place)
        for program, output in SHOWN.findall((ROOT / "README.md").read_text(encoding="utf-8")):
            said = _run(empty, "-c", RUNNER, cwd=place, given=program)
            _expect(said == output, f"README.md shows\n{output}\nand the wheel prints\n{said}")
        _run(empty, "-m", "token_meter", "demo", cwd=place)
    for path in archives:
        sys.stdout.write(f"{path.relative_to(ROOT)}  {path.stat().st_size:,} bytes\n")


def _environment(place: Path, *packages: str) -> Path:
    """The Python of a new virtual environment with *packages*."""
    venv.create(place, with_pip=True)
    python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
    _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages, cwd=place)
    return python


def _run(python: Path, *words: str, cwd: Path, given: str | None = None) -> str:
    """Run it away from the checkout and from settings of this machine's user; return what it prints."""
    theirs = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TOKEN_METER", "OPENAI"))
    }
    done = subprocess.run(
        [str(python), *words], cwd=cwd, env={**theirs, "PYTHONUTF8": "1"}, input=given,
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    _expect(done.returncode == 0, f"{' '.join(words)[:200]}\n{done.stdout}{done.stderr}")
    return done.stdout


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        sys.exit(f"make dist: {otherwise}")


if __name__ == "__main__":
    main()
