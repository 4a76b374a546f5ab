"""The series on trees that are no base: merged where one supports it, else refused."""

from __future__ import annotations

import ast
import shutil
import signal
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.objects import Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import Applied, apply_tree, unapply_tree
from ltx2_patcher.jobs.series.matrix import matrix
from ltx2_patcher.jobs.series.status import tree_status
from ltx2_patcher.rules.series.blobs import blob_id
from ltx2_patcher.rules.series.three_way import How
from ltx2_patcher.values.errors import ConflictError
from ltx2_patcher.values.series import Standing
from tests.conftest import ROOT, files, git, world
from tests.jobs.series.test_interruption import LONG, killed_at, points
from tests.small_upstream import ENCODED, MODULE, OTHER, OVERLAY, TOOL, SmallUpstream, commit


def hows(done: Applied) -> dict[str, str]:
    return {patch.name: patch.how.value for patch in done.patches}


def test_a_revision_that_is_no_base_gets_the_series_merged(
    small: SmallUpstream, tmp_path: Path
) -> None:
    tree = small.clone(tmp_path / "clone", "merges")
    git(tree, "switch", "-q", "-c", "work")
    before = world(tree)
    told = apply_tree(small.store, None, tree, dry_run=True)
    assert world(tree) == before
    done = apply_tree(small.store, None, tree)
    assert (done.base, done.action, done.revision) == ("small", "applied", small.commits["merges"])
    assert (
        hows(done)
        == hows(told)
        == {
            "load_quantized.patch": "strict",
            "strip_the_text.patch": "3-way",
            "count_to_two.patch": "strict",
        }
    )
    text = (tree / MODULE).read_text()
    assert "spacer_more" in text and "quantized" in text and "text.strip()" in text
    assert (tree / OVERLAY).read_text() == "OURS = 1\n"
    assert git(tree, "status", "--porcelain") == ""
    assert git(tree, "rev-list", "--count", "work..HEAD") == "4"
    status = tree_status(small.store, tree, None)
    assert status.judgement.standing is Standing.PATCHED
    assert (status.base, status.revision) == ("small", small.commits["merges"])
    again = apply_tree(small.store, None, tree)
    assert (again.action, again.revision) == ("nothing to do", small.commits["merges"])
    assert unapply_tree(small.store, None, tree).action == "removed"
    assert world(tree) == before
    assert unapply_tree(small.store, None, tree).action == "nothing to do"


def test_a_group_can_be_the_last_there_too(small: SmallUpstream, tmp_path: Path) -> None:
    tree = small.clone(tmp_path / "clone", "landed")
    for group, commits in (("gemma-quant", 2), ("portable", 3), ("ampere", 2)):
        done = apply_tree(small.store, None, tree, upto=group)
        assert (done.action, done.group) == ("applied", group)
        assert git(tree, "rev-list", "--count", f"{small.commits['landed']}..HEAD") == str(commits)
        assert apply_tree(small.store, None, tree, upto=group).action == "nothing to do"


def test_a_landed_patch_leaves_no_commit(small: SmallUpstream, tmp_path: Path) -> None:
    tree = small.clone(tmp_path / "clone", "landed")
    done = apply_tree(small.store, None, tree)
    assert hows(done)["strip_the_text.patch"] == "landed"
    subjects = git(tree, "log", "--format=%s", f"{small.commits['landed']}..HEAD").splitlines()
    assert subjects == ["Count to two", "Load quantized", "Lay in the overlay"]
    assert (tree / MODULE).read_text() == ENCODED
    unapply_tree(small.store, None, tree)
    assert git(tree, "rev-parse", "HEAD") == small.commits["landed"]
    assert git(tree, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("revision", "words"),
    [
        ("lost symbol", "lacks spare"),
        ("does not parse", "does not parse"),
        ("taken", "a file of its own"),
        ("breaks", r"load_quantized\.patch does not fit: .*hunk @@.*strict=True"),
        ("moved", r"encoder\.py: there is no such plain file"),
    ],
)
@pytest.mark.parametrize("asked", [False, True])
def test_what_no_base_serves_is_refused(
    small: SmallUpstream, tmp_path: Path, revision: str, words: str, asked: bool
) -> None:
    tree = small.clone(tmp_path / "clone", revision)
    before = world(tree)
    with pytest.raises(ConflictError, match=rf"(?s){words}") as caught:
        apply_tree(small.store, small.base if asked else None, tree)
    assert small.base.commit[:12] in caught.value.remedy
    assert world(tree) == before
    assert unapply_tree(small.store, None, tree).action == "nothing to do"


