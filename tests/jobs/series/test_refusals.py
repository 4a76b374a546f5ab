"""Where apply can't go on it says why before it changes anything."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import (
    BusyError,
    ConflictError,
    InvalidError,
    PatcherError,
    UsageError,
)
from tests.conftest import BASE, git, world
from tests.rebases import LEDGER


@pytest.mark.parametrize("state", ["edited", "staged", "untracked", "removed", "link"])
def test_edits_where_a_patch_must_go_stop_it(
    store: Store, base: Base, tree: Path, state: str
) -> None:
    target = tree / LEDGER
    if state == "untracked":
        overlay = next(p for p in store.lock(BASE).paths if p not in store.lock(BASE).before)
        (tree / overlay).parent.mkdir(parents=True, exist_ok=True)
        (tree / overlay).write_text("mine\n")
    elif state == "removed":
        target.unlink()
    elif state == "link":
        target.rename(tree / "moved.py")
        target.symlink_to(tree / "moved.py")
    else:
        target.write_text(target.read_text().replace("class ModelLedger", "class ModelLedger "))
        if state == "staged":
            git(tree, "add", LEDGER)
            target.write_bytes(subprocess.check_output(["git", "show", f"HEAD:{LEDGER}"], cwd=tree))
    before = world(tree)
    with pytest.raises(ConflictError) as caught:
        apply_tree(store, base, tree)
    assert caught.value.remedy
    assert ("files of its own where the overlay's go" in str(caught.value)) is (
        state == "untracked"
    )
    assert world(tree) == before


def test_another_commit_of_upstream_is_refused(store: Store, base: Base, tree: Path) -> None:
    path = tree / LEDGER
    path.write_text("# rewritten upstream\n")
    git(tree, "commit", "-q", "-a", "-m", "Upstream moves on")
    with pytest.raises(ConflictError, match="is not LTX-2 1.0.0 where the patches go"):
        apply_tree(store, base, tree)


@pytest.mark.parametrize("kind", ["missing", "file", "bare", "empty"])
def test_a_folder_that_is_no_checkout_is_refused(
    store: Store, base: Base, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "place"
    if kind == "file":
        place.write_text("")
    elif kind == "bare":
        git(tmp_path, "init", "-q", "--bare", "place")
    elif kind == "empty":
        git(tmp_path, "init", "-q", "place")
    with pytest.raises(PatcherError) as caught:
        apply_tree(store, base, place)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "state", ["rebase-merge", "MERGE_HEAD", "sequencer", "BISECT_LOG", "index.lock"]
)
def test_a_tree_in_the_middle_of_something_is_left_alone(
    store: Store, base: Base, tree: Path, state: str
) -> None:
    (tree / ".git" / state).write_text("")
    before = world(tree)
    with pytest.raises(BusyError):
        apply_tree(store, base, tree)
    assert world(tree) == before


def test_a_changed_patch_or_overlay_is_refused_before_anything(
    copied_store: Store, base: Base, tree: Path
) -> None:
    before = world(tree)
    lock = copied_store.lock(BASE)
    overlay = next(p for p in lock.paths if p not in lock.before)
    for path in (BASE + "/" + next(iter(lock.patches)), f"overlay/{overlay}"):
        target = copied_store.patches / path
        whole = target.read_bytes()
        target.write_bytes(whole[:-20])
        with pytest.raises(InvalidError, match="is not what the lock"):
            apply_tree(copied_store, base, tree)
        target.write_bytes(whole)
    assert world(tree) == before


def test_a_patch_that_does_not_fit_says_which_hunk_and_what_stands_there(
    copied_store: Store, base: Base, tree: Path
) -> None:
    folder = copied_store.patches / BASE
    name = next(
        n for n in copied_store.lock(BASE).patches if LEDGER.encode() in (folder / n).read_bytes()
    )
    data = (folder / name).read_bytes()
    line = next(row for row in data.split(b"\n") if row.startswith(b"     ") and len(row) > 12)
    (folder / name).write_bytes(data.replace(line, line + b" changed", 1))
    lock = (folder / "lock.json").read_text()
    old, new = (hashlib.sha256(d).hexdigest() for d in (data, (folder / name).read_bytes()))
    (folder / "lock.json").write_text(lock.replace(old, new))
    before = world(tree)
    with pytest.raises(
        ConflictError, match=rf"{name} does not fit: .*\.py, hunk @@ .* and is "
    ) as caught:
        apply_tree(copied_store, base, tree)
    assert "changed" in str(caught.value)
    assert world(tree) == before


def test_unknown_names_come_with_the_near_ones(store: Store, base: Base, tree: Path) -> None:
    with pytest.raises(UsageError, match="no group") as caught:
        apply_tree(store, base, tree, upto="gemma-qant")
    assert "gemma-quant" in caught.value.remedy
    with pytest.raises(UsageError, match="no base") as caught:
        store.base("1.0.1")
    assert "1.0.0" in caught.value.remedy
