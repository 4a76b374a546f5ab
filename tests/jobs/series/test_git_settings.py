"""A user's hooks, filters and signing neither change what apply gives nor stop it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree, unapply_tree
from ltx2_patcher.values.base import Base
from tests.conftest import files, git


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
