"""What docs/reports.md shows is what a run prints."""

from __future__ import annotations

from pathlib import Path

from tests.report.docs_outputs import OUTPUTS
from token_meter.report import FORMATS

PAGE = (Path(__file__).parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")


def test_every_output_on_the_page_is_what_is_printed_today() -> None:
    """Change a format, and the page must change with it."""
    for name, text in OUTPUTS().items():
        assert text.rstrip("\n") in PAGE, name


def test_every_format_is_on_the_page() -> None:
    """Every format is documented."""
    for name in FORMATS:
        assert f"`{name}`" in PAGE
