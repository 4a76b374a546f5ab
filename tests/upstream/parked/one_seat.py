"""Run a script with one buffer for all blocks, so that the two of a tiny model really pass."""

import importlib
import sys

from ltx_core.parked import passing


def main() -> object:
    """As `python -m SCRIPT ARGUMENTS`: both stand in sys.argv."""
    _, module, *argv = sys.argv
    seats, passing.SEATS = passing.SEATS, 1
    try:
        script = importlib.import_module(module)
        sys.argv = [str(script.__file__), *argv]
        return script.main()
    finally:
        passing.SEATS = seats
