"""What was proved where it can be, kept for machines where it can't.

A proof names the base, what ran, when, on what, and the digest of all that it depends on. The
runner keeps that of a base whose tests all passed; `python -m tests.proofs.record BASE LOG GPU`,
with the log of a pytest run of tests/upstream/pipelines on that GPU, that of such a machine.
"""

from __future__ import annotations

import datetime as dt
import json
import platform
import re
import sys
from pathlib import Path

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.series import Series
from verify.upstream.code_digest import digest_of, file_digest, patch_digest

ROOT = Path(__file__).parents[2]
FOLDER = Path("tests/proofs")
"""Where they lie, below the repository's root."""
REPLAY = "replay.json"
"""The one that is of all bases (tests/replay.py)."""
CUDA = "clips on CUDA: flags off byte-equal to upstream, each flag and a prequantized root whole"


def proof_digest(base: Base, series: Series) -> str:
    """Of what a run of a base's tests depends on: hooks, overlay, pins."""
    overlay = [(path, file_digest(path, data)) for path, data in sorted(series.overlay.items())]
    return digest_of((hooks_digest(base, series), overlay, sorted(base.environment.items())))


def hooks_digest(base: Base, series: Series) -> str:
    """Of what rebasing a series depends on: upstream's commit, the changes to it, the symbols."""
    symbols = [
        (group, path, sorted(names))
        for group, paths in sorted(series.symbols.items())
        for path, names in sorted(paths.items())
    ]
    return digest_of((base.commit, [patch_digest(patch) for patch in series.patches], symbols))


def record(base: str, passed: int) -> None:
    """Every test of a base below tests/upstream has passed, on this machine."""
    proved = f"python -m tests.runner --base {base}: nothing skipped"
    _write(base, "history", proved, passed, f"{sys.platform}, no GPU")


def record_cuda(base: str, log: str, gpu: str) -> None:
    """A run of tests/upstream/pipelines where they take the GPU. Raises: ValueError on failures."""
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", log)}
    if set(counts) != {"passed"}:
        raise ValueError(f"no proof of {counts}")
    _write(base, "cuda", CUDA, counts["passed"], gpu)


def _write(base: str, kind: str, proved: str, passed: int, machine: str) -> None:
    store = Store(ROOT)
    proof = {
        "base": base,
        "digest": proof_digest(store.base(base), store.series(base)),
        "proved": proved,
        "passed": passed,
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        "machine": machine,
        "python": platform.python_version(),
    }
    path = ROOT / FOLDER / f"{base}-{kind}.json"
    path.write_text(json.dumps(proof, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    record_cuda(sys.argv[1], Path(sys.argv[2]).read_text("utf-8"), sys.argv[3])
