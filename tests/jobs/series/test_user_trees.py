"""Trees as people have them: worktrees, detached heads, odd branches, links, moved work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree, unapply_tree
from ltx2_patcher.jobs.series.export import export
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import BusyError, ConflictError, InvalidError, OutsideError
from tests.conftest import ROOT, files, git, world
from tests.jobs.series.test_interruption import killed_at
from tests.rebases import LEDGER

BRANCH = "ltx2-patcher/1.0.0"


def commit(tree: Path, name: str) -> str:
    (tree / name).write_text("mine\n")
    git(tree, "add", name)
    git(tree, "commit", "-q", "-m", f"Add {name}")
    return git(tree, "rev-parse", "HEAD")


def test_a_branch_checked_out_in_another_worktree_is_left_alone(
    store: Store, base: Base, tree: Path, tmp_path: Path
) -> None:
    git(tree, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    apply_tree(store, base, tree)
    before = world(tree)
    with pytest.raises(ConflictError, match="is checked out in"):
        apply_tree(store, base, tmp_path / "linked")
    assert world(tree) == before
    done = apply_tree(store, base, tmp_path / "linked", onto_branch="second")
    assert done.branch == "second"
    unapply_tree(store, base, tmp_path / "linked")
    assert world(tree) == before


@pytest.mark.parametrize("name", ["feature", "work"])
def test_a_users_branch_is_not_taken_over(store: Store, base: Base, tree: Path, name: str) -> None:
    git(tree, "branch", "feature")
    before = world(tree)
    with pytest.raises(ConflictError, match="a commit that is not ours"):
        apply_tree(store, base, tree, onto_branch=name)
    assert world(tree) == before


def test_a_branch_of_the_users_on_our_commits_is_not_deleted(
    store: Store, base: Base, tree: Path
) -> None:
    apply_tree(store, base, tree)
    git(tree, "switch", "-q", "-c", "mine")
    before = world(tree)
    with pytest.raises(ConflictError, match="not on the branch that apply made"):
        unapply_tree(store, base, tree)
    assert world(tree) == before
    git(tree, "switch", "-q", BRANCH)
    unapply_tree(store, base, tree)
    assert git(tree, "branch", "--list", "mine")


def test_a_branch_that_can_not_be_made_leaves_nothing(store: Store, base: Base, tree: Path) -> None:
    git(tree, "branch", "ltx2-patcher")  # it keeps ltx2-patcher/1.0.0 from being made
    before = world(tree)
    with pytest.raises(ConflictError, match="--onto-branch|can't be made"):
        apply_tree(store, base, tree)
    assert world(tree) == before
    assert apply_tree(store, base, tree, onto_branch="fine").branch == "fine"


@pytest.mark.parametrize("moved", ["commit", "switch"])
def test_a_cut_off_run_does_not_pull_the_user_back(
    store: Store, base: Base, tree: Path, moved: str
) -> None:
    """The user restored the files after the kill and went on working."""
    _cut_off(tree)
    git(tree, "checkout", "-q", "-f", "HEAD")
    git(tree, "clean", "-fdq", "packages")
    if moved == "switch":
        git(tree, "switch", "-q", "-c", "other")
    own = commit(tree, "M.txt")
    done = apply_tree(store, base, tree)
    assert git(tree, "merge-base", "--is-ancestor", own, "HEAD") == ""
    assert done.action == "applied"
    unapply_tree(store, base, tree)
    assert git(tree, "rev-parse", "HEAD") == own
    assert git(tree, "symbolic-ref", "--short", "HEAD") == (
        "other" if moved == "switch" else "work"
    )
    assert git(tree, "status", "--porcelain") == ""


def test_a_torn_journal_is_named(store: Store, base: Base, tree: Path) -> None:
    _cut_off(tree)
    journal = tree / ".git/ltx2-patcher/journal.json"
    for torn in (journal.read_bytes()[:100], b"[]", b"\xff"):
        journal.write_bytes(torn)
        before = world(tree)
        with pytest.raises(InvalidError, match=r"journal\.json.* is damaged") as caught:
            apply_tree(store, base, tree)
        assert "remove it" in caught.value.remedy and world(tree) == before


def test_a_torn_note_of_the_branch_is_passed_by(store: Store, base: Base, tree: Path) -> None:
    apply_tree(store, base, tree)
    (tree / ".git/ltx2-patcher/applied.json").write_bytes(b"[")
    assert unapply_tree(store, base, tree).action == "removed"


def test_a_cut_off_run_half_way_names_the_way_back(store: Store, base: Base, tree: Path) -> None:
    _cut_off(tree, files=5)
    git(tree, "symbolic-ref", "HEAD", "refs/heads/other")
    git(tree, "update-ref", "HEAD", git(tree, "rev-parse", "work"))
    git(tree, "commit", "-q", "--allow-empty", "-m", "Moved")
    with pytest.raises(ConflictError, match="HEAD was moved since") as caught:
        apply_tree(store, base, tree)
    assert "switch work" in caught.value.remedy
    git(tree, "symbolic-ref", "HEAD", "refs/heads/work")
    assert apply_tree(store, base, tree).action == "finished"


_POINTS: dict[int, int] = {}  # by the files that are replaced there: apply does the same each time


def _cut_off(tree: Path, files: int = 0) -> None:
    """Kill apply when its journal stands and `files` files are replaced."""
    journal = tree / ".git/ltx2-patcher/journal.json"
    for point in range(_POINTS.get(files, 1), 400, 5 if files else 1):
        killed_at(point, tree, "apply", "--tree", str(tree))
        if journal.exists():
            changed = git(tree, "diff", "--name-only").splitlines()
            if len(changed) >= files:
                _POINTS[files] = point
                return
            journal.unlink()
            git(tree, "checkout", "-q", "-f", "HEAD")
            git(tree, "clean", "-fdq", "packages")
            git(tree, "branch", "-q", "-D", BRANCH)
    raise AssertionError("no point of apply leaves a journal")


def test_a_detached_commit_that_only_our_branch_holds_is_kept(
    store: Store, base: Base, tree: Path
) -> None:
    git(tree, "switch", "-q", "--detach")
    own = commit(tree, "D.txt")
    apply_tree(store, base, tree)
    git(tree, "switch", "-q", "work")
    before = world(tree)
    with pytest.raises(ConflictError, match=f"holds your commit {own[:10]}"):
        apply_tree(store, base, tree)
    assert world(tree) == before
    git(tree, "branch", "kept", own)
    assert apply_tree(store, base, tree).action == "applied"


def test_a_folder_that_is_a_link_is_not_followed(
    store: Store, base: Base, tree: Path, tmp_path: Path
) -> None:
    (tree / "packages").rename(tmp_path / "elsewhere")
    (tree / "packages").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConflictError, match="is a link"):
        apply_tree(store, base, tree)


def test_crlf_line_ends_are_named(
    store: Store, base: Base, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "gitconfig"
    config.write_text("[core]\nautocrlf = true\n[safe]\ndirectory = *\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    git(tmp_path, "clone", "-q", str(tree), "windows")
    with pytest.raises(ConflictError, match="CRLF"):
        apply_tree(store, base, tmp_path / "windows")


def test_a_sparse_checkout_is_named(store: Store, base: Base, tree: Path) -> None:
    git(tree, "status")  # git leaves files in place whose times it does not know, as after a copy
    git(tree, "sparse-checkout", "set", "packages/ltx-core")
    with pytest.raises(ConflictError, match="sparse checkout"):
        apply_tree(store, base, tree)
    git(tree, "sparse-checkout", "disable")
    assert apply_tree(store, base, tree).action == "applied"


def test_a_mode_that_is_not_the_bases_is_refused(store: Store, base: Base, tree: Path) -> None:
    path = tree / "packages/ltx-pipelines/src/ltx_pipelines/distilled.py"
    path.chmod(0o755)
    git(tree, "commit", "-q", "-a", "-m", "Make it executable")
    before = world(tree)
    with pytest.raises(ConflictError, match=r"distilled\.py"):
        apply_tree(store, base, tree)
    assert world(tree) == before


def test_a_committed_edit_in_a_hunk_is_shown(store: Store, base: Base, tree: Path) -> None:
    path = tree / "packages/ltx-pipelines/src/ltx_pipelines/distilled.py"
    line = "        quantization: QuantizationPolicy | None = None,\n"
    assert line in path.read_text()
    path.write_text(path.read_text().replace(line, line.replace("None,", "None,  # mine")))
    git(tree, "commit", "-q", "-a", "-m", "Mine")
    with pytest.raises(ConflictError, match=r"hunk @@ .* and is \".*# mine\""):
        apply_tree(store, base, tree)


def test_a_dry_run_after_a_kill_says_what_comes_first(store: Store, base: Base, tree: Path) -> None:
    _cut_off(tree)
    before = world(tree)
    told = [job(store, base, tree, dry_run=True) for job in (apply_tree, unapply_tree)]
    assert [done.action for done in told] == ["finished", "finished"]
    assert all(done.finished for done in told)
    assert world(tree) == before


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv drops root's privileges")
def test_a_folder_without_permission_is_told_before_anything(
    tree: Path,
) -> None:
    """As a user who may not write one of two packages: neither is touched."""
    locked = tree / "packages/ltx-pipelines/src/ltx_pipelines"
    locked.chmod(0o555)
    before = world(tree)
    prefix: list[str] = []
    if os.geteuid() == 0:  # root may write anywhere unless it gives that up
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "ltx2_patcher", "apply", "--tree", str(tree)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    locked.chmod(0o755)
    assert (done.returncode, "no permission" in done.stderr) == (OutsideError.exit_code, True)
    assert "Traceback" not in done.stderr
    assert {**world(tree), "files": None} == {**before, "files": None}


def test_an_index_that_is_gone_is_no_matter_of_line_ends(
    store: Store, base: Base, tree: Path
) -> None:
    (tree / ".git/index").unlink()
    before = files(tree)
    with pytest.raises(ConflictError, match="has edits where a patch must go"):
        apply_tree(store, base, tree)
    assert files(tree) == before


@pytest.mark.parametrize(
    ("what", "damage"),
    [
        ("HEAD", "emptied"),
        ("HEAD^{tree}", "emptied"),
        (f"HEAD:{LEDGER}", "emptied"),
        (f"HEAD:{LEDGER}", "other words"),
    ],
)
def test_a_damaged_object_is_told_before_anything(
    store: Store, base: Base, tree: Path, what: str, damage: str
) -> None:
    (tree / LEDGER).write_text((tree / LEDGER).read_text() + "# mine\n")  # so that git is asked
    git(tree, "commit", "-q", "-a", "-m", "mine")
    oid = git(tree, "rev-parse", what)
    place = tree / ".git/objects" / oid[:2] / oid[2:]
    data = zlib.decompress(place.read_bytes())
    place.chmod(0o644)
    place.write_bytes(b"" if damage == "emptied" else zlib.compress(data.replace(b"mine", b"hers")))
    before = files(tree)
    with pytest.raises(ConflictError):
        apply_tree(store, base, tree)
    assert files(tree) == before


def test_submodules_and_names_that_are_no_text_stay_as_they_are(
    copied_store: Store, base: Base, tree: Path, tmp_path: Path
) -> None:
    """In the commit that is patched, and as edits beside it."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "Another project")
    allow = ("-c", "protocol.file.allow=always")
    git(tree, *allow, "submodule", "--quiet", "add", str(other), "module")
    odd = os.fsencode(tree) + b"/packages/ltx-core/src/\xff.py"
    Path(os.fsdecode(odd)).write_text("odd = 1\n")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "Mine below the patches")
    (tree / "module/mine.txt").write_text("mine\n")
    Path(os.fsdecode(odd)).write_text("odd = 2\n")
    before = world(tree)
    apply_tree(copied_store, base, tree)
    assert (tree / "module/mine.txt").read_text() == "mine\n"
    assert git(tree, "submodule", "status").split()[1] == "module"
    unapply_tree(copied_store, base, tree)
    assert world(tree) == before


