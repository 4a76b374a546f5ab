"""Repositories whose objects are not simply what they seem: filters, clones in part, replacements.

Whatever holds, a verb gives the bytes that it gives in a plain clone, or it says one sentence with
a way out; a verb that refuses leaves everything as it was.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree, unapply_tree
from ltx2_patcher.jobs.series.export import check_export, export
from ltx2_patcher.jobs.series.revise import drop_patch, edit_patch, move_patch, new_patch
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, UsageError
from tests.conftest import BASE, ROOT, files, git, world
from tests.jobs.series.test_revise import ARGS, HELP, LAST_OF_LEAN, MESSAGE, TYPES, WAIT, append

PATCHES = len((ROOT / "patches" / BASE / "series").read_text().split())


def _slow(value: object) -> object:
    return pytest.param(value, marks=pytest.mark.slow)


VERBS: dict[str, Callable[[Store, Base, Path], object]] = {
    "export": export,
    "new": lambda s, b, t: new_patch(s, b, t, MESSAGE, dry_run=True),
    "edit": lambda s, b, t: edit_patch(s, b, t, WAIT, dry_run=True),
    "move": lambda s, b, t: move_patch(s, b, t, HELP, LAST_OF_LEAN, dry_run=True),
    "drop": lambda s, b, t: drop_patch(s, b, t, HELP),
    "unapply": unapply_tree,
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, published: Path, base: Base) -> Path:
    """A store with a patched checkout of the base's wheels. Copy it, don't change it."""
    root = tmp_path_factory.mktemp("plain")
    shutil.copytree(ROOT / "patches", root / "patches")
    (root / "vendor").mkdir()
    shutil.copy(ROOT / "vendor/upstream.toml", root / "vendor")
    tree = root / f"vendor/LTX-2-{BASE}"
    shutil.copytree(published, tree, symlinks=True)
    git(tree, "switch", "-q", "-c", "work")
    apply_tree(Store(root), base, tree)
    return root


@pytest.fixture(scope="module")
def dropped(
    tmp_path_factory: pytest.TempPathFactory, plain: Path, base: Base
) -> dict[str, tuple[int, bytes]]:
    """patches/ as dropping a patch leaves it in a plain clone."""
    store = copied(plain, tmp_path_factory.mktemp("dropped") / "repository")
    drop_patch(store, base, tree_of(store), HELP)
    return files(store.patches)


@pytest.fixture
def odd(tmp_path: Path, plain: Path) -> Store:
    """A copy of it, to make odd."""
    return copied(plain, tmp_path / "repository")


def copied(plain: Path, root: Path) -> Store:
    shutil.copytree(plain, root, symlinks=True)
    return Store(root)


def tree_of(store: Store) -> Path:
    return store.vendor / f"LTX-2-{BASE}"


def everything(store: Store) -> object:
    """Files, refs and index, told without a filter, a replacement or an object's content."""
    tree = tree_of(store)
    return (
        files(store.patches),
        files(tree),
        git(tree, "for-each-ref", "--format=%(refname) %(objectname)"),
        git(tree, "ls-files", "-s", "-v"),
    )


@contextmanager
def edited(tree: Path, verb: str) -> Iterator[None]:
    """An edit that is not committed, for a verb that takes such."""
    path, text = tree / TYPES, (tree / TYPES).read_text()
    if verb in ("new", "edit"):
        path.write_text(text + "X = 1\n")
    yield
    path.write_text(text)


def require_as_plain(store: Store, base: Base, after: dict[str, tuple[int, bytes]]) -> None:
    """Every verb gives what it gives in a plain clone, and the tree comes back from under it."""
    tree, before = tree_of(store), files(store.patches)
    assert check_export(store, base).patches == PATCHES
    for name, verb in VERBS.items():
        with edited(tree, name):
            verb(store, base, tree)
        assert files(store.patches) == (before if name not in ("drop", "unapply") else after), name
    assert git(tree, "symbolic-ref", "--short", "HEAD") == "work"


