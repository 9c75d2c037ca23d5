"""Finds the commit in the CI's environment, else asks git with a timeout. Never raises; the commit may be unknown."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from token_meter.exceptions import LedgerError
from token_meter.report._summary import Vcs

_TIMEOUT_S = 5.0


def find_vcs(environment: Mapping[str, str] | None = None, *, cwd: str | os.PathLike[str] | None = None) -> Vcs | None:
    """Return the commit and the CI host; `None` if neither is known."""
    env = os.environ if environment is None else environment
    ci = ci_host(env)
    commit = branch = url = None
    pr: Any = None
    base: str | None = None
    if ci == "github":
        commit = env.get("GITHUB_SHA")
        branch = env.get("GITHUB_HEAD_REF") or env.get("GITHUB_REF_NAME")
        base = env.get("GITHUB_BASE_REF") or None
        if env.get("GITHUB_RUN_ID"):
            url = f"{env.get('GITHUB_SERVER_URL')}/{env.get('GITHUB_REPOSITORY')}/actions/runs/{env['GITHUB_RUN_ID']}"
        pr = _github_pr(env)
    elif ci == "gitlab":
        commit, branch = env.get("CI_COMMIT_SHA"), env.get("CI_COMMIT_REF_NAME")
        url, pr = env.get("CI_PIPELINE_URL"), env.get("CI_MERGE_REQUEST_IID")
        base = env.get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME")
    elif ci == "azure":
        commit, branch = env.get("BUILD_SOURCEVERSION"), env.get("BUILD_SOURCEBRANCHNAME")
        pr = env.get("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER")
        base = env.get("SYSTEM_PULLREQUEST_TARGETBRANCH")
    elif ci == "buildkite":
        commit, branch = env.get("BUILDKITE_COMMIT"), env.get("BUILDKITE_BRANCH")
        url, pr = env.get("BUILDKITE_BUILD_URL"), env.get("BUILDKITE_PULL_REQUEST")
        base = env.get("BUILDKITE_PULL_REQUEST_BASE_BRANCH")
    commit = commit or git("rev-parse", "HEAD", cwd=cwd)
    branch = branch or git("rev-parse", "--abbrev-ref", "HEAD", cwd=cwd)
    if commit is None and ci is None:
        return None
    state = git("status", "--porcelain", "--untracked-files=no", cwd=cwd)
    merge_base = git("merge-base", "HEAD", f"origin/{base}", cwd=cwd) if base else None
    return Vcs(
        _short(commit),
        _short(branch),
        None if state is None else bool(state),
        _short(merge_base),
        ci,
        _short(url, 500),
        int(pr) if str(pr).isascii() and str(pr).isdigit() else None,
    )


def ci_host(environment: Mapping[str, str] | None = None) -> str | None:
    """Return the CI host: `github`, `gitlab`, `azure`, `buildkite`, or `None`."""
    env = os.environ if environment is None else environment
    known = (("GITHUB_ACTIONS", "github"), ("GITLAB_CI", "gitlab"), ("TF_BUILD", "azure"), ("BUILDKITE", "buildkite"))
    return next((name for variable, name in known if env.get(variable, "").lower() == "true"), None)


def commits_between(old: str | None, new: str | None, *, cwd: str | os.PathLike[str] | None = None) -> int | None:
    """Count the commits from *old* to *new*; `None` if git does not know both."""
    if not (_is_commit(old) and _is_commit(new)):
        return None
    count = git("rev-list", "--count", f"{old}..{new}", cwd=cwd)
    return int(count) if count is not None and count.isdigit() else None


def read_from_git(ref: str, path: str, *, cwd: str | os.PathLike[str] | None = None) -> bytes:
    """Read a file at *ref*.

    Raises:
        LedgerError: git does not have it.
    """
    if ref.startswith("-"):
        msg = f"{ref!r} is not a git ref"
        raise LedgerError(msg)
    try:
        done = subprocess.run(
            ["git", "show", f"{ref}:{path}"], cwd=cwd, capture_output=True, timeout=_TIMEOUT_S * 4, check=False
        )
    except (OSError, subprocess.SubprocessError) as exc:
        msg = f"git could not be asked for {path!r} at {ref!r}: {type(exc).__name__}"
        raise LedgerError(msg) from exc
    if done.returncode:
        msg = f"git has no {path!r} at {ref!r}"
        raise LedgerError(msg)
    return done.stdout


def git(*words: str, cwd: str | os.PathLike[str] | None = None) -> str | None:
    """Run git and return its output; `None` if git is missing, slow or fails."""
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *words], cwd=cwd, capture_output=True, timeout=_TIMEOUT_S, check=False, env=quiet,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None


def _github_pr(env: Mapping[str, str]) -> Any:
    try:
        with open(env.get("GITHUB_EVENT_PATH", ""), encoding="utf-8") as file:
            event = json.load(file)
        return event.get("pull_request", {}).get("number")
    except (OSError, ValueError, AttributeError):
        return None


def _is_commit(text: str | None) -> bool:
    return text is not None and 7 <= len(text) <= 64 and all(c in "0123456789abcdef" for c in text)


def _short(text: str | None, limit: int = 200) -> str | None:
    return text[:limit] if text else None
