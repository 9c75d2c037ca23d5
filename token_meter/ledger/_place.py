"""The paths of runs and shards, and checks that it is safe to write there."""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO

from token_meter.exceptions import LedgerError

if sys.platform != "win32":
    import fcntl

RUN_DIR_VARIABLE = "TOKEN_METER_RUN_DIR"
"""The environment variable with the directory of the run's shards (an absolute path), for child processes."""

UNWRITTEN = ".unwritten"
"""The suffix of marks: empty files that a process leaves when it could not write a record."""

RUN = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6,}")
OURS = re.compile(
    r"[\w-]+\.pid\d+\.(\d{8}\.)?[0-9a-f]{8}(\.\w+)?\.(jsonl|held)|lock|\.?budgets\.db.*|.*" + re.escape(UNWRITTEN)
)
"""Names of runs, and of the files in them, as we give them."""

# Only we make a shard: never follow another user's link there, never share a file.
_FLAGS = (
    os.O_WRONLY
    | os.O_APPEND
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOINHERIT", 0)
)


def new_run_dir(data_dir: str | os.PathLike[str] = ".token_meter") -> Path:
    """Return a new unique path for a run, not yet created: `<data_dir>/runs/<utc>-<microseconds><random>`.

    Names sort by time, even within one second.
    """
    at_us = time.time_ns() // 1000
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(at_us // 10**6))
    return Path(os.path.abspath(data_dir), "runs", f"{stamp}-{at_us % 10**6:05x}{os.urandom(2).hex()}")


def make_run_dir(run_dir: Path) -> None:
    """Create the directory, or raise `OSError` or `LedgerError`. A new data directory gets a `.gitignore`."""
    data_dir = run_dir.parent.parent if run_dir.parent.name == "runs" else None
    is_new = data_dir is not None and _make(data_dir)
    if data_dir is not None:
        check_own(data_dir)
    _make(run_dir.parent)
    _refuse_if_unsafe(run_dir.parent)
    if data_dir is not None:
        check_own(run_dir.parent)
        _refuse_if_unsafe(data_dir)
        if is_new:  # a directory that existed before may hold other files, even a whole project
            _ignore_by_git(data_dir)
    _make(run_dir, 0o700)
    check_own(run_dir)
    _refuse_if_unsafe(run_dir)


def make_data_dir(data_dir: Path) -> None:
    """Create a data directory, with a `.gitignore` if it is new, or raise `OSError` or `LedgerError`."""
    is_new = _make(data_dir)
    check_own(data_dir)
    _refuse_if_unsafe(data_dir)
    if is_new:  # a directory that existed before may hold other files, even a whole project
        _ignore_by_git(data_dir)


def check_own(directory: Path) -> None:
    """Refuse a directory of ours that is a link, or that another user owns: where it leads, they decide.

    Raises:
        LedgerError: it is one of these.
        OSError: it is not there.
    """
    found = os.lstat(directory)
    if stat.S_ISLNK(found.st_mode):
        msg = f"a directory of records must not be a symbolic link: {str(directory)!r}"
        raise LedgerError(msg)
    if sys.platform != "win32" and found.st_uid not in (os.geteuid(), 0):
        msg = f"a directory of records must not be another user's: {str(directory)!r}"
        raise LedgerError(msg)


def hold(fd: int) -> None:
    """Show that this process still writes a shard, until it closes it or ends in whatever way."""
    if sys.platform != "win32":
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)


