"""Run every test: the tool's in its own environment, upstream's in each base's, two at a time.

`python -m tests.runner [--all | --base NAME]`. Of the default base everything runs that is not
slow, of the oldest and the newest what is marked `core`; for those between, their proofs stand,
which go stale with the first change of their code (tests/proofs/). With --all everything of the
default base runs, and of all others what is not slow; with --base that of one base alone. Both
renew the proof of each base of which nothing failed or was skipped. A base that can't be had on
this machine counts as one skip, with its reason. The last line holds the counts.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.cli.options import DEFAULT_BASE
from ltx2_patcher.jobs.launch.install import environment_python
from ltx2_patcher.jobs.series.apply import apply_tree
from ltx2_patcher.jobs.series.obtain import obtain
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import OutsideError, PatcherError
from tests.proofs.check import Repository
from tests.proofs.record import FOLDER as PROOFS
from tests.proofs.record import record
from tests.trees import environment

ROOT = Path(__file__).parents[1]
SERVICE = "tests/service"
UPSTREAM = "tests/upstream"  # what imports upstream, torch or bitsandbytes
AT_ONCE = 2  # a suite holds one core
PROGRESS_S = 15  # from one line of progress to the next
_POLL_S = 0.2
_COUNT = re.compile(r"(\d+) (passed|failed|skipped|error|errors)\b")
_SHARE = re.compile(r"\[ *(\d+)%\]$", re.MULTILINE)


@dataclass(frozen=True)
class Suite:
    """What one pytest process runs."""

    name: str
    command: tuple[str, ...]
    usual_s: int  # what `make test` takes for it on a quiet core
    variables: dict[str, str] | None = None
    proves: str | None = None  # the base that it is the whole run of

    @property
    def what(self) -> str:
        """Its arguments for pytest: what it runs."""
        return " ".join(self.command[self.command.index("pytest") + 1 :])


@dataclass(frozen=True)
class Done:
    """A suite that ended."""

    suite: Suite
    code: int
    counts: Counter[str]

    def keep_proof(self) -> None:
        """Renew the proof of a base where nothing failed or was skipped."""
        if self.suite.proves is not None and not self.code and not self.counts["skipped"]:
            record(self.suite.proves, self.counts["passed"])


class Running:
    """A suite under way; its output goes to a log in `folder`."""

    def __init__(self, suite: Suite, folder: Path) -> None:
        self.suite = suite
        self.log = folder / f"{suite.name}.log"
        self.began_s = time.monotonic()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                suite.command, cwd=ROOT, env=suite.variables, stdout=log, stderr=log
            )

    @property
    def share(self) -> str:
        """How far it is: "45 %"."""
        shares = _SHARE.findall(self._text())
        return f"{shares[-1] if shares else 0} %"

    def done(self) -> Done:
        """Its end, told: skips with their reasons, its whole log where it failed."""
        code, text = self.process.wait(), self._text().strip()
        *_, last = text.rsplit("\n", 1)
        counts: Counter[str] = Counter()
        for number, word in _COUNT.findall(last):
            counts[word] += int(number)
        if code and not _failed(counts):
            counts["failed"] += 1  # it was killed, or no test ran
        if code:
            _tell(f"===== {self.suite.name} =====\n{text}")
        else:
            for line in text.splitlines():
                if line.startswith("SKIPPED "):
                    _tell(line)
        told = ", ".join(f"{number} {word}" for word, number in counts.items())
        _tell(f"done    {self.suite.name}: {told}, {time.monotonic() - self.began_s:.0f} s")
        return Done(self.suite, code, counts)

    def _text(self) -> str:
        return self.log.read_bytes().decode("utf-8", "replace")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--all", action="store_true", help="every base, with the slow tests")
    what.add_argument("--base", metavar="NAME", help="that base alone, as --all runs it")
    args = parser.parse_args()
    store = Store(ROOT)
    try:
        bases = [store.base(args.base)] if args.base else list(store.bases())
    except PatcherError as error:
        parser.error(f"{error}; {error.remedy}")
    every = bool(args.all or args.base)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        suites = [] if args.base else _tool_suites(every=every)
        for base in bases if every else _ends(bases):
            try:
                suites.append(_base_suite(store, base, folder, every=every))
            except OutsideError as error:
                counts["skipped"] += 1
                _tell(f"SKIPPED base {base.name}, upstream's history: {error}")
            except subprocess.CalledProcessError:
                return 1  # make has said why
        done = _run_all(suites, folder, estimate=not every)
        for one in done:
            counts += one.counts
        if args.all:  # what it renews is checked after that
            proofs = Suite("proofs", _pytest(sys.executable, str(PROOFS)), 15)
            done += _run_all([proofs], folder, estimate=False)
            counts += done[-1].counts
    if stale := Repository.at(ROOT).stale_measurements():
        _tell(
            f"warning: {len(stale)} measurements are of other code than this; `make release` "
            "says what renews each"
        )
    _tell(f"{counts['passed']} passed, {_failed(counts)} failed, {counts['skipped']} skipped")
    return int(any(one.code for one in done))


def _failed(counts: Counter[str]) -> int:
    return counts["failed"] + counts["error"] + counts["errors"]


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
    _tell(f"by their proofs, see `make test-all`: {', '.join(between)}")
    return [base for base in bases if base.name not in between]


def _run_all(suites: Sequence[Suite], folder: Path, *, estimate: bool) -> list[Done]:
    """Each suite, the longest first, and how far they are meanwhile."""
    waiting = sorted(suites, key=lambda suite: -suite.usual_s)
    minutes = sum(suite.usual_s for suite in suites) / AT_ONCE / 60
    about = f", about {minutes:.0f} min on quiet cores" if estimate else ""
    _tell(f"{len(suites)} suites, {AT_ONCE} at a time{about}")
    began_s = told_s = time.monotonic()
    running: list[Running] = []
    done: list[Done] = []
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            _tell(f"start   {waiting[0].name}: {waiting[0].what}")
            running.append(Running(waiting.pop(0), folder))
        time.sleep(_POLL_S)
        for one in [one for one in running if one.process.poll() is not None]:
            running.remove(one)
            done.append(one.done())
            done[-1].keep_proof()
        if running and time.monotonic() - told_s >= PROGRESS_S:
            told_s = time.monotonic()
            shares = ", ".join(f"{one.suite.name} {one.share}" for one in running)
            _tell(f"{_clock(told_s - began_s)}   {shares}; {len(waiting)} wait")
    return done


def _base_suite(store: Store, base: Base, folder: Path, *, every: bool) -> Suite:
    """The tests below tests/upstream, with both trees of a base and an environment for it.

    Raises: OutsideError (upstream does not answer), CalledProcessError (no environment).
    """
    checkout = obtain(store, base, "auto", lambda _phase, _share: None).tree
    apply_tree(store, base, checkout)
    owner = environment_owner(base, store.bases())
    make = ("make", "-s", f"BASE={owner.name}", f"vendor/env-{owner.name}/.tests")
    subprocess.run(make, cwd=ROOT, check=True)
    marked, usual_s = "not gpu and not slow", 80
    if base.name == DEFAULT_BASE:
        marked, usual_s = _marked(every=every), 380
    elif not every:
        marked += " and core"
    command = _pytest(str(environment_python(store, owner)), UPSTREAM, "-m", marked)
    variables = environment(folder / base.name, base.name)
    return Suite(base.name, command, usual_s, variables, proves=base.name if every else None)


_SERIES = "tests/jobs/series"


def _tool_suites(*, every: bool) -> list[Suite]:
    """The tool's own tests: few suites, since each makes what its tests share anew."""
    # Stale proofs are what a whole run renews: it checks them after it has written them.
    late = [str(PROOFS)] if every else []
    usual_s = {
        ("the series", _SERIES): 250,
        ("the rest", "tests", *_without([UPSTREAM, SERVICE, _SERIES, *late])): 210,
        ("the video service", SERVICE): 160,
    }
    marked = ("-m", _marked(every=every))
    return [
        Suite(f"tool, {name}", _pytest(sys.executable, *paths, *marked), seconds)
        for (name, *paths), seconds in usual_s.items()
    ]


def _without(paths: Sequence[str]) -> list[str]:
    return [f"--ignore={path}" for path in paths]


def _marked(*, every: bool) -> str:
    return "not gpu" if every else "not gpu and not slow"


def _pytest(python: str, *arguments: str) -> tuple[str, ...]:
    return (python, "-u", "-m", "pytest", *arguments)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