def test_a_branch_whose_name_is_no_text_is_left_and_found_again(
    store: Store, base: Base, tree: Path
) -> None:
    git(tree, "switch", "-q", "-c", os.fsdecode(b"w\xff"))
    before = files(tree)
    apply_tree(store, base, tree)
    unapply_tree(store, base, tree)
    assert (tree / ".git/HEAD").read_bytes() == b"ref: refs/heads/w\xff\n"
    assert files(tree) == before


def test_busy_trees_and_damaged_objects_are_not_exported(
    copied_store: Store, base: Base, tree: Path
) -> None:
    apply_tree(copied_store, base, tree)
    before = files(copied_store.patches)
    (tree / ".git/BISECT_LOG").write_text("git bisect start\n")
    with pytest.raises(BusyError):
        export(copied_store, base, tree)
    (tree / ".git/BISECT_LOG").unlink()
    tip = git(tree, "rev-parse", f"HEAD:{LEDGER}")
    pack = next((tree / ".git/objects/pack").glob("*.pack"), None)
    loose = tree / ".git/objects" / tip[:2] / tip[2:]
    for path in (pack, loose):
        if path is not None and path.exists():
            path.chmod(0o644)
            path.write_bytes(b"torn" + path.read_bytes()[4:])
    with pytest.raises(ConflictError):
        export(copied_store, base, tree)
    assert files(copied_store.patches) == before
