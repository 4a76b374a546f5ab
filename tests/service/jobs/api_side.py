"""An API that may be killed: `python -m tests.service.jobs.api_side FOLDER`.

Each line that it reads is a key, a blank and a prompt; it accepts that clip and prints the key and
the id of its job. At the end of its input it leaves, and its workers go on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ltx2_service.boundaries.local import LocalExecutor
from ltx2_service.jobs.service import Service
from ltx2_service.values.job import Wanted
from tests.service.cli.small_serve import judge, settings_in


def main() -> None:
    settings = settings_in(Path(sys.argv[1]))
    service = Service(settings, LocalExecutor(settings), judge)
    service.start()
    for line in sys.stdin:
        key, prompt = line.rstrip("\n").split(" ", 1)
        job, _ = service.accept(Wanted(prompt, key=key))
        sys.stdout.write(f"{key} {job.id}\n")
        sys.stdout.flush()
    service.leave()


if __name__ == "__main__":
    main()
