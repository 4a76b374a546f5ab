"""A rebase that is killed, meets a second one, or a full disk: nothing lost, the next one works."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ltx2_patcher.boundaries import journal
from ltx2_patcher.boundaries.objects import Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.lint import lint
from ltx2_patcher.jobs.series.rebase import steps as rebase
from ltx2_patcher.jobs.series.rebase.report import RebaseStatus
from ltx2_patcher.jobs.series.rebase.steps import begin, proceed
from ltx2_patcher.jobs.series.rebase.workspace import sweep
from ltx2_patcher.values.errors import ConflictError, UsageError
from ltx2_patcher.values.rebasing import Outcome, StopReason
from tests.conftest import git
from tests.jobs.series.test_interruption import LONG, killed_at, points
from tests.rebases import AFTER, BEFORE, make_place, private, published, settle, tool

pytestmark = pytest.mark.history


def status(store: Store) -> RebaseStatus | None:
    """Where the rebase stands; None where none is under way."""
    try:
        return rebase.status(store)
    except UsageError:
        return None


def handed_over(done: RebaseStatus | None) -> dict[str, str]:
    """The worktree and its index, as a person gets them."""
    assert done and done.stopped
    tree = done.stopped.worktree
    return {
        "head": git(tree, "rev-parse", "HEAD^{tree}"),
        "index": git(tree, "ls-files", "-s"),
        "status": git(tree, "status", "--porcelain=v2"),
        "diff": git(tree, "diff", "HEAD"),
    }


class Kills:
    """One verb, killed at its points, each time from the same start."""

    def __init__(self, start: Path, long: bool, *arguments: str) -> None:
        self.start, self.arguments = start, arguments
        self.place = start.with_name("place")
        self._fresh()
        done = killed_at(0, self.place, *arguments, tool=self.place)
        assert done.returncode in {0, 3}, done.stderr
        assert "Traceback" not in done.stderr
        self.total = int(done.stdout.rsplit("events: ", 1)[1])
        # The ways to be killed share the points.
        self.points = points(self.total, long=long)[1::4]

    def at(self, point: int) -> Store:
        self._fresh()
        done = killed_at(point, self.place, *self.arguments, tool=self.place)
        assert done.returncode == -signal.SIGKILL, done.stderr
        return Store(self.place)

    def _fresh(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.start, self.place, symlinks=True)


@pytest.fixture
def start(tmp_path: Path, history: Objects) -> Path:
    make_place(tmp_path / "start", history)
    return tmp_path / "start"


@pytest.mark.parametrize("long", LONG)
def test_killed_on_the_way_to_a_whole_base(start: Path, long: bool) -> None:
    kills = Kills(start, long, "rebase", "--onto", BEFORE)
    whole, left = published(Store(kills.place)), private(Store(kills.place))
    assert kills.total > 40
    before = published(Store(start))
    for point in kills.points:
        store = kills.at(point)
        if "2026-03-05" not in {base.name for base in store.bases()}:
            now = published(store)
            assert all(now[path] == data for path, data in before.items()), point
        if status(store):
            assert proceed(store).written, point
        elif "2026-03-05" not in {base.name for base in store.bases()}:
            assert begin(store, BEFORE).written, point
        assert published(store) == whole, point
        sweep(store, Objects(store.vendor / "upstream.git"))
        assert private(store) == left, point
        assert [item.base for item in lint(store)] == ["1.0.0", "2026-03-05"], point


@pytest.mark.slow
def test_cut_off_while_it_wrote_the_base_is_written(start: Path) -> None:
    """From the moment that the journal stands, the base is there, whoever finishes it."""
    kills = Kills(start, False, "rebase", "--onto", BEFORE)
    whole = published(Store(kills.place))
    low, high = 0, kills.total  # not begun to write there; over there
    while high - low > 1:
        point = (low + high) // 2
        store = kills.at(point)
        begun = journal.pending(store.state) or "2026-03-05" in {b.name for b in store.bases()}
        low, high = (low, point) if begun else (point, high)
    store = kills.at(high + 3)  # with some of its files there
    assert journal.pending(store.state)
    assert "2026-03-05" not in {base.name for base in store.bases()}
    assert (store.patches / "2026-03-05").exists()
    assert [item.base for item in lint(store)] == ["1.0.0"]
    with pytest.raises(ConflictError, match="is written already"):
        rebase.abort(store)
    assert published(store) == whole
    done = proceed(store)
    assert done.written and done.finished is None
    store = kills.at(high + 3)
    said = tool(store.root, "rebase", "--continue")
    assert said.returncode == 0, said.stderr
    assert "cut off here and is finished now: the new base 2026-03-05" in said.stdout
    assert published(store) == whole


@pytest.mark.parametrize("long", LONG)
def test_killed_before_or_while_it_hands_over(start: Path, long: bool) -> None:
    kills = Kills(start, long, "rebase", "--onto", AFTER)
    whole = handed_over(status(Store(kills.place)))
    before = published(Store(start))
    for point in kills.points:
        store = kills.at(point)
        done = status(store)
        if done is None:
            begin(store, AFTER)
        elif done.stopped is None:
            proceed(store)
        assert handed_over(status(store)) == whole, point
        assert published(store) == before, point


@pytest.mark.parametrize("long", LONG)
@pytest.mark.parametrize(
    "verb", ["--continue", pytest.param("--skip", marks=pytest.mark.slow), "--abort"]
)
def test_killed_with_a_resolution_in_the_worktree(start: Path, long: bool, verb: str) -> None:
    first = begin(Store(start), AFTER).stopped
    assert first
    settle(first.worktree)
    second = proceed(Store(start)).stopped
    assert second
    settle(second.worktree)
    resolution = git(second.worktree, "write-tree")
    before = published(Store(start))
    kills = Kills(start, long, "rebase", verb)
    whole = handed_over(status(Store(kills.place))) if verb != "--abort" else None
    for point in kills.points:
        store = kills.at(point)
        done = status(store)
        trees = git(
            store.vendor / "upstream.git", "log", "--all", "--format=%T", f"^{AFTER}"
        ).splitlines()
        lies = done is not None and done.stopped is not None and len(done.settled) == 1
        assert lies or resolution in trees, point  # where it was, or held by a ref
        if verb == "--abort":
            if done:
                rebase.abort(store)
            assert status(store) is None
            trees = git(
                store.vendor / "upstream.git", "log", "--all", "--format=%T", f"^{AFTER}"
            ).splitlines()
            assert resolution in trees, point
            sweep(store, Objects(store.vendor / "upstream.git"))
            assert private(store)[0] == ["upstream.git", "upstream.toml"], point
        elif done and (done.stopped is None or len(done.settled) == 1):
            done = (
                proceed(store) if verb == "--continue" or not done.stopped else rebase.skip(store)
            )
        if verb != "--abort":
            done = status(store)
            outcome = Outcome.BY_HAND if verb == "--continue" else Outcome.LEFT_OUT
            assert done and done.settled[1].outcome is outcome, point
            assert handed_over(done) == whole, point
        assert published(store) == before, point


def test_two_at_once_do_it_once(start: Path) -> None:
    command = [sys.executable, "-m", "ltx2_patcher", "rebase", "--onto", BEFORE]
    runs = [
        subprocess.Popen(
            command, cwd=start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [run.communicate() for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 2], said
    assert sum("is the base 2026-03-05 already" in err for _, err in said) == 1
    assert [item.base for item in lint(Store(start))] == ["1.0.0", "2026-03-05"]
    assert private(Store(start))[0] == ["upstream.git", "upstream.toml"]


FULL_DISK = """
set -e
mount -t tmpfs -o size=80m none "$PLACE"
cp -r "$START" "$PLACE/repository"
cd "$PLACE/repository"
export PYTHONDONTWRITEBYTECODE=1
head -c "$(($(df --output=avail -B1 "$PLACE" | tail -1) - $LEFT))" /dev/zero > "$PLACE/filler"
set +e
"$PYTHON" -m ltx2_patcher rebase --onto $ONTO
echo "code $?"
rm "$PLACE/filler"
"$PYTHON" -m ltx2_patcher rebase --continue > "$PLACE/said" 2>&1
again=$?
if [ $again = 2 ]; then
    "$PYTHON" -m ltx2_patcher rebase --onto $ONTO > "$PLACE/said" 2>&1
    again=$?
