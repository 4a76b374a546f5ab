"""Run every test: the tool's in its own environment, upstream's in that of its base, side by side.

`python -m tests.runner --env PYTHON [--all]`. With --all, and only where nothing failed or was
skipped, it writes the receipts that every other machine checks (tests/receipts.py).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.receipts import write_receipts
from tests.trees import environment

ROOT = Path(__file__).parents[1]
UPSTREAM = "tests/upstream"  # what imports upstream, torch or bitsandbytes
_COUNT = re.compile(r"(\d+) (passed|failed|skipped|error|errors)\b")


@dataclass(frozen=True)
class Half:
    """One of the two pytest runs."""

    name: str
    command: tuple[str, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", required=True, help="the Python of the base's environment")
    parser.add_argument("--all", action="store_true", help="with the slow tests")
    args = parser.parse_args()
    chosen = "not gpu" if args.all else "not gpu and not slow"
    # Stale receipts are what a whole run renews: it checks them after it has written them.
    late = ("--deselect", "tests/test_receipts.py") if args.all else ()
    halves = (
        Half("tool", (sys.executable, "-m", "pytest", "tests", f"--ignore={UPSTREAM}", *late)),
        Half("upstream", (args.env, "-m", "pytest", UPSTREAM)),
    )
    with tempfile.TemporaryDirectory() as folder:
        codes, counts = _run(halves, chosen, Path(folder))
    if args.all and not any(codes) and not counts["skipped"]:
        write_receipts(counts["passed"])
        codes.append(_call((sys.executable, "-m", "pytest", "-q", "tests/test_receipts.py")))
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    # pytest's 5 is "no tests ran": never right here.
    return max(codes, default=1)


def _run(halves: tuple[Half, ...], chosen: str, folder: Path) -> tuple[list[int], dict[str, int]]:
    env = environment(folder)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    codes = []
    running = []
    for half in halves:
        log = (folder / f"{half.name}.log").open("w+b")
        command = (*half.command, "-m", chosen, "--durations=5")
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
        running.append((half, log, process))
    for half, log, process in running:
        codes.append(process.wait())
        log.seek(0)
        text = log.read().decode("utf-8", "replace")
        log.close()
        print(f"===== {half.name} =====\n{text}", flush=True)
        for number, word in _COUNT.findall(text.strip().rsplit("\n", 1)[-1]):
            counts["failed" if word.startswith("error") else word] += int(number)
    return codes, counts


def _call(command: tuple[str, ...]) -> int:
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
