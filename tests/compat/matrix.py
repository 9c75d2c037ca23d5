"""The tests that touch an SDK, over versions of Python, openai and anthropic: one virtual environment a cell.

    python tests/compat/matrix.py                    # oldest and newest Python found here, all rows
    python tests/compat/matrix.py --all --only 2.x   # every Python found here, one row

It needs only the standard library and pip, and is faster where uv is on the path; token_meter is
installed in the cells. Environments stay in .venvs/ and are used again until pyproject.toml changes; `--fresh` resolves
"newest" again.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
VENVS = ROOT / ".venvs"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
ROOMS = ("contract", "meter", "seams", "budget", "handlers")
WITH_BILLS = (*ROOMS, "bills")  # openai 2.34 is the first with the admin endpoints of usage and costs
TABLE = ("providers/test_table.py", "providers/test_native.py")
LEAVES = ("-W", "ignore::pytest.PytestUnraisableExceptionWarning")
"""For a guest that keeps connections until the interpreter ends."""
GAPIC = ("-k", "generativeai or vertexai or gapic")
GRPC = ("providers/test_table.py", "providers/test_gapic.py")


class Row(NamedTuple):
    """What a row of the table installs, and which rooms or files of tests it runs."""

    name: str
    requirement: str
    rooms: tuple[str, ...] = ROOMS
    group: str = "test"
    options: tuple[str, ...] = ()


ROWS = (
    Row("openai 1.58.1", "openai==1.58.1"),
    Row("openai 1.x", "openai<2"),
    Row("openai 2.x", "openai<3", WITH_BILLS),
    Row("openai newest", "openai[aiohttp]", WITH_BILLS),
    Row("openai 2.34", "openai==2.34.*", ("bills",)),
    Row("anthropic 0.49", "anthropic==0.49.*", ("providers",)),
    Row("anthropic newest", "anthropic", ("providers",)),
    Row("google-genai 1.10", "google-genai==1.10.*", ("providers",)),
    Row("google-genai 1.x", "google-genai<2", ("providers",)),
    Row("google-genai 2.x", "google-genai<3", ("providers",)),
    Row("google-genai newest", "google-genai", ("providers",)),
    Row("aiobotocore 2.25", "aiobotocore[boto3]==2.25.*", ("providers",)),
    Row("aiobotocore newest", "aiobotocore boto3", ("providers",)),
    Row("SDKs newest", "openai", TABLE, "sdks"),
    Row(
        "SDKs older",
        "mistralai==1.5.* cohere==5.13.* ollama==0.4.* groq==0.13.* huggingface_hub==0.28.* voyageai==0.3.* together==1.4.* "
        "cerebras-cloud-sdk==1.23.* perplexityai==0.20.* xai-sdk==1.0.*",
        TABLE,
    ),
    Row("Google's gRPC newest", "google-generativeai google-cloud-aiplatform", GRPC, options=GAPIC),
    Row("Google's gRPC older", "google-generativeai==0.8.0 google-cloud-aiplatform==1.70.*", GRPC, options=GAPIC),
    Row("litellm newest", "litellm", ("guests",), options=LEAVES),
    Row("litellm 1.74", "litellm==1.74.*", ("guests",), options=LEAVES),
    Row("guests", "openai", ("guests",), "guests"),
    Row("llama-index newest", "llama-index-llms-openai", ("guests",)),
    Row("neighbours", "openai", ("neighbours",), "neighbours"),
)


class Interpreter(NamedTuple):
    """A Python that runs, and what must stand in the environment so that it does."""

    version: str
    command: str
    env: dict[str, str]


class Outcome(NamedTuple):
    """What a cell came to."""

    is_ok: bool
    text: str


def find(version: str) -> Interpreter | str:
    """The interpreter called `python<version>`, or why there is none."""
    command = shutil.which(f"python{version}")
    if command is None:
        return f"no python{version} on the PATH"
    # A shim of pyenv answers only for the versions that are switched on; the others it has it may be asked for by name.
    why = ""
    for env in ({}, *({"PYENV_VERSION": name} for name in _pyenv_versions(version))):
        told = subprocess.run(
            [command, "-c", "import sys, venv; print(sys.executable)"],
            env={**os.environ, **env}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if told.returncode == 0:
            return Interpreter(version, told.stdout.strip(), env)
        why = why or told.stderr.strip().partition("\n")[0]
    return f"python{version} does not run: {why}"


def _pyenv_versions(version: str) -> list[str]:
    if shutil.which("pyenv") is None:
        return []
    told = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True, check=False)
    return [name for name in told.stdout.split() if name.startswith(f"{version}.")]


def environment(row: Row, python: Interpreter, *, fresh: bool) -> tuple[Path, str]:
    """The virtual environment of a cell, made or found; with the version of the row's first package."""
    home = VENVS / f"{row.name.replace(' ', '-')}-py{python.version}"
    stamp = hashlib.sha256(f"{row}{(ROOT / 'pyproject.toml').read_text()}".encode()).hexdigest()
    ready = home / ".ready"
    interpreter = str(home / "bin" / "python")
    if fresh or not ready.exists() or ready.read_text() != stamp:
        shutil.rmtree(home, ignore_errors=True)
        _run([python.command, "-m", "venv", str(home)])
        if (uv := shutil.which("uv")) is not None:  # a tenth of pip's time, and the same answer
            install = [uv, "pip", "install", "--quiet", "--python", interpreter]
        else:
            install = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*install, "--upgrade", "pip>=25.1"])
        _run([*install, "--editable", ".[simulator,html]", *row.requirement.split(), "--group", row.group])
        ready.write_text(stamp)
    package = re.split(r"[\[=<> ]", row.requirement)[0]
    say = f"from importlib.metadata import version; print(version({package!r}))"
    return home, subprocess.check_output([interpreter, "-c", say], text=True).strip()


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError((done.stderr or done.stdout).strip()[-2000:])


