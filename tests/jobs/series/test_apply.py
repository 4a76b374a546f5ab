"""The series on a user's tree: what is the user's stays, what is ours comes and goes exactly."""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree, unapply_tree
from ltx2_patcher.jobs.series.export import export
from ltx2_patcher.jobs.series.status import tree_status
from ltx2_patcher.rules.series.blobs import blob_id
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import (
    BusyError,
    ConflictError,
    InvalidError,
    PatcherError,
    UsageError,
)
from ltx2_patcher.values.series import Standing
from tests.conftest import BASE, files, git, world

LEDGER = "packages/ltx-pipelines/src/ltx_pipelines/utils/model_ledger.py"


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


def test_what_is_the_users_stays(store: Store, base: Base, tree: Path) -> None:
    """Commits, staged and unstaged edits, untracked files, a stash and a tag of the user's."""
    note = tree / "packages/ltx-core/src/ltx_core/tools.py"
    note.write_text(note.read_text() + "# stashed\n")
    git(tree, "stash")
    (tree / "mine.txt").write_text("mine\n")
    git(tree, "add", "mine.txt")
    git(tree, "commit", "-q", "-m", "Mine")
    git(tree, "tag", "v-mine")
    (tree / "staged.txt").write_text("staged\n")
    git(tree, "add", "staged.txt")
    note.write_text(note.read_text() + "# edited\n")
    (tree / "loose.txt").write_text("loose\n")
    before = world(tree)
    apply_tree(store, base, tree)
    assert git(tree, "rev-parse", "work") in str(before["refs"])
    assert git(tree, "stash", "list") == before["stash"]
    assert git(tree, "diff", "--name-only") == "packages/ltx-core/src/ltx_core/tools.py"
    assert git(tree, "diff", "--cached", "--name-only") == "staged.txt"
    assert (
        git(
            tree,
            "log",
            "-1",
            "--format=%s",
            "HEAD~" + git(tree, "rev-list", "--count", "work..HEAD"),
        )
        == "Mine"
    )
    unapply_tree(store, base, tree)
    assert world(tree) == before


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


def test_commits_on_top_of_the_patches_are_never_dropped(
    store: Store, base: Base, tree: Path
) -> None:
    apply_tree(store, base, tree, upto="gemma-quant")
    (tree / "mine.txt").write_text("mine\n")
    git(tree, "add", "mine.txt")
    git(tree, "commit", "-q", "-m", "Mine on top")
    before = world(tree)
    with pytest.raises(ConflictError, match="Mine on top"):
        apply_tree(store, base, tree)
    with pytest.raises(ConflictError, match="Mine on top"):
        unapply_tree(store, base, tree)
    assert world(tree) == before
    # The way out that the error names.
    git(tree, "switch", "-q", "--detach", "work")
    done = apply_tree(store, base, tree, onto_branch="again")
    assert (done.action, done.branch) == ("applied", "again")
    assert git(tree, "log", "-1", "--format=%s", "ltx2-patcher/1.0.0") == "Mine on top"


def test_a_branch_of_that_name_with_a_users_commit_is_left_alone(
    store: Store, base: Base, tree: Path
) -> None:
    git(tree, "branch", "ltx2-patcher/1.0.0")
    git(tree, "switch", "-q", "ltx2-patcher/1.0.0")
    git(tree, "commit", "-q", "--allow-empty", "-m", "Mine")
    git(tree, "switch", "-q", "work")
    before = world(tree)
    with pytest.raises(ConflictError, match="--onto-branch|already"):
        apply_tree(store, base, tree)
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


def test_a_dry_run_changes_nothing_and_tells_the_same(store: Store, base: Base, tree: Path) -> None:
    before = world(tree)
    told = apply_tree(store, base, tree, dry_run=True)
    assert world(tree) == before
    done = apply_tree(store, base, tree)
    assert told == replace(done, tip=None)
    after = world(tree)
    unapply_tree(store, base, tree, dry_run=True)
    assert world(tree) == after


