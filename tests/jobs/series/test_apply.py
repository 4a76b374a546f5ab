"""Apply gives what the lock says, however it is called, and unapply takes exactly that back."""

from __future__ import annotations

import ast
import shutil
import threading
from dataclasses import replace
from pathlib import Path

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree, unapply_tree
from ltx2_patcher.jobs.series.status import tree_status
from ltx2_patcher.rules.series.blobs import blob_id
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.series import Standing
from tests.conftest import BASE, git, world


def test_apply_gives_what_the_lock_says_and_unapply_takes_it_back(
    store: Store, base: Base, tree: Path
) -> None:
    before = world(tree)
    done = apply_tree(store, base, tree)
    lock = store.lock(BASE)
    assert done.action == "applied" and done.group == lock.groups[-1]
    for path, blob in lock.after[lock.groups[-1]].items():
        data = (tree / path).read_bytes()
        assert blob_id(data) == blob == git(tree, "rev-parse", f"HEAD:{path}")
        if path.endswith(".py"):
            ast.parse(data)
    assert git(tree, "status", "--porcelain") == ""
    assert git(tree, "symbolic-ref", "--short", "HEAD") == "ltx2-patcher/1.0.0"
    assert git(tree, "rev-list", "--count", "work..HEAD") == str(len(lock.patches) + 1)
    assert tree_status(store, tree, None).judgement.standing is Standing.PATCHED
    assert apply_tree(store, base, tree).action == "nothing to do"
    assert unapply_tree(store, base, tree).action == "removed"
    assert world(tree) == before
    assert unapply_tree(store, base, tree).action == "nothing to do"


def test_the_commits_are_the_same_everywhere(
    store: Store, base: Base, published: Path, tmp_path: Path
) -> None:
    tips = []
    for name in ("a", "b"):
        shutil.copytree(published, tmp_path / name)
        git(tmp_path / name, "config", "user.name", name)
        tips.append(apply_tree(store, base, tmp_path / name).tip)
    assert tips[0] == tips[1]


def test_git_and_wheels_give_the_same_sources(
    store: Store, base: Base, tree: Path, cloned: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(cloned, clone, symlinks=True)
    for place in (tree, clone):
        apply_tree(store, base, place)
    for package in ("ltx-core", "ltx-pipelines"):
        src = f"packages/{package}/src"
        assert git(tree, "rev-parse", f"HEAD:{src}") == git(clone, "rev-parse", f"HEAD:{src}")


def test_each_group_can_be_the_last_and_one_goes_on_from_it(
    store: Store, base: Base, tree: Path
) -> None:
    lock = store.lock(BASE)
    for group in (*lock.groups, *reversed(lock.groups[:-1])):
        done = apply_tree(store, base, tree, upto=group)
        assert done.group == group
        assert tree_status(store, tree, base).judgement.group in _same_state(store, group)
        assert git(tree, "status", "--porcelain") == ""
    whole = apply_tree(store, base, tree)
    assert whole.tip == git(tree, "rev-parse", "HEAD")


def _same_state(store: Store, group: str) -> set[str]:
    after = store.lock(BASE).after
    return {other for other, blobs in after.items() if blobs == after[group]}


def test_a_dry_run_changes_nothing_and_tells_the_same(store: Store, base: Base, tree: Path) -> None:
    before = world(tree)
    told = apply_tree(store, base, tree, dry_run=True)
    assert world(tree) == before
    done = apply_tree(store, base, tree)
    assert told == replace(done, tip=None)
    after = world(tree)
    unapply_tree(store, base, tree, dry_run=True)
    assert world(tree) == after


def test_a_second_branch_of_ours_is_taken_out_as_the_first(
    store: Store, base: Base, tree: Path
) -> None:
    for name in ("first", "second"):
        apply_tree(store, base, tree, onto_branch=name)
    assert unapply_tree(store, base, tree).branch == "refs/heads/work"
    assert git(tree, "branch", "--format=%(refname:short)").split() == ["first", "work"]


def test_it_works_in_a_linked_worktree(
    store: Store, base: Base, tree: Path, tmp_path: Path
) -> None:
    git(tree, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    before = world(tree)
    assert apply_tree(store, base, tmp_path / "linked").action == "applied"
    assert git(tmp_path / "linked", "status", "--porcelain") == ""
    assert unapply_tree(store, base, tmp_path / "linked").action == "removed"
    assert {**world(tree), "refs": None} == {**before, "refs": None}


def test_two_at_once_do_it_once(store: Store, base: Base, tree: Path) -> None:
    actions: list[str] = []

    def job() -> None:
        actions.append(apply_tree(store, base, tree).action)

    threads = [threading.Thread(target=job) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(actions) == ["applied", "nothing to do"]
    assert git(tree, "status", "--porcelain") == ""
