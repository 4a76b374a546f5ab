"""The measured process: `python -m verify.vram.child ORDER`, with an `Order` as JSON."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from verify.vram.order import parse_order


def main() -> int:
    """Run the order on the command line."""
    order = parse_order(sys.argv[1])
    # Linux: die with the parent, also where that is killed (prctl(2), PR_SET_PDEATHSIG); before
    # torch is imported, which takes seconds. One that is gone already sends no signal.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != order.parent:
        return 1
    from verify.vram.inside import run

    return run(order)


if __name__ == "__main__":
    sys.exit(main())
