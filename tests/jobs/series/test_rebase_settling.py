"""What a rebase stops at, and how it takes what a person settled."""

from __future__ import annotations

import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.linediff import line_diffs
from ltx2_patcher.boundaries.objects import Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.rebase.steps import (
    abort,
    begin,
    proceed,
    skip,
    status,
)
from ltx2_patcher.rules.series.lines import split_lines
from ltx2_patcher.rules.series.merge import edited, merge
from ltx2_patcher.rules.series.plan import stages
from ltx2_patcher.values.errors import ConflictError
from ltx2_patcher.values.rebasing import Outcome, StopReason
from tests.conftest import BASE, git
from tests.rebases import (
    AFTER,
    ARGS,
    IC_LORA,
    LEDGER,
    imitation,
    make_place,
    private,
    repository,
    settle,
    tool,
)

pytestmark = pytest.mark.history


def _leave_unmerged(tree: Path) -> str:
    return "not settled yet"


def _leave_markers(tree: Path) -> str:
    git(tree, "add", "-A")
    return "conflict markers are left"


def _edit_after_adding(tree: Path) -> str:
    settle(tree)
    (tree / ARGS).write_text("# more\n")
    return "edited but not added"


def _edit_outside(tree: Path) -> str:
    settle(tree)
    (tree / "README.md").write_text("mine\n")
    git(tree, "add", "README.md")
    return "README.md can't be in a patch"


def _add_a_file(tree: Path) -> str:
    settle(tree)
    path = "packages/ltx-core/src/ltx_core/new.py"
    (tree / path).write_text("X = 1\n")
    git(tree, "add", path)
    return "adds or removes none"


def _remove_a_file(tree: Path) -> str:
    settle(tree)
    git(tree, "rm", "-q", "-f", ARGS)
    return "adds or removes none"


def _change_a_mode(tree: Path) -> str:
    settle(tree)
    (tree / ARGS).chmod(0o755)
    git(tree, "add", ARGS)
    return "can't be in a patch"


def _break_the_python(tree: Path) -> str:
    settle(tree)
    (tree / ARGS).write_text("def (:\n")
    git(tree, "add", ARGS)
    return "no Python any more"


def _commit(tree: Path) -> str:
    settle(tree)
    git(tree, "commit", "-q", "-m", "mine")
    return "HEAD of .* was moved"


def _take_all_back(tree: Path) -> str:
    git(tree, "checkout", "-q", "-f", "HEAD", "--", ".")
    return "nothing is left of offer_the"


@pytest.mark.parametrize(
    "deed",
    [
        _leave_unmerged,
        _leave_markers,
        _edit_after_adding,
        _edit_outside,
        _add_a_file,
        _remove_a_file,
        _change_a_mode,
        _break_the_python,
        _commit,
        _take_all_back,
    ],
)
def test_what_is_not_settled_is_refused_and_stays(place: Store, deed: object) -> None:
    assert callable(deed)
    stopped = begin(place, AFTER).stopped
    assert stopped
    settle(stopped.worktree)
    proceed(place)
    words = deed(stopped.worktree)
    status = git(stopped.worktree, "status", "--porcelain=v2")
    refs = private(place)
    with pytest.raises(ConflictError, match=words):
        proceed(place)
    assert git(stopped.worktree, "status", "--porcelain=v2") == status
    assert private(place) == refs


def test_a_resolution_is_remembered_shown_and_not_taken_by_itself(place: Store) -> None:
    stopped = begin(place, AFTER).stopped
    assert stopped
    settle(stopped.worktree)
    stopped = proceed(place).stopped
    assert stopped and stopped.reused == ()
    settle(stopped.worktree)
    settled = (stopped.worktree / ARGS).read_bytes()
    proceed(place)
    abort(place)
    stopped = begin(place, AFTER).stopped
    assert stopped
    settle(stopped.worktree)
    stopped = proceed(place).stopped
    assert stopped
    (reuse,) = (item for item in stopped.reused if item.path == ARGS)
    assert "+    add_gemma_flags(parser)" in reuse.change
    assert (stopped.worktree / ARGS).read_bytes() == settled
    assert ARGS in stopped.unmerged
    with pytest.raises(ConflictError, match="not settled yet"):
        proceed(place)
    settle(stopped.worktree)
    assert proceed(place).settled[1].outcome is Outcome.BY_HAND


