"""Green libraries change a whole process by their import; the tests of them start processes of their own."""

from __future__ import annotations

import sys

# Sentry looks whether eventlet has patched this process, and so imports it; from then on each fork warns (0.41).
sys.modules["eventlet"] = None  # type: ignore[assignment]
