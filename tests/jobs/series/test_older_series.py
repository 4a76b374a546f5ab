"""An older series on a tree gives way to the newer, whole."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree, unapply_tree
from ltx2_patcher.jobs.series.export import export
from ltx2_patcher.values.base import Base
from tests.conftest import BASE, git
from tests.rebases import LEDGER


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
