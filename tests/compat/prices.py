"""The newest releases of genai-prices and the SDK against the newest table of litellm; the table is never installed.

    python tests/compat/prices.py

It needs only the standard library and pip. The environment stays in .venvs/prices and is brought up to date each time.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".venvs" / "prices"
TABLE = "litellm/model_prices_and_context_window_backup.json"


def main() -> int:
    """Print what differs; 0 when all of it is known."""
    python = HOME / "bin" / "python"
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME)], check=True)
    subprocess.run([*pip, "install", "--upgrade", "pip", "genai-prices", "openai", "--editable", str(ROOT)], check=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*pip, "download", "--no-deps", "--dest", folder, "litellm"], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("litellm-*.whl"))) as wheel:
            table = wheel.extract(TABLE, folder)
        command = [str(python), "-m", "tests.compat.price_conflicts", table]
        return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