def test_the_users_hooks_filters_and_signing_change_nothing(
    store: Store, base: Base, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tmp_path / "plain"
    shutil.copytree(tree, plain)
    tip = apply_tree(store, base, plain).tip
    marker = tmp_path / "hook-ran"
    for name in ("pre-commit", "post-checkout", "reference-transaction", "post-index-change"):
        hook = tree / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {marker}\nexit 1\n")
        hook.chmod(0o755)
    odd = tmp_path / "odd.gitconfig"
    odd.write_text(
        "[commit]\ngpgSign = true\n[gpg]\nprogram = false\n[core]\nautocrlf = true\n"
        "[diff]\nexternal = false\nnoprefix = true\n[user]\nname = Odd\nemail = odd@odd.invalid\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(odd))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    assert apply_tree(store, base, tree).tip == tip
    assert not marker.exists()
    assert files(tree) == files(plain)


def test_a_filter_that_fails_on_another_file_does_not_stop_it_half_way(
    store: Store, base: Base, tree: Path
) -> None:
    (tree / "clip.mp4").write_text("a clip\n")
    git(tree, "add", "clip.mp4")
    git(tree, "commit", "-q", "-m", "a clip")
    (tree / ".git/info").mkdir(exist_ok=True)
    (tree / ".git/info/attributes").write_text("*.mp4 filter=large\n")
    git(tree, "config", "filter.large.clean", "false")  # as large files without their program
    git(tree, "config", "filter.large.required", "true")
    os.utime(tree / "clip.mp4", (0, 0))
    assert apply_tree(store, base, tree).action == "applied"
    assert apply_tree(store, base, tree).action == "nothing to do"
    assert unapply_tree(store, base, tree).action == "removed"


def test_a_second_branch_of_ours_is_taken_out_as_the_first(
    store: Store, base: Base, tree: Path
) -> None:
    for name in ("first", "second"):
        apply_tree(store, base, tree, onto_branch=name)
    assert unapply_tree(store, base, tree).branch == "refs/heads/work"
    assert git(tree, "branch", "--format=%(refname:short)").split() == ["first", "work"]


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


def test_it_works_in_a_linked_worktree(
    store: Store, base: Base, tree: Path, tmp_path: Path
) -> None:
    git(tree, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    before = world(tree)
    assert apply_tree(store, base, tmp_path / "linked").action == "applied"
    assert git(tmp_path / "linked", "status", "--porcelain") == ""
    assert unapply_tree(store, base, tmp_path / "linked").action == "removed"
    assert {**world(tree), "refs": None} == {**before, "refs": None}


def test_an_older_series_is_replaced_by_the_newer(
    copied_store: Store, store: Store, base: Base, tree: Path
) -> None:
    """What `make patch` meets after the repository was updated."""
    _shorten(copied_store, base, tree.parent)
    old = apply_tree(copied_store, base, tree)
    assert old.action == "applied" and len(old.patches) < len(store.lock(BASE).patches)
    done = apply_tree(store, base, tree)
    assert done.action == "applied" and git(tree, "status", "--porcelain") == ""
    assert git(tree, "rev-list", "--count", "work..HEAD") == str(len(done.patches) + 1)
    unapply_tree(store, base, tree)
    assert git(tree, "symbolic-ref", "--short", "HEAD") == "work"


def _shorten(shorter: Store, base: Base, folder: Path) -> None:
    """Drop the last patch and export the rest, with another overlay file."""
    scratch = folder / "scratch"
    shutil.copytree(folder / "tree", scratch)
    apply_tree(shorter, base, scratch)
    git(scratch, "reset", "-q", "--hard", "HEAD~1")
    # What it puts in need not stand any more.
    loader = "packages/ltx-core/src/ltx_core/loader/single_gpu_model_builder.py"
    symbols = f'[portable]\n"{loader}" = ["in_any_layout()"]\n'
    (shorter.patches / BASE / "symbols.toml").write_text(symbols)
    extra = scratch / "packages/ltx-core/src/ltx_core/text_encoders/gemma/once_was_ours.py"
    extra.write_text("ONCE = 1\n")
    git(scratch, "add", ".")
    git(scratch, "commit", "-q", "--amend", "--no-edit")
    export(shorter, base, scratch)


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


def test_a_file_that_only_the_older_series_changed_is_upstreams_again(
    copied_store: Store, base: Base, tree: Path
) -> None:
    """Its patch was dropped since; the tree still holds it."""
    other = "packages/ltx-core/src/ltx_core/types.py"
    plain = (tree / other).read_bytes()
    apply_tree(copied_store, base, tree)
    (tree / other).write_bytes(plain + b"# older\n")
    git(tree, "add", other)
    committer = {"GIT_COMMITTER_NAME": "LTX-2 patch toolkit"}
    committer["GIT_COMMITTER_EMAIL"] = "patches@ltx2-patcher.invalid"
    subprocess.run(
        ["git", "commit", "-q", "-m", "An older patch"],
        cwd=tree,
        env=os.environ | committer,
        check=True,
    )
    (tree / LEDGER).write_bytes((tree / LEDGER).read_bytes() + b"# older\n")
    git(tree, "add", LEDGER)
    subprocess.run(
        ["git", "commit", "-q", "--amend", "--no-edit"],
        cwd=tree,
        env=os.environ | committer,
        check=True,
    )
    assert apply_tree(copied_store, base, tree).action == "applied"
    assert (tree / other).read_bytes() == plain
    assert git(tree, "status", "--porcelain") == ""
