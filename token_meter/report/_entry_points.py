"""Our formats that are registered as entry points in pyproject.toml, as those of other packages are."""

from __future__ import annotations

from token_meter.report._ci_formats import render_azure, render_benchmark, render_buildkite, render_gitlab_codequality
from token_meter.report._diff_formats import diff_markdown
from token_meter.report._format import Format

AZURE = Format(render_azure, "Azure logging commands, for the step's stdout")
BUILDKITE = Format(render_buildkite, "for buildkite-agent annotate", diff_markdown)
BENCHMARK = Format(render_benchmark, "github-action-benchmark's customSmallerIsBetter")
GITLAB_CODEQUALITY = Format(render_gitlab_codequality, "GitLab's code quality report")
