"""What was proved where it can be, kept for machines where it can't: receipts and their check.

A receipt names the base, what ran, when, on what, and the digest of the base's series and the
overlay. It is stale as soon as one byte of them changes. `make test-all` writes that of a machine
with upstream's history; `python -m tests.receipts BASE LOG GPU`, with the log of a pytest run
of tests/upstream/pipelines on that GPU, that of such a machine.
"""

from __future__ import annotations

import datetime as dt
import json
import platform
import re
import sys
from pathlib import Path

from ltx2_patcher.boundaries.store import Store

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests/receipts"
HISTORY = "make test-all, upstream's git history included, nothing skipped"
CUDA = "clips on CUDA: flags off byte-equal to upstream, each flag and a prequantized root whole"


def write_receipts(passed: int) -> None:
    """A whole run without failure or skip has proved every base."""
    for base in Store(ROOT).bases():
        _write(base.name, "history", HISTORY, passed, f"{sys.platform}, no GPU")


def write_cuda_receipt(base: str, log: str, gpu: str) -> None:
    """A run of tests/upstream/pipelines where they take the GPU. Raises: ValueError on failures."""
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", log)}
    if set(counts) != {"passed"}:
        raise ValueError(f"no receipt for {counts}")
    _write(base, "cuda", CUDA, counts["passed"], gpu)


def _write(base: str, kind: str, proved: str, passed: int, machine: str) -> None:
    receipt = {
        "base": base,
        "digest": Store(ROOT).digest(base),
        "proved": proved,
        "passed": passed,
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        "machine": machine,
        "python": platform.python_version(),
    }
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{base}-{kind}.json"
    path.write_text(json.dumps(receipt, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    write_cuda_receipt(sys.argv[1], Path(sys.argv[2]).read_text("utf-8"), sys.argv[3])
