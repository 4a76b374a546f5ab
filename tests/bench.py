"""Speed as ratios from one run: `python -m tests.bench --env PYTHON`; 1 where a bound is missed."""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree, unapply_tree
from ltx2_patcher.jobs.series.export import write_mailbox
from ltx2_patcher.jobs.series.history import history
from ltx2_patcher.jobs.series.matrix import matrix
from ltx2_patcher.jobs.series.obtain import checkout_path
from ltx2_patcher.jobs.series.status import tree_status
from tests.trees import environment

ROOT = Path(__file__).parents[1]
ROUNDS = 9


@dataclass(frozen=True)
class Row:
    """One measurement against another of the same run."""

    what: str
    ms: float
    against: str
    other_ms: float
    bound: float

    @property
    def ratio(self) -> float:
        return self.ms / self.other_ms


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", required=True, help="the Python of the base's environment")
    parser.add_argument("--base", default="1.0.0")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [*_applying(Path(folder), args.base), _starting(), _matrix(Path(folder))]
        loading = subprocess.run(
            [args.env, "-m", "tests.upstream.bench_loading"],
            cwd=ROOT,
            env=environment(Path(folder) / "trees", args.base),
            check=False,
        )
    table = Table("what", "ms", "against", "ms", "ratio", "bound")
    for row in rows:
        numbers = (f"{row.ms:.1f}", row.against, f"{row.other_ms:.1f}")
        table.add_row(row.what, *numbers, f"{row.ratio:.2f}", f"{row.bound:.2f}")
    Console().print(table)
    return max(loading.returncode, int(any(row.ratio > row.bound for row in rows)))


def _applying(folder: Path, name: str) -> list[Row]:
    """Apply, "nothing to do" and status against one `git am` of the same patches, interleaved."""
    store = Store(ROOT)
    base = store.base(name)
    start, tree, other = folder / "start", folder / "tree", folder / "other"
    shutil.copytree(checkout_path(store, base), start, symlinks=True)
    unapply_tree(store, base, start)
    mailbox = folder / "series.mbox"
    write_mailbox(store, base, mailbox)
    am = ["git", "-c", "user.name=x", "-c", "user.email=x", "am", "-q", str(mailbox)]
    apply_ms, am_ms, nothing_ms, status_ms = [], [], [], []
    for _ in range(ROUNDS):
        for place in (tree, other):
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(start, place, symlinks=True)
            subprocess.run(["git", "status"], cwd=place, check=True, capture_output=True)
        am_ms.append(_ms(lambda: subprocess.run(am, cwd=other, check=True, capture_output=True)))
        apply_ms.append(_ms(lambda: apply_tree(store, base, tree)))
        nothing_ms.append(_ms(lambda: apply_tree(store, base, tree)))
        status_ms.append(_ms(lambda: tree_status(store, tree, None)))
    job, git_am = statistics.median(apply_ms), statistics.median(am_ms)
    return [
        Row("apply, the job", job, "git am of the series", git_am, 1.5),
        Row("nothing to do", statistics.median(nothing_ms), "apply, the job", job, 1 / 3),
        Row("status", statistics.median(status_ms), "apply, the job", job, 1 / 3),
    ]


def _starting() -> Row:
    """--help against a bare interpreter that imports argparse, interleaved."""
    script = str(Path(sys.executable).parent / "ltx2-patcher")
    ours, bare = [], []
    # Who starts it a second time has its bytecode, whatever is set here.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(ROUNDS * 3):
        bare.append(_ms(lambda: _run([sys.executable, "-c", "import argparse"], env)))
        ours.append(_ms(lambda: _run([script, "--help"], env)))
    against = 'python -c "import argparse"'
    return Row("--help", statistics.median(ours), against, statistics.median(bare), 2.0)


def _matrix(folder: Path) -> Row:
    """The whole matrix against `git apply --cached` of each patch on each revision, interleaved."""
    store = Store(ROOT)
    past = history(store)
    revisions = [row.revision.commit for row in matrix(store, past).rows]
    series = [[patch.data for patch in store.series(b.name).patches] for b in store.bases()]
    env = os.environ | {
        "GIT_DIR": str(past.place.resolve()),
        "GIT_INDEX_FILE": str(folder / "index"),
        "GIT_CONFIG_GLOBAL": os.devnull,
    }

    def bare_loop() -> None:
        for commit in revisions:
            for patches in series:
                _git(["read-tree", commit], env)
                for data in patches:
                    _git(["apply", "--cached", "-"], env, data)

    ours, loop = [], []
    for _ in range(ROUNDS // 3):
        loop.append(_ms(bare_loop))
        ours.append(_ms(lambda: matrix(store, past)))
    against = "git apply --cached, pair by pair"
    return Row("matrix", statistics.median(ours), against, statistics.median(loop), 2.0)


def _git(arguments: list[str], env: dict[str, str], data: bytes = b"") -> None:
    # A patch that does not apply is part of the work.
    subprocess.run(["git", *arguments], env=env, input=data, capture_output=True, check=False)


def _run(command: list[str], env: dict[str, str]) -> None:
    subprocess.run(command, env=env, check=True, capture_output=True)


def _ms(job: Callable[[], object]) -> float:
    start = time.perf_counter()
    job()
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    sys.exit(main())