def run(row: Row, python: Interpreter, *, fresh: bool, pytest_args: list[str]) -> Outcome:
    """Run one cell; its whole output is kept next to its environment."""
    started = time.monotonic()
    try:
        home, version = environment(row, python, fresh=fresh)
    except (OSError, subprocess.SubprocessError, RuntimeError) as error:
        print(f"\n--- {row.name}, Python {python.version}: cannot be installed\n{error}\n", flush=True)
        return Outcome(is_ok=False, text="not installed")
    report, log = home / "junit.xml", home / "output.txt"
    report.unlink(missing_ok=True)
    rooms = [f"tests/{room}" for room in row.rooms if (ROOT / "tests" / room).exists()]
    command = [str(home / "bin" / "python"), "-m", "pytest", "-q", "--durations=5", f"--junitxml={report}"]
    with log.open("w") as out:
        # A cache of their own: cells of different versions must not reorder or forget each other's failures.
        done = subprocess.run(
            [*command, "-o", f"cache_dir={home / '.pytest_cache'}", *rooms, *row.options, *pytest_args],
            cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        print(f"\n--- {row.name}, Python {python.version}: {log.relative_to(ROOT)}, of which the end:")
        print("\n".join(log.read_text().splitlines()[-60:]), flush=True)
    text = f"{version}: {_counts(report)}, {time.monotonic() - started:.0f} s"
    return Outcome(done.returncode == 0, text)


def _counts(report: Path) -> str:
    if not report.exists():
        return "no tests ran"
    suite = next(ElementTree.parse(report).iter("testsuite"))
    total, bad, skipped = (
        int(suite.get("tests", 0)),
        int(suite.get("failures", 0)) + int(suite.get("errors", 0)),
        int(suite.get("skipped", 0)),
    )
    return f"{total - bad - skipped} passed" + f", {skipped} skipped" * bool(skipped) + f", {bad} FAILED" * bool(bad)


def main(argv: list[str]) -> int:
    """Print the table; 0 when every cell is green, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--all", action="store_true", help="every Python found here, not only the oldest and the newest"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name contains TEXT")
    parser.add_argument("--python", default="", metavar="X.Y", help="this Python only")
    parser.add_argument("--fresh", action="store_true", help="make the environments again")
    options, pytest_args = parser.parse_known_args(argv)

    wanted = [row for row in ROWS if options.only in row.name]
    pythons: list[Interpreter] = []
    for version in [options.python] if options.python else PYTHONS:
        found = find(version)
        if isinstance(found, str):
            print(f"SKIPPED Python {version}: {found}", flush=True)
        else:
            pythons.append(found)
    if not options.all:
        pythons = pythons[:1] + pythons[1:][-1:]
    if not pythons or not wanted:
        print("nothing to run")
        return 1

    table: dict[tuple[str, str], Outcome] = {}
    for row in wanted:
        for python in pythons:
            outcome = run(row, python, fresh=options.fresh, pytest_args=pytest_args)
            table[row.name, python.version] = outcome
            print(
                f"{'ok' if outcome.is_ok else 'FAILED':6}  {row.name}, Python {python.version}: {outcome.text}",
                flush=True,
            )

    print("\n| | " + " | ".join(f"Python {python.version}" for python in pythons) + " |")
    print("|---" * (len(pythons) + 1) + "|")
    for row in wanted:
        cells = [table[row.name, python.version] for python in pythons]
        print(f"| {row.name} | " + " | ".join(f"{'ok' if c.is_ok else '**FAILED**'} {c.text}" for c in cells) + " |")
    return 0 if all(outcome.is_ok for outcome in table.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