def test_a_users_commit_below_the_patches_is_merged_too(
    small: SmallUpstream, tmp_path: Path
) -> None:
    tree = small.clone(tmp_path / "clone", "base")
    own = commit(tree, {OTHER: TOOL.replace("return 1", "return 100")}, "Mine")
    done = apply_tree(small.store, small.base, tree)
    assert (done.revision, done.base) == (own, "small")
    assert "return 100" in (tree / OTHER).read_text() and "return 2" in (tree / OTHER).read_text()
    unapply_tree(small.store, small.base, tree)
    assert git(tree, "rev-parse", "HEAD") == own


def test_a_newer_series_replaces_the_older_there_too(small: SmallUpstream, tmp_path: Path) -> None:
    """The lock of the tree's own counts only for the series that it was made of."""
    from tests.small_upstream import MESSAGE

    tree = small.clone(tmp_path / "clone", "merges")
    apply_tree(small.store, None, tree)
    maker = tmp_path / "tree"
    text = {OVERLAY: "OURS = 2\n"}
    commit(maker, text, MESSAGE.format(subject="Say two", group="portable"))
    from ltx2_patcher.jobs.series.export import export

    export(small.store, small.base, maker)
    assert tree_status(small.store, tree, None).judgement.standing is Standing.EDITED
    done = apply_tree(small.store, None, tree)
    assert (done.action, done.revision) == ("applied", small.commits["merges"])
    assert (tree / OVERLAY).read_text() == "OURS = 2\n"


def test_edits_where_a_patch_must_go_stop_it_there_too(
    small: SmallUpstream, tmp_path: Path
) -> None:
    tree = small.clone(tmp_path / "clone", "merges")
    (tree / OTHER).write_text("mine\n")
    before = world(tree)
    with pytest.raises(ConflictError, match="has edits where a patch must go"):
        apply_tree(small.store, None, tree)
    assert world(tree) == before


def test_the_bases_contents_come_from_upstreams_history_where_a_clone_lacks_them(
    small: SmallUpstream, tmp_path: Path
) -> None:
    tree = tmp_path / "shallow"
    git(small.place, "branch", "old", small.commits["merges"])
    url = f"file://{small.place}"
    git(tmp_path, "clone", "-q", "--depth=1", "--branch", "old", url, "shallow")
    assert apply_tree(small.store, None, tree).revision == small.commits["merges"]
    unapply_tree(small.store, None, tree)
    shutil.rmtree(small.store.vendor / "upstream.git")
    small.place.rename(tmp_path / "away")
    before = world(tree)
    with pytest.raises(ConflictError, match="lacks 1 files of the bases") as caught:
        apply_tree(small.store, None, tree)
    assert "--unshallow" in caught.value.remedy
    assert world(tree) == before


def test_what_is_no_upstream_at_all_is_told_without_asking_anyone(
    small: SmallUpstream, tmp_path: Path
) -> None:
    tree = small.clone(tmp_path / "clone", "readme only")
    shutil.rmtree(small.store.vendor / "upstream.git")
    with pytest.raises(ConflictError, match="is no LTX-2"):
        apply_tree(small.store, None, tree)
    assert not (small.store.vendor / "upstream.git").exists()


