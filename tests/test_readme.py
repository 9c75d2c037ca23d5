"""The links of the README lead somewhere; tests/docs/ runs its programs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_house import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README))))
def test_a_link_of_the_readme_leads_somewhere(link):
    """Relative links name files that exist."""
    assert (Path(ROOT) / link).exists()