def require_refused(store: Store, base: Base, words: str, *verbs: str) -> str:
    """Each of the verbs says `words` and changes nothing; the remedy."""
    tree, told = tree_of(store), set()
    for name in verbs or VERBS:
        with edited(tree, name):
            before = everything(store)
            with pytest.raises(ConflictError, match=words) as caught:
                VERBS[name](store, base, tree)
            told.add(caught.value.remedy)
            assert everything(store) == before, name
    (remedy,) = told
    return remedy


def filtered(store: Store, program: str) -> Path:
    """Let every Python file of the tree go through `program`, and be looked at anew."""
    tree = tree_of(store)
    (tree / ".git/info").mkdir(exist_ok=True)
    (tree / ".git/info/attributes").write_text("*.py filter=odd\n")
    for way in ("clean", "smudge"):
        git(tree, "config", f"filter.odd.{way}", program)
    os.utime(tree / ARGS, (0, 0))
    return tree


def test_a_filter_that_fails_changes_no_byte(
    odd: Store, base: Base, dropped: dict[str, tuple[int, bytes]]
) -> None:
    filtered(odd, "false")
    require_as_plain(odd, base, dropped)


def test_a_required_filter_that_fails_is_named(odd: Store, base: Base) -> None:
    tree = filtered(odd, "false")
    git(tree, "config", "filter.odd.required", "true")
    verbs = [name for name in VERBS if name != "unapply"]  # which compares the files itself
    remedy = require_refused(odd, base, "clean filter 'odd' failed", *verbs)
    assert "filter" in remedy
    check_export(odd, base)


def test_a_filter_that_changes_lines_reaches_no_patch(odd: Store, base: Base) -> None:
    """The files differ from their commits by it, as `git status` says too."""
    tree = filtered(odd, "tr a b")
    assert ARGS in git(tree, "status", "--porcelain")
    require_refused(odd, base, "edits that are not committed", "export")
    check_export(odd, base)
    append(tree / TYPES, "ANY = 'a'\n")
    new_patch(odd, base, tree, MESSAGE)
    assert b"+ANY = 'a'\n" in (odd.patches / BASE / "name_the_types.patch").read_bytes()


def cloned_anew(store: Store, *flags: str) -> Path:
    """Put a clone of the tree in its place, the origin beside it."""
    tree = tree_of(store)
    origin = store.root.parent / "origin"
    tree.rename(origin)
    for key in ("allowFilter", "allowAnySHA1InWant"):
        git(origin, "config", f"uploadpack.{key}", "true")
    git(store.root, "clone", "-q", *flags, f"file://{origin}", str(tree))
    return tree


@pytest.mark.parametrize("depth", [_slow(1), 3, _slow(PATCHES + 1)])
def test_a_shallow_clone_without_the_base_is_completed(odd: Store, base: Base, depth: int) -> None:
    """Its oldest commit is one of ours and has no parent there, as only the wheels' has."""
    tree = cloned_anew(odd, "--depth", str(depth))
    remedy = require_refused(odd, base, "shallow clone that ends above the patches' base")
    assert git(tree, "log", "--format=%s").count("\n") == depth - 1
    subprocess.run(remedy.split("`")[1], shell=True, check=True, capture_output=True)
    assert export(odd, base, tree).changed == ()
    assert unapply_tree(odd, base, tree).action == "removed"


def test_a_shallow_clone_with_the_base_is_enough(
    odd: Store, base: Base, cloned: Path, dropped: dict[str, tuple[int, bytes]]
) -> None:
    """Upstream's own commit at its end, whose parent is not there."""
    tree = tree_of(odd)
    shutil.rmtree(tree)
    shutil.copytree(cloned, tree, symlinks=True)
    git(tree, "switch", "-q", "-C", "work")
    assert (tree / ".git/shallow").exists()
    apply_tree(odd, base, tree)
    require_as_plain(odd, base, dropped)


