"""Replay upstream's history: each base rebased, revision by revision, towards the next one.

Where a patch stops, the maintainer of that time is played by the next base's series: its patch of
that name, laid on the revision, is what he settled on. Where even that does not go there, the patch
waits for the next base. `python -m tests.replay` prints the counts and keeps them as a proof.
"""

from __future__ import annotations

import datetime as dt
import json
import platform
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ltx2_patcher.boundaries.linediff import line_diffs
from ltx2_patcher.boundaries.objects import Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.boundaries.worktree import Worktree
from ltx2_patcher.jobs.series import history as upstream
from ltx2_patcher.jobs.series.rebase.report import SYMBOLS, RebaseStatus, StopReport
from ltx2_patcher.jobs.series.rebase.steps import begin, proceed, skip
from ltx2_patcher.rules.series.lines import split_lines
from ltx2_patcher.rules.series.merge import edited, merge
from ltx2_patcher.rules.series.plan import stages
from ltx2_patcher.rules.series.symbols_file import Symbols, parse_symbols
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError
from ltx2_patcher.values.rebasing import Outcome, StopReason
from ltx2_patcher.values.series import FileDiff
from tests.proofs.record import FOLDER, REPLAY, ROOT, hooks_digest
from tests.rebases import make_place


@dataclass(frozen=True)
class Step:
    """One revision on the way: what became of each patch that was carried to it."""

    source: str
    towards: str
    commit: str
    date: str
    outcomes: dict[str, Outcome]


class Settler:
    """Settles stops with what the next base's series has for the same patch."""

    def __init__(self, store: Store, history: Objects, base: Base) -> None:
        series = store.series(base.name)
        now = history.blobs(base.commit, series.lock.before)
        self.patches: dict[str, list[tuple[FileDiff, bytes]]] = {}
        for stage in stages(series, series.lock.groups[-1], now)[1:]:
            assert stage.patch
            self.patches[stage.patch.name] = [(d, now[d.path]) for d in stage.patch.diffs]
            now = {**now, **stage.files}

    def settle(self, store: Store, stopped: StopReport) -> RebaseStatus:
        """Go on from `stopped`."""
        if stopped.reason is StopReason.SYMBOLS:
            path = stopped.worktree / SYMBOLS
            wanted = parse_symbols(path.read_bytes(), SYMBOLS)
            path.write_text(without(wanted, stopped.lacking))
            return proceed(store)
        assert stopped.patch
        files = self._files(stopped.worktree, stopped.patch)
        if stopped.reason is StopReason.LANDED or not files:
            return skip(store)
        tree = Worktree(stopped.worktree)
        tree.settle_on(tree.head().commit)
        tree.add(files)
        try:
            return proceed(store)
        except ConflictError:  # nothing is left, or it is no Python there
            return skip(store)

    def _files(self, place: Path, patch: str) -> dict[str, bytes]:
        """The next base's patch laid on the commits so far; empty where it does not go."""
        tree = Worktree(place)
        wanted = self.patches.get(patch, [])
        there = tree.blobs("HEAD", tree.entries("HEAD", [diff.path for diff, _ in wanted]))
        if len(there) < len(wanted) or not wanted:
            return {}
        drifts = line_diffs([(before, there[diff.path]) for diff, before in wanted])
        files = {}
        for (diff, before), drift in zip(wanted, drifts, strict=True):
            merged = merge(split_lines(before), diff.edits, drift)
            if merged.clashes:
                return {}
            text = b"".join(edited(split_lines(there[diff.path]), merged.ours))
            if text != there[diff.path]:
                files[diff.path] = text
        return files


def without(wanted: Symbols, lacking: tuple[str, ...]) -> str:
    """symbols.toml with what is not there left out."""
    gone = {}
    for sentence in lacking:
        place, _, rest = sentence.partition(": ")
        gone[place] = rest
    lines = []
    for group, files in wanted.items():
        kept = {}
        for path, symbols in files.items():
            missing = gone.get(path, "")
            if "not touched" not in missing:
                kept[path] = [name for name in symbols if name not in missing.split(", ")]
        if f"[{group}]" not in gone and any(kept.values()):
            lines += [f"[{group}]"]
            lines += [f"{json.dumps(p)} = {json.dumps(names)}" for p, names in kept.items()]
    return "\n".join(lines) + "\n"


def leg(root: Path, store: Store, history: Objects, source: Base, towards: Base) -> list[Step]:
    """Carry `source` through every revision up to and with that of `towards`."""
    place = make_place(root, history, source.name)
    settler = Settler(store, history, towards)
    known = set(store.series(towards.name).lock.patches)
    steps, name = [], source.name
    for number, commit in enumerate(history.commits_between(source.commit, towards.commit)):
        done = begin(place, commit, source=name, name=f"step{number}")
        while done.stopped:
            done = settler.settle(place, done.stopped)
        assert done.written
        outcomes = {item.patch: item.outcome for item in done.settled}
        steps.append(Step(source.name, towards.name, commit, done.onto.date, outcomes))
        name = done.name
    carried = set(place.series(name).lock.patches)
    assert carried <= known | set(store.series(source.name).lock.patches)
    return steps


def replay(folder: Path, store: Store, history: Objects) -> list[Step]:
    """Every leg between two bases that follow each other."""
    bases = sorted(store.bases(), key=lambda base: (base.date, base.name))
    steps = []
    for source, towards in pairwise(bases):
        place = folder / source.name
        steps += leg(place, store, history, source, towards)
        shutil.rmtree(place)
    return steps


def counted(steps: list[Step]) -> dict[str, int]:
    """How often a patch moved by itself, was settled, landed, or had to wait."""
    found = Counter(outcome for step in steps for outcome in step.outcomes.values())
    return {outcome.value: found[outcome] for outcome in Outcome}


def lines(steps: list[Step]) -> list[str]:
    """The counts, a revision a line."""
    told = []
    for step in steps:
        counts = ", ".join(f"{n} {word}" for word, n in counted([step]).items() if n)
        told.append(f"{step.source} -> {step.towards}  {step.date} {step.commit[:10]}  {counts}")
    return [*told, ", ".join(f"{n} {word}" for word, n in counted(steps).items())]


def record(store: Store, steps: list[Step]) -> None:
    """Keep the counts, with the digest of the hooks of every series that they are counts of."""
    proof = {
        "digests": {
            base.name: hooks_digest(base, store.series(base.name)) for base in store.bases()
        },
        "proved": "python -m tests.replay",
        "counts": counted(steps),
        "steps": [
            {
                "from": step.source,
                "towards": step.towards,
                "commit": step.commit,
                "date": step.date,
                "counts": counted([step]),
            }
            for step in steps
        ],
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
    }
    (ROOT / FOLDER / REPLAY).write_text(json.dumps(proof, indent=1) + "\n", "utf-8")


def main() -> int:
    store = Store(ROOT)
    history = upstream.history(store)
    with tempfile.TemporaryDirectory() as folder:
        steps = replay(Path(folder), store, history)
    print("\n".join(lines(steps)))
    record(store, steps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