def test_a_settlement_in_another_file_is_offered_after_an_abort(place: Store) -> None:
    """rerere knows nothing of it: the conflict was in a file that is gone."""
    stopped = begin(place, AFTER).stopped
    assert stopped and stopped.earlier is None
    (loads,) = (t for t in stopped.conflicts if any("module_ops =" in line for line in t.ours))
    assert loads.elsewhere
    moved = stopped.worktree / loads.elsewhere.path
    moved.write_text("# Where the code of ours went\n" + moved.read_text())
    git(stopped.worktree, "add", loads.elsewhere.path)
    settle(stopped.worktree)
    proceed(place)
    abort(place)
    said = tool(place.root, "rebase", "--onto", AFTER)
    stopped = status(place).stopped
    assert stopped and stopped.earlier and not stopped.reused
    assert loads.elsewhere.path in stopped.earlier.paths
    shown, taken = (
        line.partition(": ")[2]
        for line in said.stdout.splitlines()
        if stopped.earlier.commit[:12] in line
    )
    assert "+# Where the code of ours went" in git(stopped.worktree, *shown.split()[1:])
    assert "Where the code" not in (stopped.worktree / loads.elsewhere.path).read_text()
    git(stopped.worktree, *taken.split()[1:])
    git(stopped.worktree, "rm", "-q", LEDGER)
    done = proceed(place)
    assert done.settled[0].outcome is Outcome.BY_HAND
    tip = git(
        place.vendor / "upstream.git", "rev-parse", f"refs/ltx2-patcher/rebase/{done.name}/tip"
    )
    trees = [
        git(place.vendor / "upstream.git", "rev-parse", f"{c}^{{tree}}")
        for c in (tip, stopped.earlier.commit)
    ]
    assert trees[0] == trees[1]
    abort(place)
    other = begin(place, "main", source=BASE, name="other").stopped
    assert other and other.patch == stopped.patch and other.earlier is None


def test_what_merges_into_no_python_is_left_to_a_person(place: Store) -> None:
    (text,) = repository(place).blobs(place.base(BASE).commit, [IC_LORA]).values()
    onto = imitation(place, {IC_LORA: b"def (:\n" + text})
    stopped = begin(place, onto).stopped
    assert stopped and stopped.patch == "offer_the_quantized_gemma_in_every_pipeline.patch"
    assert (stopped.conflicts, stopped.unmerged) == ((), ())
    assert stopped.unparsed == (IC_LORA,)
    with pytest.raises(ConflictError, match="no Python any more"):
        proceed(place)
    path = stopped.worktree / IC_LORA
    path.write_bytes(path.read_bytes().removeprefix(b"def (:\n"))
    git(stopped.worktree, "add", IC_LORA)
    done = proceed(place)
    assert done.written and done.settled[1].outcome is Outcome.BY_HAND


def test_what_landed_may_be_kept_with_what_it_must_still_change(place: Store) -> None:
    series, base = place.series(BASE), place.base(BASE)
    contents = repository(place).blobs(base.commit, series.lock.before)
    first = stages(series, series.lock.groups[-1], contents)[1]
    stopped = begin(place, imitation(place, dict(first.files))).stopped
    assert (
        stopped and stopped.reason is StopReason.LANDED and stopped.patch == series.patches[0].name
    )
    path = stopped.worktree / LEDGER
    path.write_bytes(path.read_bytes() + b"# and more\n")
    git(stopped.worktree, "add", LEDGER)
    done = proceed(place)
    assert done.written and done.settled[0].outcome is Outcome.BY_HAND
    assert place.series(done.name).patches[0].diffs[0].path == LEDGER


