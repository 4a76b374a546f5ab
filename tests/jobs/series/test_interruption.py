"""SIGKILL at points all over apply and unapply: the next run finishes, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree, unapply_tree
from ltx2_patcher.jobs.series.site_packages import apply_installed, unapply_installed
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError
from tests.conftest import BASE, ROOT, Environment, files, git, world

POINTS_IN_TEST = 8
POINTS_IN_A_LONG_RUN = 100


def killed_at(
    point: int, root: Path, *arguments: str, tool: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run the command line that lies in `tool`, killed at the `point`-th event; at 0 to its end.

    It writes no bytecode: that would count as events where the tool lies below `root`.
    """
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-m", "tests.jobs.series.killed", str(point), str(root), *arguments],
        cwd=tool,
        env=env | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def points(total: int, *, long: bool) -> list[int]:
    """Eight points spread over all, or a hundred, first and last among them."""
    count = POINTS_IN_A_LONG_RUN if long else POINTS_IN_TEST
    if total <= count:
        return list(range(1, total + 1))
    step = (total - 1) / (count - 1)
    return sorted({1 + round(n * step) for n in range(count)})


LONG = [False, pytest.param(True, marks=pytest.mark.slow)]


@pytest.mark.parametrize("long", LONG)
@pytest.mark.parametrize("verb", ["apply", "unapply"])
def test_a_killed_run_on_a_tree_is_finished_by_the_next(
    store: Store, base: Base, tree: Path, tmp_path: Path, verb: str, long: bool
) -> None:
    (tree / "mine.txt").write_text("mine\n")
    plain, patched = world(tree), None
    place = tmp_path / "place"
    if verb == "unapply":
        apply_tree(store, base, tree)
    start = tmp_path / "start"
    shutil.copytree(tree, start, symlinks=True)
    total = _events(killed_at(0, tree, verb, "--tree", str(tree)))
    patched = world(tree) if verb == "apply" else world(start)
    assert total > 30
    for point in points(total, long=long):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(start, place, symlinks=True)
        assert killed_at(point, place, verb, "--tree", str(place)).returncode == -signal.SIGKILL
        if verb == "apply":
            apply_tree(store, base, place)
            assert world(place) == patched, point
        unapply_tree(store, base, place)
        assert world(place) == plain, point
        assert not list((place / ".git").rglob("*.lock")), point


@pytest.mark.parametrize("long", LONG)
def test_a_killed_run_on_site_packages_is_finished_by_the_next(
    store: Store, base: Base, environment: Environment, long: bool
) -> None:
    plain = files(environment.site)
    python = environment.python
    total = _events(killed_at(0, environment.site, "apply", "--site-packages", str(python)))
    patched = files(environment.site)
    for point in points(total, long=long)[:: 1 if long else 4]:
        unapply_installed(store, base, python)
        assert files(environment.site) == plain, point
        kill = killed_at(point, environment.site, "apply", "--site-packages", str(python))
        assert kill.returncode == -signal.SIGKILL
        apply_installed(store, base, python)
        assert files(environment.site) == patched, point
        kill = killed_at(point, environment.site, "unapply", "--site-packages", str(python))
        unapply_installed(store, base, python)
        assert files(environment.site) == plain, point
        apply_installed(store, base, python)


def test_what_the_user_edited_after_a_kill_stops_the_next_run(
    store: Store, base: Base, tree: Path
) -> None:
    total = _events(killed_at(0, tree, "apply", "--tree", str(tree)))
    unapply_tree(store, base, tree)
    for point in range(total, 0, -1):
        killed_at(point, tree, "apply", "--tree", str(tree))
        if (tree / ".git/ltx2-patcher/journal.json").exists():
            break
        apply_tree(store, base, tree)
        unapply_tree(store, base, tree)
    path = next(iter(store.lock(BASE).before))
    (tree / path).write_text("# the user's, written after the kill\n")
    before = files(tree)
    with pytest.raises(ConflictError, match="cut off.*edited"):
        apply_tree(store, base, tree)
    assert files(tree) == before
    git(tree, "checkout", "--", path)
    apply_tree(store, base, tree)
    assert git(tree, "status", "--porcelain") == ""


@pytest.mark.parametrize("long", LONG)
def test_a_killed_obtain_leaves_no_half_checkout(tmp_path: Path, long: bool) -> None:
    root = tmp_path / "repository"
    for name in ("ltx2_patcher", "patches"):
        shutil.copytree(ROOT / name, root / name)
    (root / "vendor").mkdir()
    shutil.copy(ROOT / "vendor/upstream.toml", root / "vendor")
    shutil.copytree(ROOT / "tests/jobs", root / "tests/jobs")

    def run(point: int) -> subprocess.CompletedProcess[str]:
        return killed_at(point, root, "apply", "--source", "pypi", tool=root)

    total = _events(run(0))
    whole = world(root / f"vendor/LTX-2-{BASE}")
    chosen = points(total, long=long)
    for point in chosen if long else chosen[::4]:
        shutil.rmtree(root / f"vendor/LTX-2-{BASE}")
        assert run(point).returncode == -signal.SIGKILL
        assert run(0).returncode == 0
        assert world(root / f"vendor/LTX-2-{BASE}") == whole, point
        left = [path.name for path in (root / "vendor").iterdir() if path.name.startswith(".LTX")]
        assert left == [], point


def _events(done: subprocess.CompletedProcess[str]) -> int:
    assert done.returncode == 0, done.stderr
    return int(done.stdout.rsplit("events: ", 1)[1])