def is_held(shard: Path) -> bool:
    """Whether a process still writes a shard; false where that cannot be found out."""
    if sys.platform != "win32":
        try:
            fd = os.open(shard, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            os.close(fd)
    return False


def open_shard(path: Path, *, again: bool = False) -> int:
    """Open a descriptor for appending. A new shard must not exist yet; one opened *again* must exist."""
    return os.open(path, _FLAGS) if again else open_own(path, _FLAGS | os.O_EXCL)


def open_own(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file, or create one that only this user can read and write, under any umask."""
    fd = os.open(path, flags | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    _own(fd, 0o600)
    return fd


@contextmanager
def replaced(target: Path, *, is_ours: bool = False) -> Iterator[BinaryIO]:
    """Open a file that replaces *target* at the end of the block, and is removed if the block raises.

    With *is_ours*, only this user can read it.
    """
    temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}")
    try:
        with open(temporary, "xb", opener=open_own if is_ours else None) as out:
            yield out
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def new_shard(run_dir: Path, day: str = "") -> Path:
    """Name a shard for this process, of one *day* where it has several, so that their names sort by time.

    Equal pids are normal in containers, so host and random bits are in the name.
    """
    return run_dir / f"{host_name()}.pid{os.getpid()}{day and f'.{day}'}.{os.urandom(4).hex()}.jsonl"


def run_dirs(data_dir: str | os.PathLike[str] = ".token_meter") -> list[Path]:
    """List the runs of a data directory, the oldest first."""
    try:
        found = sorted(p for p in Path(data_dir, "runs").iterdir() if p.is_dir())
    except OSError:
        return []
    return found


def find_shards(
    paths: Iterable[str | os.PathLike[str]], last: int | None = 1, since_s: float | None = None
) -> list[Path]:
    """List the shard files behind *paths*: a run directory stands for its shards, a data directory for its runs.

    Args:
        last: how many of its latest runs a data directory stands for; `None` for all.
        since_s: leave out the files of runs to which nothing was written since then, seconds since the epoch.

    Raises:
        LedgerError: a path does not exist.
    """
    found: list[Path] = []
    for given in paths:
        path = Path(given)
        directories = run_dirs(path) or [path] if (path / "runs").is_dir() else [path]
        if path.is_dir():
            for directory in directories if last is None else directories[-last:]:
                found += sorted(p for p in directory.glob("*.jsonl") if _is_shard(p) and _is_since(p, since_s))
        elif path.exists():
            found.append(path)
        else:
            msg = f"no ledger at {str(given)!r}: expected a *.jsonl file, a run directory or a data directory"
            raise LedgerError(msg)
    return list(dict.fromkeys(found))  # a file that is given twice counts once


def _is_shard(path: Path) -> bool:
    """A data directory whose runs are pruned still has the history, which is no record of calls."""
    return path.name != "history.jsonl" and path.is_file()


def _is_since(shard: Path, since_s: float | None) -> bool:
    return since_s is None or shard.stat().st_mtime >= since_s


def remove_runs(data_dir: Path) -> tuple[int, int]:
    """Remove what we wrote to the runs of a data directory; return how many runs are gone, and how many files stayed.

    Raises:
        LedgerError: the directory, or its `runs`, is a link or another user's.
        OSError: a file cannot be removed.
    """
    runs = data_dir / "runs"
    if not runs.is_dir():
        return 0, 0
    check_own(data_dir)
    check_own(runs)
    removed = kept = 0
    for path in runs.iterdir():
        if path.is_symlink() or not path.is_dir() or not RUN.fullmatch(path.name):
            kept += 1
            continue
        others = 0
        for file in path.iterdir():
            if file.is_file() and not file.is_symlink() and OURS.fullmatch(file.name):
                file.unlink()
            else:
                others += 1
        kept += others
        if not others:
            path.rmdir()
            removed += 1
    if not kept:
        runs.rmdir()
    return removed, kept


def marks_in(run_dir: Path) -> list[str]:
    """List the marks of a run. Each stands for a process that could not write at least one record."""
    try:
        return sorted(name for name in os.listdir(run_dir) if name.endswith(UNWRITTEN))
    except OSError:
        return []


def _make(directory: Path, mode: int = 0o755) -> bool:
    """Create a directory and its parents; return whether this process, and not another one, has created it.

    Under any umask, this user can write there and others cannot.
    """
    is_new = False
    for missing in reversed([*takewhile(lambda path: not path.is_dir(), (directory, *directory.parents))]):
        try:
            os.mkdir(missing, mode)
        except FileExistsError:
            is_new = False
        else:
            is_new = True
            _own(missing, 0o700)
    return is_new


def _own(made: Path | int, mode: int) -> None:
    """Restore this user's permissions, which an odd umask, such as 0777, has removed."""
    if os.name == "nt":
        return
    has = stat.S_IMODE(os.stat(made).st_mode)
    if has & mode != mode:
        with suppress(OSError):  # a directory without permissions cannot be opened again, but is open now
            os.chmod(made, has | mode)


def _ignore_by_git(data_dir: Path) -> None:
    """Write a `.gitignore`, as pytest's cache does. If this fails, opening the shard will fail and say why."""
    path = data_dir / ".gitignore"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o644)
    except OSError:
        return
    with suppress(OSError):
        os.write(fd, b"# Made by token_meter.\n*\n")
    os.close(fd)


def _refuse_if_unsafe(directory: Path) -> None:
    if os.name == "nt":  # the mode bits mean nothing there
        return
    mode = os.stat(directory).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        msg = f"others may replace the files of a directory without the sticky bit: {str(directory)!r}"
        raise LedgerError(msg)


def host_name() -> str:
    name = os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "host")
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in name)[:40] or "host"
