"""Starts the meter in each Python process of a `token-meter run`, then loads the user's own `sitecustomize`.

Python imports the first module of this name on its path. Where token_meter cannot be imported, as in a child that runs
another interpreter, nothing is metered and nothing is said: the child must start as it would without us.
"""

import os
import sys


def _boot() -> None:
    try:
        from token_meter._subprocess import start
    except ImportError:
        return
    try:
        start()
    except Exception as error:  # noqa: BLE001 - the program must run, even unmetered
        sys.stderr.write(f"token_meter: not metering this process: {type(error).__name__}: {error}\n")


def _hand_over() -> None:
    """Import the user's own `sitecustomize`, which this one hides, under its name."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or os.curdir) != here]
    ours = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401  # the user's
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        if ours is not None:
            sys.modules.setdefault("sitecustomize", ours)


if os.environ.get("TOKEN_METER_RUN_DIR"):
    _boot()
_hand_over()
