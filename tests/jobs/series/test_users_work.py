"""What a user did in a tree, committed or not, is there after apply and after unapply."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree, unapply_tree
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError
from tests.conftest import git, world


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
