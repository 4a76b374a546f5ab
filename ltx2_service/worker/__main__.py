"""`python -m ltx2_service.worker`: started by the service, for one card."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

from ltx2_patcher.boundaries.machine import BY_BUS, VISIBLE
from ltx2_service.boundaries.berth import Berth
from ltx2_service.boundaries.lines import Listener
from ltx2_service.rules.cpus import parse_cpus
from ltx2_service.worker.worker import Habits, Worker

TAKEN = 6  # the exit code where another worker has the place, as ltx2_patcher's BusyError


def main() -> int:
    """Work until told to stop; 0, or TAKEN."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="the service's folder")
    parser.add_argument("--shared", type=Path, help="where results go; without it, as --state")
    parser.add_argument("--name", required=True, help="as the service calls it: gpu0")
    parser.add_argument("--gpu", type=int, help="by nvidia-smi's index; without it CUDA chooses")
    parser.add_argument("--cpus", default="", help="those near the card: 0-15,32-47")
    parser.add_argument("--code", default="", help="digest of the code that is started")
    parser.add_argument("--orphan-s", type=float, default=600.0)
    parser.add_argument("--beat-s", type=float, default=2.0)
    args = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    berth = Berth(args.state.absolute(), args.name)
    berth.make()
    if (held := berth.take()) is None:
        return TAKEN
    stops: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stops.append(number))
    with held:
        berth.sweep()
        _bind(args.cpus)
        variables = {} if args.gpu is None else {**BY_BUS, VISIBLE: str(args.gpu)}
        shared = (args.shared or args.state).absolute()
        habits = Habits(args.code, args.orphan_s, args.beat_s, variables, shared)
        with Listener(berth.socket) as listener, berth.log.open("ab") as log:
            Worker(berth, listener, log, habits).run(lambda: bool(stops))
    return 0


def _bind(cpus: str) -> None:
    """Run on these alone, with all that is started; those that a container withholds are left."""
    if near := parse_cpus(cpus) & os.sched_getaffinity(0):
        os.sched_setaffinity(0, near)


if __name__ == "__main__":
    sys.exit(main())
