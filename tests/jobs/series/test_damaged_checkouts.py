"""A checkout whose git is damaged: one sentence, and how to have it anew; no verb guesses."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree, unapply_tree
from ltx2_patcher.jobs.series.export import check_export, export
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import PatcherError
from tests.conftest import BASE, ROOT, files


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory, published: Path, base: Base) -> Path:
    """A repository with a patched checkout. Copy it, don't change it."""
    root = tmp_path_factory.mktemp("patched")
    shutil.copytree(ROOT / "patches", root / "patches")
    (root / "vendor").mkdir()
    shutil.copy(ROOT / "vendor/upstream.toml", root / "vendor")
    tree = root / f"vendor/LTX-2-{BASE}"
    shutil.copytree(published, tree, symlinks=True)
    apply_tree(Store(root), base, tree)
    return root


def _packs(tree: Path) -> None:
    for pack in (tree / ".git/objects/pack").glob("*.pack"):
        pack.chmod(0o644)
        os.truncate(pack, 500)


def _cut(name: str, *, to: int) -> Callable[[Path], None]:
    return lambda tree: os.truncate(tree / name, to)


def _pointer(text: str) -> Callable[[Path], None]:
    def damage(tree: Path) -> None:
        shutil.rmtree(tree / ".git")
        (tree / ".git").write_text(text)

    return damage


DAMAGES: dict[str, Callable[[Path], None]] = {
    "packs cut": _packs,
    "no objects": lambda tree: shutil.rmtree(tree / ".git/objects"),
    "HEAD empty": _cut(".git/HEAD", to=0),
    "git is a file": _pointer("torn"),
    "git is elsewhere": _pointer("gitdir: /nonexistent/place\n"),
    "index cut": _cut(".git/index", to=1000),
}
NO_COMMIT_NEEDED = {"export --check": {"index cut"}}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkout_is_told_with_how_to_have_it_anew(
    patched: Path, base: Base, tmp_path: Path, damage: str
) -> None:
    root = tmp_path / "repository"
    shutil.copytree(patched, root, symlinks=True)
    store, tree = Store(root), root / f"vendor/LTX-2-{BASE}"
    DAMAGES[damage](tree)
    before = files(root / "patches"), files(tree)
    verbs: dict[str, Callable[[], object]] = {
        "apply": lambda: apply_tree(store, base, tree, upto="lean"),
        "unapply": lambda: unapply_tree(store, base, tree),
        "export": lambda: export(store, base, tree),
        "export --check": lambda: check_export(store, base),
    }
    for name, verb in verbs.items():
        if damage in NO_COMMIT_NEEDED.get(name, ()):
            verb()
            continue
        with pytest.raises(PatcherError) as caught:
            verb()
        assert str(tree) in str(caught.value), name
        assert "make patch" in caught.value.remedy, name
    assert (files(root / "patches"), files(tree)) == before


def test_a_torn_branch_of_ours_is_damage_and_no_name_that_is_taken(
    patched: Path, base: Base, tmp_path: Path
) -> None:
    root = tmp_path / "repository"
    shutil.copytree(patched, root, symlinks=True)
    store, tree = Store(root), root / f"vendor/LTX-2-{BASE}"
    unapply_tree(store, base, tree)
    branch = tree / f".git/refs/heads/ltx2-patcher/{BASE}"
    branch.parent.mkdir(exist_ok=True)
    branch.write_text("torn\n")
    with pytest.raises(PatcherError) as caught:
        apply_tree(store, base, tree)
    assert "make patch" in caught.value.remedy and "another name" not in caught.value.remedy