@pytest.mark.parametrize("origin", ["there", "away", "forgotten"])
def test_a_clone_without_old_contents_is_supported_too(
    small: SmallUpstream, tmp_path: Path, origin: str
) -> None:
    git(small.place, "config", "uploadpack.allowFilter", "true")
    url = f"file://{small.place}"
    git(tmp_path, "clone", "-q", "--filter=blob:none", "--no-checkout", url, "partial")
    tree = tmp_path / "partial"
    git(tree, "checkout", "-q", "--detach", small.commits["landed"])
    if origin == "forgotten":
        git(tree, "remote", "remove", "origin")
    elif origin == "away":
        git(tree, "remote", "set-url", "origin", str(tmp_path / "nowhere"))
    assert apply_tree(small.store, None, tree).revision == small.commits["landed"]
    assert (tree / MODULE).read_text() == ENCODED


def copy_of_the_tool(small: SmallUpstream) -> Path:
    """The small series with the command line beside it."""
    root = small.store.patches.parent
    shutil.copytree(ROOT / "ltx2_patcher", root / "ltx2_patcher")
    shutil.copytree(ROOT / "tests/jobs", root / "tests/jobs")
    return root


@pytest.mark.parametrize("long", LONG)
@pytest.mark.parametrize("verb", ["apply", pytest.param("unapply", marks=pytest.mark.slow)])
def test_a_killed_run_there_is_finished_by_the_next(
    small: SmallUpstream, tmp_path: Path, verb: str, long: bool
) -> None:
    tool = copy_of_the_tool(small)
    tree = small.clone(tmp_path / "clone", "merges")
    git(tree, "switch", "-q", "-c", "work")
    (tree / "mine.txt").write_text("mine\n")
    plain, start, place = world(tree), tmp_path / "start", tmp_path / "place"
    if verb == "unapply":
        apply_tree(small.store, None, tree)
    shutil.copytree(tree, start, symlinks=True)
    whole = killed_at(0, tree, verb, "--tree", str(tree), tool=tool)
    assert whole.returncode == 0, whole.stderr
    patched = world(tree if verb == "apply" else start)
    total = int(whole.stdout.rsplit("events: ", 1)[1])
    assert total > 15
    for point in points(total, long=long):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(start, place, symlinks=True)
        killed = killed_at(point, place, verb, "--tree", str(place), tool=tool)
        assert killed.returncode == -signal.SIGKILL
        if verb == "apply":
            apply_tree(small.store, None, place)
            assert world(place) == patched, point
            assert tree_status(small.store, place, None).judgement.standing is Standing.PATCHED
        unapply_tree(small.store, None, place)
        assert world(place) == plain, point
        assert not list((place / ".git").rglob("*.lock")), point


@pytest.mark.history
@pytest.mark.parametrize("long", LONG)
def test_every_supported_revision_of_upstream_is_patched_and_given_back(
    store: Store, history: Objects, tmp_path: Path, long: bool
) -> None:
    """Each fourth, or all."""
    tree = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(history.place), "clone")
    kept = Store(tmp_path / "repository")
    shutil.copytree(store.patches, kept.patches)
    kept.vendor.mkdir()
    shutil.copy(store.vendor / "upstream.toml", kept.vendor)
    supported = [row for row in matrix(store, history).rows if row.support]
    assert supported
    for row in supported if long else supported[::4]:
        laid = row.support
        assert laid is not None
        git(tree, "checkout", "-q", "--detach", row.revision.commit)
        before = files(tree)
        done = apply_tree(kept, None, tree)
        pinned = kept.base(laid.base).commit
        at_base = done.revision is None
        assert done.base == laid.base
        assert at_base or done.revision == row.revision.commit
        assert at_base or hows(done) == {f.patch.name: f.how.value for f in laid.fits}
        assert not at_base or laid.how is How.STRICT
        assert row.revision.commit != pinned or at_base
        lock = kept.lock(laid.base)
        for path in lock.paths:
            data = (tree / path).read_bytes()
            assert blob_id(data) == git(tree, "rev-parse", f"HEAD:{path}")
            if path.endswith(".py"):
                ast.parse(data)
        assert git(tree, "status", "--porcelain") == ""
        assert apply_tree(kept, None, tree).action == "nothing to do"
        unapply_tree(kept, None, tree)
        assert files(tree) == before
        assert git(tree, "rev-parse", "HEAD") == row.revision.commit
