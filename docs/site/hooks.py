"""Pages of the site that live elsewhere in the repository: the README, the architecture, the programs of examples/.

Links among them lead to the same file on disk and to the same page of the site.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "index.md",
    "README.zh-CN.md": "zh-CN.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
    "examples/README.md": "programs.md",
    "examples/ci_project/README.md": "examples/ci_project/index.md",
}
"""Where a file of the repository stands in the site."""
ASSETS = Path(__file__).parent
"""Scripts and styles of the site."""
_LINK = re.compile(r"(\]\()([^)\s#]+)([^)\s]*\))")
_FENCED = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that live elsewhere, and a page for each program of examples/."""
    for path, page in PAGES.items():
        files.append(File.generated(config, page, content=_relinked((ROOT / path).read_text(encoding="utf-8"), path)))
    for program in sorted((ROOT / "examples").rglob("*.py")):
        path = program.relative_to(ROOT).as_posix()
        content = f"# {path}\n\n```python\n{program.read_text(encoding='utf-8').rstrip()}\n```\n"
        files.append(File.generated(config, _page_of(path), content=content))
    for asset in sorted(ASSETS.glob("*.[jc]s*")):
        files.append(File.generated(config, f"assets/{asset.name}", content=asset.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links that leave docs/ lead to the pages that stand for their files."""
    source = page.file.src_uri
    return markdown if page.file.generated_by else _relinked(markdown, f"docs/{source}")


def _relinked(markdown: str, path: str) -> str:
    """*markdown* of the file *path*, its links as they are from its page of the site; code stays as it is."""
    place = posixpath.dirname(_page_of(path))
    parts = _FENCED.split(markdown)

    def link(match: re.Match[str]) -> str:
        if "://" in match[2] or match[2].startswith("mailto:"):
            return match[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[2]))
        return f"{match[1]}{posixpath.relpath(_page_of(target), place or '.')}{match[3]}"

    return "".join(part if part.startswith("```") else _LINK.sub(link, part) for part in parts)


def _page_of(path: str) -> str:
    """Where a file of the repository stands in the site."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if f"{path}/README.md" in PAGES:
        return PAGES[f"{path}/README.md"]
    return re.sub(r"\.py$", ".md", path)
