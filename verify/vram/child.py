"""The measured process: `python -m verify.vram.child TASK`, with a `ChildTask` as JSON."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from verify.vram.child_task import parse_task


def main() -> int:
    """Run the task that the command line holds."""
    task = parse_task(sys.argv[1])
    # Linux: die with the parent, also where that is killed (prctl(2), PR_SET_PDEATHSIG); before
    # torch is imported, which takes seconds. One that is gone already sends no signal.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != task.parent:
        return 1
    from verify.vram.inside import run

    return run(task)


if __name__ == "__main__":
    sys.exit(main())
