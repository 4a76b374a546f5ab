"""Run a script with one buffer for all blocks, so that the two of a tiny model really pass, and
with none of its parts too small to be sent ahead.
"""

import importlib
import sys

from ltx_core.parked import model, passing, turns


def main() -> object:
    """As `python -m SCRIPT ARGUMENTS`: both stand in sys.argv."""
    _, module, *argv = sys.argv
    seats, passing.SEATS = passing.SEATS, 1
    small, model.SMALL, turns.SMALL = turns.SMALL, 0, 0
    try:
        script = importlib.import_module(module)
        sys.argv = [str(script.__file__), *argv]
        return script.main()
    finally:
        passing.SEATS, model.SMALL, turns.SMALL = seats, small, small
