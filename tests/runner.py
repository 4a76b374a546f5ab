"""Run every test: the tool's in its own environment, upstream's in each base's, two at a time.

`python -m tests.runner [--all]`. A base that can't be had on this machine counts as one skip, with
its reason. With --all, and only where nothing failed or was skipped, it writes the receipts that
every other machine checks (tests/receipts.py).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.install import environment_python
from ltx2_patcher.jobs.obtain import obtain
from ltx2_patcher.values.errors import OutsideError
from tests.receipts import write_receipts
from tests.trees import environment

ROOT = Path(__file__).parents[1]
UPSTREAM = "tests/upstream"  # what imports upstream, torch or bitsandbytes
AT_ONCE = 2  # a run holds one core
_COUNT = re.compile(r"(\d+) (passed|failed|skipped|error|errors)\b")


@dataclass(frozen=True)
class Run:
    """One pytest process."""

    name: str
    command: tuple[str, ...]
    variables: dict[str, str] | None = None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="with the slow tests")
    args = parser.parse_args()
    chosen = ("-m", "not gpu" if args.all else "not gpu and not slow", "--durations=5")
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = _tool_runs(chosen, late=args.all)
        for base in Store(ROOT).bases():
            try:
                obtain(Store(ROOT), base, "auto", lambda _phase, _share: None)
            except OutsideError as error:
                counts["skipped"] += 1
                print(f"skipped: base {base.name}, upstream's history: {error}")
                continue
            if _call(("make", "-s", f"BASE={base.name}", f"vendor/env-{base.name}/.tests")):
                return 1  # make has said why
            python = environment_python(Store(ROOT), base)
            command = (str(python), "-m", "pytest", UPSTREAM, *chosen)
            runs.append(Run(base.name, command, environment(folder / base.name, base.name)))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            codes = list(pool.map(lambda run: _run(run, folder, counts), runs))
    if args.all and not any(codes) and not counts["skipped"]:
        write_receipts(counts["passed"])
        codes.append(_call((sys.executable, "-m", "pytest", "-q", "tests/test_receipts.py")))
    failed = counts["failed"] + counts["error"] + counts["errors"]
    print(f"{counts['passed']} passed, {failed} failed, {counts['skipped']} skipped")
    # pytest's 5 is "no tests ran": never right here.
    return max(codes)


def _tool_runs(chosen: tuple[str, ...], *, late: bool) -> list[Run]:
    """The tool's own tests in two runs of about the same length."""
    # Stale receipts are what a whole run renews: it checks them after it has written them.
    deselected = ("--deselect", "tests/test_receipts.py") if late else ()
    pytest = (sys.executable, "-m", "pytest", *chosen)
    rest = (f"--ignore={UPSTREAM}", "--ignore=tests/jobs", *deselected)
    return [
        Run("tool, jobs", (*pytest, "tests/jobs")),
        Run("tool, the rest", (*pytest, "tests", *rest)),
    ]


def _run(run: Run, folder: Path, counts: Counter[str]) -> int:
    with (folder / f"{run.name}.log").open("w+b") as log:
        code = subprocess.run(
            run.command, cwd=ROOT, env=run.variables, stdout=log, stderr=log, check=False
        ).returncode
        log.seek(0)
        text = log.read().decode("utf-8", "replace")
    print(f"===== {run.name} =====\n{text}", flush=True)
    for number, word in _COUNT.findall(text.strip().rsplit("\n", 1)[-1]):
        counts[word] += int(number)
    return code


def _call(command: tuple[str, ...]) -> int:
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
