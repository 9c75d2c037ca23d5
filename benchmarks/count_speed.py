"""Measures counting against tiktoken itself: the first count of a process, and the steady speed, side by side.

    python benchmarks/count_speed.py

Only ratios travel between machines: both sides run interleaved in one process, and the fastest round of each counts.
"""

from __future__ import annotations

import base64
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import token_meter
from token_meter.estimate import count_text
from token_meter.estimate.count import counter
from token_meter.estimate.vocab import encoding, read_ranks

PARAGRAPH = (
    "token_meter reads what a call used from the answer's own bytes; only where the provider is silent does it count. "
    "It cost $0.0123 (2 calls), i.e. 1,234 tokens.\n    for chunk in stream: print(chunk, end='')\n"
)
FIRST_OURS = "from token_meter.estimate import count_text; count_text('hello world', 'gpt-4o')"
# tiktoken's own way, without its download: parse the lines of base64 that it would have in its cache.
FIRST_THEIRS = """
import base64, sys, tiktoken
ranks = {}
with open(sys.argv[1], "rb") as raw:
    for line in raw.read().splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
from tiktoken_ext import openai_public
openai_public.load_tiktoken_bpe = lambda *args, **kwargs: ranks
tiktoken.get_encoding("o200k_base").encode("hello world")
"""
TIMED = "import time; start = time.perf_counter()\n{}\nprint(time.perf_counter() - start)"


def first_counts(rounds: int = 7) -> tuple[float, float]:
    """Give the seconds of a new process's first count, import included: ours, and tiktoken's from a file."""
    best = [float("inf"), float("inf")]
    with tempfile.NamedTemporaryFile(suffix=".tiktoken") as raw:
        for token, rank in read_ranks("o200k_base").items():
            raw.write(b"%b %d\n" % (base64.b64encode(token), rank))
        raw.flush()
        for _ in range(rounds):
            for side, code in enumerate((FIRST_OURS, FIRST_THEIRS)):
                command = [sys.executable, "-c", TIMED.format(code), raw.name]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                best[side] = min(best[side], float(done.stdout))
    return best[0], best[1]


def side_by_side(ours: Callable[[], object], theirs: Callable[[], object], seconds: float = 3.0) -> tuple[float, float]:
    """Give the fastest round of each, taken in turns."""
    best = [float("inf"), float("inf")]
    end = time.perf_counter() + seconds
    rounds = 0
    while time.perf_counter() < end or rounds < 7:
        for side, run in enumerate((ours, theirs)):
            start = time.perf_counter()
            run()
            best[side] = min(best[side], time.perf_counter() - start)
        rounds += 1
    return best[0], best[1]


def main() -> int:
    """Measure and print."""
    folder = Path(token_meter.__file__).parent / "_vocab"
    print(f"vocabularies in the package: {sum(file.stat().st_size for file in folder.glob('*.bin')) / 1e6:.2f} MB")
    ours, theirs = first_counts()
    print(f"first count of a process: {1000 * ours:.0f} ms, tiktoken from its cache {1000 * theirs:.0f} ms")
    print("steady, o200k_base:")
    plain = encoding("o200k_base").encode_ordinary
    for title, length in (("1 KB", 1000), ("100 KB", 100_000), ("10 MB", 10_000_000)):
        text = (PARAGRAPH * (length // len(PARAGRAPH) + 1))[:length]
        ours, theirs = side_by_side(partial(count_text, text, "gpt-4o"), partial(plain, text))
        print(f"  {title:>6}: {length / ours / 1e6:5.1f} MB/s = {theirs / ours:.2f} of tiktoken's encode_ordinary")
    n = counter("o200k_base")
    message = PARAGRAPH * 5
    n(message)
    known, again = side_by_side(partial(n, message), partial(plain, message))
    print(f"  a message seen before: {known * 1e6:.2f} us instead of {again * 1e6:.0f} us")
    return 0


if __name__ == "__main__":
    sys.exit(main())