fi
cat "$PLACE/said"
echo "code $again"
"$PYTHON" -m ltx2_patcher lint
ls vendor
"""


@pytest.mark.parametrize(
    "left",
    [0, 80_000, 1_500_000, *(pytest.param(n, marks=pytest.mark.slow) for n in (20_000, 200_000))],
)
@pytest.mark.parametrize("onto", [BEFORE, AFTER])
def test_a_full_disk_loses_nothing(start: Path, tmp_path: Path, left: int, onto: str) -> None:
    """On a real file system of 80 MB with `left` bytes free."""
    place = tmp_path / "small"
    place.mkdir()
    environ = {
        "PLACE": place,
        "START": start,
        "LEFT": left,
        "ONTO": onto,
        "PYTHON": sys.executable,
    }
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", FULL_DISK],
        env=os.environ | {key: str(value) for key, value in environ.items()},
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no private mounts here: {done.stderr.strip()}")
    assert "Traceback" not in done.stderr + done.stdout
    codes = [line for line in done.stdout.splitlines() if line.startswith("code ")]
    enough = left > 1_000_000 and onto == BEFORE
    count = len(Store(start).series("1.0.0").patches)
    assert codes[0] == ("code 0" if enough else "code 4"), done.stdout + done.stderr
    if not enough:
        assert "no space left" in done.stderr
    if onto == BEFORE:
        assert (
            codes[1] in ("code 0", "code 2")
            and f"2026-03-05: {count} patches, sound" in done.stdout
        )
    else:
        assert codes[1] == "code 3" and f"stopped at 1 of {count}" in done.stdout, done.stdout


def test_a_worktree_that_git_forgot_is_put_aside(start: Path) -> None:
    store = Store(start)
    stopped = begin(store, AFTER).stopped
    assert stopped and stopped.reason is StopReason.CONFLICT
    (stopped.worktree / "notes.txt").write_text("mine\n")
    (stopped.worktree / ".git").unlink()
    count = len(store.series("1.0.0").patches)
    assert f"cut off with {count} patches to go" in tool(start, "rebase").stdout
    done = proceed(store)
    (aside,) = done.kept
    assert (Path(aside) / "notes.txt").read_text() == "mine\n"
    assert handed_over(done) and done.stopped and done.stopped.patch == stopped.patch
