"""Where the operating system cannot fork: nothing here asks it to. Windows itself is not among the machines tested."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio, concurrent.futures, ctypes, json, logging, multiprocessing, os, signal, socket, subprocess, sys, tempfile
import click, genai_prices, httpx2, openai, pytest, tiktoken
import click.testing

# What typeshed, and the documentation of `os` and `signal`, give to Unix only, as far as this project could use it.
for module, names in (
    (os, "register_at_fork fork uname getuid geteuid getgid getegid getpgrp getpgid killpg setsid tcgetpgrp fchmod "
         "O_NOFOLLOW O_CLOEXEC O_DIRECTORY O_NONBLOCK O_SYNC statvfs pread pwrite sysconf sched_getaffinity mkfifo"),
    (signal, "SIGHUP SIGKILL SIGUSR1 SIGUSR2 SIGALRM SIGCHLD SIGSTOP pthread_sigmask alarm setitimer pause"),
):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
sys.platform = "win32"

import importlib, pathlib
import token_meter
root = pathlib.Path(token_meter.__file__).parent
for path in sorted(root.rglob("*.py")):
    name = ".".join(("token_meter", *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__")
    if not any(part in name for part in ("simulator", "__main__", "sitecustomize")):
        importlib.import_module(name)
from token_meter import meter

answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini-2024-07-18", "choices": [],
          "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}
client = openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(
    lambda request: httpx2.Response(200, json=answer))))
with meter("here", max_cost="0.05", ledger="runs/one") as cb:
    client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hello"}])
print(cb.total_tokens, cb.is_complete)

from token_meter.cli import main
shown = click.testing.CliRunner().invoke(main, ["report", "runs/one", "-f", "json"])
print(shown.exit_code, json.loads(shown.output)["totals"]["tokens"]["total_tokens"] if shown.exit_code == 0 else shown.output)
"""


def test_a_call_is_metered_limited_recorded_and_reported_without_unix(tmp_path: Path) -> None:
    """Every room can be imported, too."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOKEN_METER_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )

    assert done.stderr == ""
    assert done.stdout.split() == ["12", "True", "0", "12"]
