"""One patch file for several bases: changed on all of them at once, or parted from the others."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree
from ltx2_patcher.jobs.series.export import check_export, export
from ltx2_patcher.jobs.series.in_place import export_in_place
from ltx2_patcher.jobs.series.lint import Alike, could_share, lint
from ltx2_patcher.jobs.series.rebase.steps import begin
from ltx2_patcher.jobs.series.revise import drop_patch, edit_patch, reword_patch
from ltx2_patcher.jobs.series.status import tree_status
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, InvalidError
from ltx2_patcher.values.series import Standing
from tests.conftest import files, git, world
from tests.small_upstream import ENCODER, MODULE, OTHER, SOURCE, TOOL, SmallUpstream

LATER = "later"
STRIP, LOAD, COUNT = "strip_the_text.patch", "load_quantized.patch", "count_to_two.patch"
FILE = f"shared/small/{STRIP}"


@pytest.fixture
def two(small: SmallUpstream) -> SmallUpstream:
    """A second base that lies a few lines further down, and shares every patch."""
    begin(small.store, small.commits["merges"], source="small", name=LATER)
    export_in_place(small.store)
    return small


@pytest.fixture
def tree(two: SmallUpstream, tmp_path: Path) -> Path:
    tree = two.clone(tmp_path / "patched", "base")
    apply_tree(two.store, two.base, tree)
    return tree


def change(tree: Path, old: str, new: str, path: str = MODULE) -> None:
    text = (tree / path).read_text()
    assert old in text
    (tree / path).write_text(text.replace(old, new))


def forms(store: Store) -> dict[str, set[str | None]]:
    """By patch, where it lies for the bases that have it; None: in a file of their own."""
    found: dict[str, set[str | None]] = {}
    for base in store.bases():
        for name, patch in store.lock(base.name).patches.items():
            form = patch.shared.form if patch.shared else None
            found.setdefault(name, set()).add(form)
    return found


def require_sound(store: Store, base: Base, tree: Path) -> None:
    lint(store)
    assert all(check_export(store, one).source for one in store.bases())
    assert tree_status(store, tree, base).judgement.standing is Standing.PATCHED
    assert export(store, base, tree).changed == ()


def test_a_new_base_is_told_to_be_alike_and_shares_from_then_on(small: SmallUpstream) -> None:
    store = small.store
    begin(store, small.commits["merges"], source="small", name=LATER)
    whole = {base.name: store.series(base.name).patches for base in store.bases()}
    assert could_share(store) == tuple(
        Alike(name, ("small", LATER)) for name in (LOAD, STRIP, COUNT)
    )
    before = files(store.patches)
    told = export_in_place(store, dry_run=True)
    assert files(store.patches) == before
    done = export_in_place(store)
    assert done == told and f"patches/{FILE}" in done.changed
    assert f"patches/{LATER}/{STRIP}" in done.removed
    assert {base.name: store.series(base.name).patches for base in store.bases()} == whole
    assert forms(store) == {name: {"small"} for name in (LOAD, STRIP, COUNT)}
    assert could_share(store) == () and export_in_place(store).changed == ()
    assert all(check_export(store, base).source for base in store.bases())


def test_an_edit_is_made_on_every_base(two: SmallUpstream, tree: Path) -> None:
    change(tree, "text.strip()", "text.strip().lower()")
    done = edit_patch(two.store, two.base, tree, STRIP)
    assert set(done.changed) == {
        f"patches/{FILE}",
        "patches/small/lock.json",
        f"patches/{LATER}/lock.json",
    }
    for base in two.store.bases():
        (patch,) = (p for p in two.store.series(base.name).patches if p.name == STRIP)
        assert b"+    return text.strip().lower()\n" in patch.data
    starts = {
        two.store.series(base.name).patches[1].diffs[0].hunks[0].start for base in two.store.bases()
    }
    assert len(starts) == 2
    assert forms(two.store)[STRIP] == {"small"}
    require_sound(two.store, two.base, tree)


def test_new_words_are_said_on_every_base(two: SmallUpstream, tree: Path) -> None:
    reword_patch(two.store, two.base, tree, STRIP, status="Declined (a test)", group="lean")
    for base in two.store.bases():
        series = two.store.series(base.name)
        (patch,) = (p for p in series.patches if p.name == STRIP)
        assert (patch.status, patch.group) == ("Declined (a test)", "lean")
    assert forms(two.store)[STRIP] == {"small"}
    require_sound(two.store, two.base, tree)


def test_a_patch_parts_where_one_base_alone_is_edited(two: SmallUpstream, tree: Path) -> None:
    change(tree, "text.strip()", "text.strip().lower()")
    before = two.store.series(LATER).patches
    done = edit_patch(two.store, two.base, tree, STRIP, part=True)
    assert set(done.changed) == {
        f"patches/small/{STRIP}",
        "patches/small/lock.json",
        "patches/small/series",
    }
    assert two.store.series(LATER).patches == before
    require_sound(two.store, two.base, tree)
    change(tree, "text.strip().lower()", "text.strip()")
    edit_patch(two.store, two.base, tree, STRIP)
    assert forms(two.store)[STRIP] == {"small"}
    assert not (two.store.patches / "small" / STRIP).exists()
    require_sound(two.store, two.base, tree)


def test_a_commit_parts_too(two: SmallUpstream, tree: Path) -> None:
    change(tree, "return 2", "return 3", OTHER)
    git(tree, "commit", "-q", "-a", "--amend", "--no-edit")
    export(two.store, two.base, tree)
    assert forms(two.store)[COUNT] == {None, "small"}
    require_sound(two.store, two.base, tree)


def test_what_is_dropped_on_one_base_stays_on_the_other(two: SmallUpstream, tree: Path) -> None:
    done = drop_patch(two.store, two.base, tree, STRIP)
    assert done.removed == () and forms(two.store)[STRIP] == {"small"}
    later = tree.with_name("later")
    git(tree.parent, "clone", "-q", str(two.place), "later")
    git(later, "checkout", "-q", "--detach", two.commits["merges"])
    base = two.store.base(LATER)
    apply_tree(two.store, base, later)
    assert drop_patch(two.store, base, later, STRIP).removed == (f"patches/{FILE}",)
    require_sound(two.store, base, later)


def test_an_edit_that_does_not_go_elsewhere_is_refused(two: SmallUpstream, tree: Path) -> None:
    change(tree, "    return 1\n\n\ndef", "    return 1  # one\n\n\n# two\ndef")
    before = world(tree), files(two.store.root)
    with pytest.raises(ConflictError, match=f"{STRIP} is shared, .* on {LATER} .* line") as caught:
        edit_patch(two.store, two.base, tree, STRIP)
    assert "ltx2-patcher edit strip_the_text --part" in caught.value.remedy
    assert (world(tree), files(two.store.root)) == before
    edit_patch(two.store, two.base, tree, STRIP, part=True)
    require_sound(two.store, two.base, tree)


def test_a_base_whose_files_are_not_at_hand_is_named(two: SmallUpstream, tmp_path: Path) -> None:
    tree = tmp_path / "shallow"
    git(tmp_path, "init", "-q", str(tree))
    git(tree, "fetch", "-q", "--depth", "1", f"file://{two.place}", two.base.commit)
    git(tree, "checkout", "-q", "--detach", "FETCH_HEAD")
    apply_tree(two.store, two.base, tree)
    shutil.move(two.store.vendor / "upstream.git", tmp_path / "away")
    change(tree, "text.strip()", "text.strip().lower()")
    with pytest.raises(ConflictError, match=f"on {LATER} .* is not at hand"):
        edit_patch(two.store, two.base, tree, STRIP)
    shutil.move(tmp_path / "away", two.store.vendor / "upstream.git")
    edit_patch(two.store, two.base, tree, STRIP)
    assert forms(two.store)[STRIP] == {"small"}


def test_a_rebase_of_shared_patches_shares_them_and_changes_no_other_base(
    two: SmallUpstream,
) -> None:
    third = ENCODER.replace("return 2\n", "return 2\n\n\ndef third():\n    return 3\n")
    onto = two.publish({MODULE: third, OTHER: TOOL, f"{SOURCE}/encoders.py": None})
    before = files(two.store.patches)
    done = begin(two.store, onto, source="small", name="third")
    assert done.written
    now = files(two.store.patches)
    assert {path: data for path, data in now.items() if not path.startswith("third/")} == before
    assert {path for path in now if path.startswith("third/")} == {
        "third/lock.json",
        "third/series",
        "third/symbols.toml",
    }
    assert forms(two.store) == {name: {"small"} for name in (LOAD, STRIP, COUNT)}


def _replaced(place: str, old: str, new: str) -> Callable[[Path], None]:
    def tamper(patches: Path) -> None:
        text = (patches / place).read_text()
        assert old in text
        (patches / place).write_text(text.replace(old, new, 1))

    return tamper


def _stands_twice(patches: Path) -> None:
    shutil.copy(patches / FILE, patches / "small" / STRIP)


def _unused(patches: Path) -> None:
    shutil.copytree(patches / "shared/small", patches / "shared/other")


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (_replaced(FILE, "+    return text.strip()", "+    return text"), "is not what the lock"),
        (_replaced(FILE, "@@", "@@ -1,1 +1,1 @@"), "is not blank"),
        (_replaced("small/lock.json", '"index ', '"index 0'), "is not what the lock"),
        (_replaced("small/lock.json", '"@@ -', '"-'), "is not a base's to replace"),
        (_replaced("small/lock.json", '"index ', '"+dex '), "is not a base's to replace"),
        (_replaced("small/series", FILE, STRIP), "names other patches"),
        (_replaced("small/series", f"{FILE}\n", f"{FILE}\n{STRIP}\n"), "stands twice"),
        (_replaced("small/series", "shared/small", "shared/../small"), "is not a patch name"),
        (_replaced("overlay.lock.json", ': "', ': "0'), "is not a lock"),
        (_stands_twice, "in no series"),
        (_unused, "in no series"),
    ],
)
def test_what_was_tampered_with_is_refused(
    two: SmallUpstream, tamper: Callable[[Path], None], words: str
) -> None:
    tamper(two.store.patches)
    with pytest.raises(InvalidError, match=words) as caught:
        lint(two.store)
    assert caught.value.remedy


def test_the_overlays_lock_is_renewed_from_its_files(two: SmallUpstream) -> None:
    (overlay,) = (two.store.patches / "overlay").rglob("*.py")
    overlay.write_text("OURS = 2\n")
    with pytest.raises(InvalidError, match="is not what the lock") as caught:
        lint(two.store)
    assert "export --in-place" in caught.value.remedy
    two.store.overlay_lock.write_text("<<<<<<< torn")
    assert export_in_place(two.store).changed == ("patches/overlay.lock.json",)
    lint(two.store)
    overlay.rename(overlay.with_name("encoder.py"))
    with pytest.raises(InvalidError, match="the overlay's|upstream's own"):
        export_in_place(two.store)
