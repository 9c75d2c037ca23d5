"""`python -m benchmarks [--quick]`: every figure with its target. The exit code does not depend on them."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks import calls, meters, reports

CALLS, METERS, RECORDS = 1_000_000, 1_000_000, 1_000_000


def main() -> None:
    scale = 20 if "--quick" in sys.argv else 1
    print(f"Python {platform.python_version()}, openai {version('openai')}, httpx2 {version('httpx2')}, ", end="")
    print(f"genai-prices {version('genai-prices')}; {_processor()}\n")
    print(f"{'what':<44} {'measured':>22} {'target':>12}")
    call = calls.call()
    _row("bare SDK call", f"{call.bare_us:.0f} us", "")
    _row("added to a call (read, priced, summed)", f"{call.added_us:.1f} us {call.ratio:.1%}", "15 us 2.5%")
    chunk = calls.chunk()
    _row("bare stream, per chunk", f"{chunk.bare_us:.1f} us", "")
    _row("added per stream chunk", f"{chunk.added_us:.2f} us {chunk.ratio:.1%}", "1.5 us 2%")
    _row("added to a call with no meter open", f"{calls.outside_us():.2f} us", "1 us")
    imports = meters.imports()
    _row("import token_meter", f"{imports.package_ms:.1f} ms", "15 ms")
    _row("from token_meter import meter", f"{imports.meter_ms:.1f} ms", "")
    _row("  heavy modules it imports", " ".join(imports.heavy) or "none", "none")
    _row("  import openai, for comparison", f"{imports.openai_ms:.0f} ms", "")
    _row("open and close a meter", f"{meters.open_close_us():.1f} us", "3 us")
    grown = meters.memory_over_calls(CALLS // scale)
    _row(f"memory over {grown.count:,} calls, per million", f"{grown.slope_mb:+.2f} MB", "1 MB")
    grown = meters.memory_over_meters(METERS // scale)
    _row(f"memory over {grown.count:,} meters, per million", f"{grown.slope_mb:+.2f} MB", "flat")
    _row("append a record to a ledger", f"{reports.append_us():.1f} us", "10 us")
    with tempfile.TemporaryDirectory() as folder:
        found = reports.report(reports.write(Path(folder), RECORDS // scale))
    _row(
        f"report {RECORDS // scale:,} calls of a service",
        f"{found.seconds:.1f} s {found.peak_mb:.0f} MB",
        "6 s 300 MB",
    )


def _row(what: str, measured: str, target: str) -> None:
    print(f"{what:<44} {measured:>22} {target:>12}", flush=True)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:  # Linux only
        names = []
    return f"{len(names)} x {names[0]}" if names else f"{os.cpu_count()} x {platform.machine()}"


main()