def test_what_landed_is_offered_for_retirement_and_never_dropped_by_itself(place: Store) -> None:
    series = place.series(BASE)
    fourth = series.patches[3]
    base = place.base(BASE)
    contents = repository(place).blobs(base.commit, series.lock.before)
    made = dict(stages(series, series.lock.groups[-1], contents)[4].files)
    assert stages(series, series.lock.groups[-1], contents)[4].patch == fourth
    # Upstream took it over alone: what the patches before it do to those files is not there.
    before = patched_before(place, 3)
    taken: dict[str, bytes | None] = {}
    for path, text in made.items():
        own, back = line_diffs([(before[path], text), (before[path], contents[path])])
        lines = merge(split_lines(before[path]), own, back).ours
        taken[path] = b"".join(edited(split_lines(contents[path]), lines))
    onto = imitation(place, taken)
    done = begin(place, onto)
    assert done.stopped and done.stopped.reason is StopReason.LANDED
    assert done.stopped.patch == fourth.name
    assert done.stopped.landing and done.stopped.landing.by
    assert done.stopped.landing.by.commit == onto
    assert {spot.path for spot in done.stopped.landing.places} <= set(made)
    with pytest.raises(ConflictError, match="nothing is left"):
        proceed(place)
    done = skip(place)
    assert done.settled[3].outcome is Outcome.RETIRED
    assert done.written
    assert fourth.name not in {p.name for p in place.series(done.name).patches}


def patched_before(place: Store, count: int) -> dict[str, bytes]:
    series = place.series(BASE)
    now = repository(place).blobs(place.base(BASE).commit, series.lock.before)
    for stage in stages(series, series.lock.groups[-1], now)[1 : count + 1]:
        now = {**now, **stage.files}
    return now


def test_a_series_that_changed_meanwhile_stops_it(place: Store) -> None:
    begin(place, AFTER)
    whole = place.patches.parent / "whole"
    shutil.copytree(place.patches, whole)
    shutil.rmtree(place.patches / BASE)
    shutil.copytree(place.patches.parent / "whole" / BASE, place.patches / BASE)
    lock = place.patches / BASE / "lock.json"
    name = next(path.name for path in (place.patches / BASE).glob("*.patch"))
    text = (place.patches / BASE / name).read_bytes()
    (place.patches / BASE / name).write_bytes(text.replace(b"It can go", b"Indeed. It can go"))
    new = sha256((place.patches / BASE / name).read_bytes()).hexdigest()
    lock.write_text(lock.read_text().replace(sha256(text).hexdigest(), new))
    with pytest.raises(ConflictError, match="not what it was when the rebase began"):
        proceed(place)
    assert abort(place).kept == ()


def test_a_worktree_that_was_removed_is_made_again(place: Store) -> None:
    first = begin(place, AFTER).stopped
    assert first
    shutil.rmtree(first.worktree)
    assert status(place).stopped is None
    assert proceed(place).stopped == first


def test_a_repository_that_was_moved_goes_on(place: Store) -> None:
    stopped = begin(place, AFTER).stopped
    assert stopped
    settle(stopped.worktree)
    root = place.patches.parent
    moved = Store(root.rename(root.with_name("moved")))
    assert proceed(moved).settled[0].outcome is Outcome.BY_HAND


def test_a_repository_in_a_folder_whose_name_is_no_text(tmp_path: Path, history: Objects) -> None:
    place = make_place(tmp_path / os.fsdecode(b"repository \xff"), history)
    stopped = begin(place, AFTER).stopped
    assert stopped
    settle(stopped.worktree)
    assert proceed(place).settled[0].outcome is Outcome.BY_HAND
    assert abort(place).kept
