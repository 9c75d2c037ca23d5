"""The README for the package index, where relative links lead nowhere; a metadata hook of hatchling, at build time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_FENCED = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r"!\[[^\]]*\]\((?!https?:)([^)]+)\)\n*")
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)([^)]+)\)")
_NOTE = "\n*The pages named here stand in the source archive, in docs/ and examples/.*\n"


class IndexReadme(MetadataHookInterface):
    """Sets `readme` and `urls`; the address of the repository stands in pyproject.toml, once there is one."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        repository = self.config.get("repository", "")
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": for_the_index(text, repository)}
        metadata["urls"] = urls(repository)


def urls(repository: str) -> dict[str, str]:
    """The project's URLs; none where no address is known."""
    if not repository:
        return {}
    pages = {"Documentation": "docs/pages.md", "Changelog": "CHANGELOG.md"}
    return {"Source": repository, **{name: f"{repository}/blob/main/{path}" for name, path in pages.items()}}


def for_the_index(text: str, repository: str) -> str:
    """*text* with absolute links; without a *repository*, with the words of its links and without its pictures."""
    parts = _FENCED.split(text)
    changed = (part if part.startswith("```") else _absolute(part, repository) for part in parts)
    return "".join(changed) + ("" if repository else _NOTE)


def _absolute(part: str, repository: str) -> str:
    if not repository:
        return _LINK.sub(r"\1", _PICTURE.sub("", part))
    part = _PICTURE.sub(lambda found: found[0].replace(f"({found[1]})", f"({repository}/raw/main/{found[1]})"), part)
    return _LINK.sub(rf"[\1]({repository}/blob/main/\2)", part)
