"""An evaluation that is no test: `token-meter run -- python evals.py`."""

from __future__ import annotations

import os

from shop.florist import answer

from token_meter.simulator import Simulator

QUESTIONS = ("Do tulips like sun?", "Which rose smells best?", "How do I keep a lily for a week?")


def main() -> None:
    with Simulator() as simulator:
        os.environ.setdefault("FLORIST_URL", simulator.base_url)
        good = sum(bool(answer(question)) for question in QUESTIONS)
        print(f"{good} of {len(QUESTIONS)} questions answered")


if __name__ == "__main__":
    main()
