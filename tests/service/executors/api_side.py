"""An API that may be killed: `python -m tests.service.executors.api_side FOLDER JOB ARGUMENTS...`.

It gives one attempt to its worker, and prints a line for all that it is told.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from ltx2_service.values.told import Ended, Progress
from tests.service.executors.conftest import WORKER, Bench, card, wait_for


def main() -> None:
    folder, job, *argv = sys.argv[1:]
    bench = Bench(Path(folder))
    executor = bench.executor()

    def told(name: str, token: int, what: Progress | Ended) -> None:
        print(f"{name} {token} {what}", flush=True)

    executor.start(told)
    wait_for(lambda: card(executor).state == "idle")
    executor.assign(WORKER, bench.assignment(job, *argv))
    threading.Event().wait()


if __name__ == "__main__":
    main()
