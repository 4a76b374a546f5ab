"""A service that may be killed: `python -m tests.service.executors.cluster_side SETTINGS PROMPT`.

It prints the id of a clip of that prompt once a step of it was made.
"""

from __future__ import annotations

import pickle
import sys
import threading
from pathlib import Path

from ltx2_service.boundaries.ray.executor import RayExecutor
from ltx2_service.jobs.service import Service
from ltx2_service.values.job import Wanted
from tests.service.cli.small_serve import judge
from tests.service.executors.conftest import wait_for


def main() -> None:
    settings = pickle.loads(Path(sys.argv[1]).read_bytes())
    service = Service(settings, RayExecutor(settings), judge)
    service.start()
    job, _ = service.accept(Wanted(prompt=sys.argv[2], model="fake", seed=1))
    wait_for(lambda: any(event.kind == "progress" for event in service.events(job.id)))
    print(job.id, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
