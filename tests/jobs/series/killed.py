"""Run the command line and die by SIGKILL at the n-th thing it does to the outside world.

`python -m tests.jobs.series.killed N ROOT ARGUMENTS...`: N counts files opened for writing,
renames, removals, folders made, below ROOT, and processes started. 0 never kills; the count is
printed then.
"""

from __future__ import annotations

import os
import signal
import sys

from ltx2_patcher.cli.main import main

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "shutil.rmtree"}


def watch(limit: int, root: str) -> list[int]:
    """Count the events from now on; kill this process at the `limit`-th."""
    seen = [0]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "subprocess.Popen":
            counts = True
        elif event == "open":
            path, _, flags = arguments
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
            counts = bool(writes) and str(path).startswith(root)
        else:
            counts = event in CHANGES and str(arguments[0]).startswith(root)
        if counts:
            seen[0] += 1
            if seen[0] == limit:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return seen


if __name__ == "__main__":
    count = watch(int(sys.argv[1]), sys.argv[2])
    code = main(sys.argv[3:])
    if sys.argv[1] == "0":
        print(f"events: {count[0]}")
    sys.exit(code)
