"""Run every test: the tool's in its own environment, upstream's in each base's, two at a time.

`python -m tests.runner [--all]`. Of the default base everything runs that is not slow, of the
oldest and the newest what is marked `core`; for those between, their receipts stand, which go stale
with the first changed byte of a series. With --all everything of the default base runs, and of all
others what is not slow. A base that can't be had on this machine counts as one skip, with its
reason. With --all, and only where nothing failed or was skipped, it writes the receipts that every
other machine checks (tests/receipts.py).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.cli.options import DEFAULT_BASE
from ltx2_patcher.jobs.launch.install import environment_python
from ltx2_patcher.jobs.series.apply import apply_tree
from ltx2_patcher.jobs.series.obtain import obtain
from ltx2_patcher.values.base import Base
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
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = []
        store = Store(ROOT)
        for base in store.bases() if args.all else _ends(store.bases()):
            try:
                checkout = obtain(store, base, "auto", lambda _phase, _share: None).tree
            except OutsideError as error:
                counts["skipped"] += 1
                print(f"skipped: base {base.name}, upstream's history: {error}")
                continue
            apply_tree(store, base, checkout)
            owner = environment_owner(base, store.bases())
            if _call(("make", "-s", f"BASE={owner.name}", f"vendor/env-{owner.name}/.tests")):
                return 1  # make has said why
            chosen = ("-m", _chosen(base, every=args.all))
            command = (str(environment_python(store, owner)), "-m", "pytest", UPSTREAM, *chosen)
            runs.append(Run(base.name, command, environment(folder / base.name, base.name)))
        runs += _tool_runs(every=args.all)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            codes = list(pool.map(lambda run: _run(run, folder, counts), runs))
    if args.all and not any(codes) and not counts["skipped"]:
        write_receipts(counts["passed"])
        codes.append(_call((sys.executable, "-m", "pytest", "-q", "tests/test_receipts.py")))
    failed = counts["failed"] + counts["error"] + counts["errors"]
    print(f"{counts['passed']} passed, {failed} failed, {counts['skipped']} skipped")
    # pytest's 5 is "no tests ran": never right here.
    return max(codes)


def environment_owner(base: Base, bases: Sequence[Base]) -> Base:
    """The base whose environment serves the tests of `base` too: it has all its pins.

    The patched tree goes before whatever an environment is linked to, and one takes 2 GB.
    """
    pins = base.environment.items()
    by_size = sorted(bases, key=lambda other: (other.name != DEFAULT_BASE, -len(other.environment)))
    return next(other for other in by_size if pins <= other.environment.items())


def _ends(bases: Sequence[Base]) -> list[Base]:
    """The default base, the oldest and the newest."""
    between = [b.name for b in bases[1:-1] if b.name != DEFAULT_BASE]
    print(f"by their receipts, see `make test-all`: {', '.join(between)}", flush=True)
    return [base for base in bases if base.name not in between]


def _chosen(base: Base, *, every: bool) -> str:
    """Which tests of a base, for pytest's -m."""
    if base.name == DEFAULT_BASE:
        return _expression(every=every)
    return "not gpu and not slow" if every else "not gpu and not slow and core"


def _expression(*, every: bool) -> str:
    return "not gpu" if every else "not gpu and not slow"


# Of about the same length; the verbs that are killed at every point take the longest.
_MAINTAINING = ("rebase*", "replay", "publication", "revise", "support")


def _tool_runs(*, every: bool) -> list[Run]:
    """The tool's own tests, in runs that can go at the same time."""
    pytest = (sys.executable, "-m", "pytest", "-m", _expression(every=every), "--durations=5")
    jobs = ROOT / "tests/jobs/series"
    maintaining = [str(p) for name in _MAINTAINING for p in sorted(jobs.glob(f"test_{name}.py"))]
    # Stale receipts are what a whole run renews: it checks them after it has written them.
    late = ("tests/test_receipts.py",) if every else ()
    elsewhere = [f"--ignore={path}" for path in (UPSTREAM, "tests/jobs", *late)]
    return [
        Run("tool, maintaining", (*pytest, *maintaining)),
        Run("tool, other jobs", (*pytest, "tests/jobs", *(f"--ignore={m}" for m in maintaining))),
        Run("tool, the rest", (*pytest, "tests", *elsewhere)),
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
