"""The daily verbs on a real series: each is a whole step, and an export gives the same again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree, unapply_tree
from ltx2_patcher.jobs.series.export import export
from ltx2_patcher.jobs.series.lint import lint
from ltx2_patcher.jobs.series.revise import (
    Revised,
    drop_patch,
    edit_patch,
    move_patch,
    new_patch,
    reword_patch,
)
from ltx2_patcher.jobs.series.status import tree_status
from ltx2_patcher.rules.series.message import written
from ltx2_patcher.rules.series.stack import Entangled
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, InvalidError, PatcherError, UsageError
from ltx2_patcher.values.series import Standing
from tests.conftest import BASE, files, git, world
from tests.rebases import LEDGER

TYPES = "packages/ltx-core/src/ltx_core/types.py"
ARGS = "packages/ltx-pipelines/src/ltx_pipelines/utils/args.py"
FLAGS = "packages/ltx-pipelines/src/ltx_pipelines/utils/gemma_flags.py"
LOAD = "load_the_gemma_text_encoder_quantized.patch"
OFFER = "offer_the_quantized_gemma_in_every_pipeline.patch"
LAST_OF_AMPERE = "refuse_fp8_products_below_compute_capability_8_9.patch"
LAST_OF_LEAN = "let_the_video_encoder_go_while_denoising.patch"
WAIT = "wait_for_the_gpu_only_where_there_is_one.patch"
HELP = "show_the_help_of_scripts_with_guidance.patch"
MESSAGE = written(
    "Name the types",
    "Whoever reads these types wants to know what they are called, and upstream does not say so.",
    "when upstream names them.",
    "Pending",
    "ampere",
)


@pytest.fixture
def patched(copied_store: Store, base: Base, tree: Path) -> Path:
    apply_tree(copied_store, base, tree)
    return tree


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def names(store: Store) -> tuple[str, ...]:
    return tuple(store.lock(BASE).patches)


def require_whole(store: Store, base: Base, tree: Path) -> None:
    """patches/ is sound, the tree stands at it, and exporting the tree changes nothing."""
    lint(store)
    assert tree_status(store, tree, base).judgement.standing is Standing.PATCHED
    edits = git(tree, "stash", "create")
    if not edits:
        done = export(store, base, tree)
        assert (done.changed, done.removed) == ((), ())
    clean = tree.with_name("clean")
    shutil.rmtree(clean, ignore_errors=True)
    shutil.copytree(tree, clean, symlinks=True)
    git(clean, "reset", "-q", "--hard")
    unapply_tree(store, base, clean)
    assert git(clean, "symbolic-ref", "--short", "HEAD") == "work"
    apply_tree(store, base, clean)
    assert git(clean, "rev-parse", "HEAD") == git(tree, "rev-parse", "HEAD")


def test_new_makes_a_patch_of_the_edits_and_leaves_the_rest(
    copied_store: Store, base: Base, patched: Path
) -> None:
    append(patched / TYPES, "NAMED = True\n")
    append(patched / FLAGS, "# laid in\n")
    (patched / "packages/ltx-core/src/ltx_core/ours.py").write_text("OURS = 1\n")
    git(patched, "add", "-A")
    (patched / "packages/ltx-core/src/ltx_core/draft.py").write_text("not added\n")
    before = names(copied_store)
    done = new_patch(copied_store, base, patched, MESSAGE)
    at = before.index(LAST_OF_AMPERE) + 1
    assert names(copied_store) == (*before[:at], "name_the_types.patch", *before[at:])
    assert f"patches/{BASE}/name_the_types.patch" in done.changed
    assert "patches/overlay/packages/ltx-core/src/ltx_core/ours.py" in done.changed
    assert f"patches/overlay/{FLAGS}" in done.changed
    assert git(patched, "status", "--porcelain") == "?? packages/ltx-core/src/ltx_core/draft.py"
    assert git(patched, "symbolic-ref", "--short", "HEAD") == f"ltx2-patcher/{BASE}"
    require_whole(copied_store, base, patched)


def test_new_comes_after_the_patch_that_was_named(
    copied_store: Store, base: Base, patched: Path
) -> None:
    append(patched / TYPES, "NAMED = True\n")
    before = names(copied_store)
    message = MESSAGE.replace("ampere", "gemma-quant")
    new_patch(copied_store, base, patched, message, after=LOAD.removesuffix(".patch"))
    assert names(copied_store) == (LOAD, "name_the_types.patch", *before[1:])
    require_whole(copied_store, base, patched)


def test_edit_folds_into_an_early_patch_under_the_later_ones(
    copied_store: Store, base: Base, patched: Path
) -> None:
    """The ledger is changed by three patches; the edit goes below two of them."""
    text = (patched / LEDGER).read_text()
    edited = text.replace("class ModelLedger", "# what every model is made from\nclass ModelLedger")
    assert edited != text
    (patched / LEDGER).write_text(edited)
    (patched / "NOTES.txt").write_text("mine\n")
    before = names(copied_store)
    done = edit_patch(copied_store, base, patched, LOAD)
    assert names(copied_store) == before
    assert b"+# what every model is made from" in (copied_store.patches / BASE / LOAD).read_bytes()
    assert f"patches/{BASE}/{OFFER}" not in done.changed  # other files: its bytes are kept
    assert git(patched, "status", "--porcelain") == "?? NOTES.txt"
    assert (patched / LEDGER).read_text() == edited
    require_whole(copied_store, base, patched)


def test_edit_of_the_overlay_alone(copied_store: Store, base: Base, patched: Path) -> None:
    append(patched / FLAGS, "# laid in\n")
    append(patched / TYPES, "# stays an edit\n")
    done = edit_patch(copied_store, base, patched, "overlay")
    assert set(done.changed) == {f"patches/overlay/{FLAGS}", "patches/overlay.lock.json"}
    assert done.left == (TYPES,)
    assert git(patched, "status", "--porcelain") == f"M {TYPES}"
    require_whole(copied_store, base, patched)


def test_words_change_and_edits_stay(copied_store: Store, base: Base, patched: Path) -> None:
    append(patched / TYPES, "# mine\n")
    reword_patch(copied_store, base, patched, HELP, status="Inappropriate (a test)", part=True)
    at = names(copied_store).index(HELP)
    assert copied_store.series(BASE).patches[at].status == "Inappropriate (a test)"
    message = MESSAGE.replace("ampere", "portable")
    reword_patch(copied_store, base, patched, HELP, message=message)
    assert names(copied_store)[at] == "name_the_types.patch"
    assert not (copied_store.patches / BASE / HELP).exists()
    reword_patch(copied_store, base, patched, "name_the_types", group="gemma-quant")
    assert names(copied_store)[:3] == (LOAD, OFFER, "name_the_types.patch")
    assert git(patched, "status", "--porcelain") == f"M {TYPES}"
    require_whole(copied_store, base, patched)


def test_drop_takes_a_patch_out_of_series_and_tree(
    copied_store: Store, base: Base, patched: Path
) -> None:
    before = names(copied_store)
    append(patched / TYPES, "# mine\n")
    text = (patched / ARGS).read_text()
    done = drop_patch(copied_store, base, patched, HELP)
    assert names(copied_store) == tuple(name for name in before if name != HELP)
    assert done.removed == ()  # other bases are made of that file
    assert (patched / ARGS).read_text() == text.replace("%% (N", "% (N").replace(
        "step_index %% (N", "step_index % (N"
    )
    assert git(patched, "status", "--porcelain") == f"M {TYPES}"
    done = drop_patch(copied_store, base, patched, WAIT)
    assert done.removed == (f"patches/{BASE}/{WAIT}",)
    require_whole(copied_store, base, patched)


def test_move_keeps_every_file(copied_store: Store, base: Base, patched: Path) -> None:
    now = files(patched)
    before = names(copied_store)
    move_patch(copied_store, base, patched, HELP, LAST_OF_LEAN)
    at = before.index(LAST_OF_LEAN) + 1
    rest = (name for name in before[at:] if name != HELP)
    assert names(copied_store) == (*before[:at], HELP, *rest)
    assert files(patched) == now
    require_whole(copied_store, base, patched)
    done = move_patch(copied_store, base, patched, HELP, LAST_OF_LEAN)
    assert (done.changed, done.tip) == ((), None)
    move_patch(copied_store, base, patched, HELP, before[before.index(HELP) - 1])
    assert names(copied_store) == before
    require_whole(copied_store, base, patched)


Verb = Callable[[Store, Base, Path], Revised]
REFUSED: dict[str, tuple[Verb, type[PatcherError], str]] = {
    "no edits": (lambda s, b, t: new_patch(s, b, t, MESSAGE), ConflictError, "no such uncommitted"),
    "no edit to fold": (lambda s, b, t: edit_patch(s, b, t, LOAD), ConflictError, "no such"),
    "no such patch": (lambda s, b, t: drop_patch(s, b, t, "load_the_gema"), UsageError, "no patch"),
    "built on": (
        lambda s, b, t: drop_patch(s, b, t, LOAD),
        Entangled,
        f"builds on {LOAD}: .*line",
    ),
    "out of its group": (lambda s, b, t: move_patch(s, b, t, HELP, LOAD), UsageError, "stack"),
    "after itself": (lambda s, b, t: move_patch(s, b, t, HELP, HELP), UsageError, "after itself"),
    "no reason": (
        lambda s, b, t: new_patch(s, b, t, "Do it\n\nIt can go.\n\nGroup: lean\n"),
        InvalidError,
        "Upstream-Status",
    ),
    "no such group": (
        lambda s, b, t: reword_patch(s, b, t, HELP, group="other"),
        InvalidError,
        "Group",
    ),
    "a taken name": (
        lambda s, b, t: new_patch(
            s, b, t, MESSAGE.replace("Name the types", "Show the help of scripts with guidance")
        ),
        UsageError,
        "already",
    ),
    "the overlay's name": (
        lambda s, b, t: new_patch(s, b, t, MESSAGE.replace("Name the types", "Overlay")),
        UsageError,
        "taken for the overlay",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_refused_changes_nothing(
    copied_store: Store, base: Base, patched: Path, why: str
) -> None:
    verb, error, words = REFUSED[why]
    before = world(patched), files(copied_store.root)
    with pytest.raises(error, match=words):
        verb(copied_store, base, patched)
    assert (world(patched), files(copied_store.root)) == before


@pytest.mark.parametrize("kind", ["commit", "staged", "deleted", "crlf", "link", "edit", "detach"])
def test_a_tree_that_would_lose_something_is_refused(
    copied_store: Store, base: Base, patched: Path, kind: str
) -> None:
    path = patched / TYPES
    if kind == "commit":
        append(path, "X = 1\n")
        git(patched, "commit", "-qam", "Mine")
    elif kind == "staged":
        append(path, "X = 1\n")
        git(patched, "add", TYPES)
        append(path, "X = 2\n")
    elif kind == "deleted":
        path.unlink()
    elif kind == "crlf":
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    elif kind == "link":
        path.unlink()
        path.symlink_to("__init__.py")
    elif kind == "detach":
        git(patched, "switch", "-q", "--detach")
    else:
        append(patched / ARGS, "# where the dropped patch goes out\n")
    before = world(patched), files(copied_store.root)
    verb, argument = (drop_patch, HELP) if kind == "edit" else (new_patch, MESSAGE)
    with pytest.raises((ConflictError, InvalidError)):
        verb(copied_store, base, patched, argument)
    assert (world(patched), files(copied_store.root)) == before


def test_an_edit_on_lines_of_a_later_patch_names_it(
    copied_store: Store, base: Base, patched: Path
) -> None:
    text = (patched / ARGS).read_text()
    (patched / ARGS).write_text(text.replace("step_index %% (N", "the step %% (N"))
    before = world(patched), files(copied_store.root)
    with pytest.raises(Entangled, match=f"your edit builds on {HELP}: {ARGS} line") as caught:
        edit_patch(copied_store, base, patched, OFFER)
    assert "ltx2-patcher edit" in caught.value.remedy
    assert (world(patched), files(copied_store.root)) == before
    edit_patch(copied_store, base, patched, HELP, part=True)
    require_whole(copied_store, base, patched)


def test_a_dry_run_tells_the_same_and_changes_nothing(
    copied_store: Store, base: Base, patched: Path
) -> None:
    append(patched / TYPES, "NAMED = True\n")
    before = world(patched), files(copied_store.root)
    told = new_patch(copied_store, base, patched, MESSAGE, dry_run=True)
    assert (world(patched), files(copied_store.root)) == before
    done = new_patch(copied_store, base, patched, MESSAGE)
    assert (told.changed, told.removed, told.patches) == (done.changed, done.removed, done.patches)