@pytest.mark.parametrize("reachable", [True, False])
def test_a_partial_clone_is_completed_by_its_owner(
    odd: Store, base: Base, *, reachable: bool
) -> None:
    """Nothing is fetched behind anybody's back, whether its remote answers or not."""
    tree = cloned_anew(odd, "--filter=blob:none")
    origin = odd.root.parent / "origin"
    if not reachable:
        origin.rename(origin.with_name("away"))
    remedy = require_refused(odd, base, "is a partial clone and lacks what is needed")
    with pytest.raises(ConflictError, match="is a partial clone"):
        check_export(odd, base)
    if not reachable:
        origin.with_name("away").rename(origin)
    subprocess.run(remedy.split("`")[1], shell=True, check=True, capture_output=True)
    assert export(odd, base, tree).changed == ()
    assert check_export(odd, base).patches == PATCHES


def replaced(tree: Path, what: str, kind: str) -> None:
    """Let git show another object in the place of `what`, as `git replace --edit` does."""
    data = subprocess.run(
        ["git", "cat-file", kind, what], cwd=tree, check=True, capture_output=True
    ).stdout
    other = data + b"# replaced\n" if kind == "blob" else data.replace(b"\n\n", b"\n\nOdd: ", 1)
    made = subprocess.run(
        ["git", "hash-object", "-w", "-t", kind, "--stdin"],
        cwd=tree,
        input=other,
        check=True,
        capture_output=True,
    ).stdout
    git(tree, "replace", "-f", what, made.decode().strip())


@pytest.mark.parametrize("kind", ["commit", "blob"])
def test_a_replaced_object_is_taken_as_it_is(
    odd: Store, base: Base, dropped: dict[str, tuple[int, bytes]], kind: str
) -> None:
    """What `git replace` shows is a view of one clone; the commits are what others get."""
    tops = ("work", "HEAD~3", "HEAD")
    for what in tops if kind == "commit" else [f"{top}:{ARGS}" for top in tops]:
        replaced(tree_of(odd), git(tree_of(odd), "rev-parse", what), kind)
    require_as_plain(odd, base, dropped)


@pytest.mark.parametrize("commit", ["HEAD~3", _slow(f"HEAD~{PATCHES}")])
def test_a_graft_hides_no_patch(
    odd: Store, base: Base, dropped: dict[str, tuple[int, bytes]], commit: str
) -> None:
    """Up to it the series would seem to be all there is, the commits below it to be the base."""
    tree = tree_of(odd)
    (tree / ".git/info").mkdir(exist_ok=True)
    (tree / ".git/info/grafts").write_text(git(tree, "rev-parse", commit) + "\n")
    require_as_plain(odd, base, dropped)


@pytest.mark.parametrize("what", ["HEAD~3", _slow("HEAD~3^{tree}"), _slow("work")])
def test_a_damaged_object_of_the_series_is_named(odd: Store, base: Base, what: str) -> None:
    tree = tree_of(odd)
    oid = git(tree, "rev-parse", what)
    for pack in (tree / ".git/objects/pack").glob("*.pack"):
        data = pack.read_bytes()
        for part in pack.parent.glob(f"{pack.stem}.*"):
            part.unlink()
        subprocess.run(["git", "unpack-objects", "-q"], cwd=tree, input=data, check=True)
    loose = tree / ".git/objects" / oid[:2] / oid[2:]
    loose.chmod(0o644)
    loose.write_bytes(b"torn" + loose.read_bytes()[4:])
    remedy = require_refused(odd, base, oid[:12], "export", "new", "edit", "move", "drop")
    assert "fsck" in remedy and "make patch" in remedy


@pytest.mark.parametrize("name", ["-x", "", "a b", "a..b", "x.lock", "@{-1}", "HEAD"])
def test_a_name_that_no_branch_can_have_is_refused(
    store: Store, base: Base, tree: Path, name: str
) -> None:
    before = world(tree)
    with pytest.raises(UsageError, match="name of a branch"):
        apply_tree(store, base, tree, onto_branch=name)
    assert world(tree) == before


def test_a_foreign_repository_is_not_called_unpatched(store: Store, tmp_path: Path) -> None:
    tree = tmp_path / "foreign"
    git(tmp_path, "init", "-q", str(tree))
    git(tree, "commit", "-q", "--allow-empty", "-m", "theirs")
    before = world(tree)
    with pytest.raises(ConflictError, match="is no LTX-2"):
        unapply_tree(store, None, tree)
    assert world(tree) == before
