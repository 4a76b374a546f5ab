"""A patch left to a person in a worktree, with its conflicts, and read back once it is settled."""

from __future__ import annotations

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.linediff import line_diffs
from ltx2_patcher.boundaries.objects import PLAIN
from ltx2_patcher.boundaries.worktree import Sides, Worktree
from ltx2_patcher.jobs.series.rebase.state import RebaseState, parses
from ltx2_patcher.rules.series.blobs import blob_id
from ltx2_patcher.rules.series.conflict_markers import has_markers, marked
from ltx2_patcher.rules.series.lines import split_lines
from ltx2_patcher.rules.series.paths import is_source
from ltx2_patcher.rules.series.three_way import Fit
from ltx2_patcher.values.errors import ConflictError


def leave_conflicts(state: RebaseState, tree: Worktree, fit: Fit) -> tuple[str, ...]:
    """Stage what goes in and leave the rest unmerged, as git does when it stops.

    Returns the paths that a remembered resolution settled; they stay unmerged. A file that is gone
    there is unmerged without a file.
    """
    before, after = state.before[state.at], state.stages[state.at].files
    paths, tip = state.paths, state.rebase.tip
    clashing = {breach.path for breach in fit.breaches}
    there = [diff for diff in fit.patch.diffs if diff.path in paths]
    entries = tree.entries(tip, [paths[diff.path] for diff in there])
    theirs = tree.blobs(tip, entries)
    drifts = line_diffs([(before[diff.path], theirs[paths[diff.path]]) for diff in there])
    files, texts = {}, {}
    clashes = {
        _last_name(state, diff.path): Sides(diff.before, None, diff.after)
        for diff in fit.patch.diffs
        if diff.path not in paths  # gone: what was before, what the patch makes, no file
    }
    for diff, drift in zip(there, drifts, strict=True):
        path, lines = paths[diff.path], split_lines(before[diff.path])
        labels = {"head": f"upstream {state.rebase.onto[:10]}", "patch": fit.patch.name}
        text = marked(lines, diff.edits, drift, **labels)
        if diff.path in clashing:
            assert blob_id(after[diff.path]) == diff.after
            clashes[path] = Sides(diff.before, entries[path].blob, diff.after)
            texts[path] = text
        elif text != theirs[path]:
            files[path] = text
    tree.add(files)
    tree.leave_unmerged(clashes)
    for path, text in texts.items():
        disk.replace(tree.tree / path, text)
    tree.remember()
    return tuple(path for path, text in texts.items() if disk.read(tree.tree / path) != text)


def _last_name(state: RebaseState, path: str) -> str:
    """Where a file lay last before it was gone."""
    return next(one.paths[path] for one in reversed(state.revisions) if path in one.paths)


def read_resolution(state: RebaseState, tree: Worktree) -> dict[str, bytes]:
    """The files that the settled patch changes: what the worktree's index holds of them.

    Raises: ConflictError where HEAD was moved, something is not settled or not added, a conflict
    marker is left, a file is outside packages/*/src, new, gone or no Python, or nothing is changed;
    BusyError where git is at work there.
    """
    tree.refuse_if_busy()
    place, again = tree.tree, "then run `ltx2-patcher rebase --continue`"
    if tree.head().commit != state.rebase.tip:
        raise ConflictError(
            f"HEAD of {place} was moved: what is staged there becomes the patch, with its words",
            remedy=f"take your commit back with `git -C {place} reset --soft "
            f"{state.rebase.tip[:12]}`, which keeps its changes, {again}",
        )
    if unmerged := tree.unmerged():
        raise ConflictError(
            f"not settled yet: {', '.join(unmerged)}",
            remedy=f"settle them in {place}, `git add` each (or `git rm`, where the file is gone), "
            f"{again}",
        )
    if edits := tree.not_added():
        raise ConflictError(
            f"edited but not added: {', '.join(edits)}",
            remedy=f"`git add` them in {place} or undo them with `git checkout -- FILE`, {again}",
        )
    changed = tree.added(state.rebase.tip)
    staged = tree.staged(changed)
    for path, kind in changed.items():
        if not is_source(path) or kind != "M" or staged[path].mode != PLAIN:
            raise ConflictError(
                f"{path} can't be in a patch: it changes plain files that upstream has in "
                "packages/*/src, and adds or removes none",
                remedy=f"put it back with `git -C {place} reset -q -- {path}` (a new file of ours "
                f"belongs to the overlay), {again}",
            )
    if not changed:
        raise ConflictError(
            f"nothing is left of {state.patch.name}: upstream has it, or it is not needed there",
            remedy="leave it out with `ltx2-patcher rebase --skip`, or edit and add what it "
            "still must change",
        )
    texts = tree.contents(entry.blob for entry in staged.values())
    files = {path: texts[staged[path].blob] for path in changed}
    if torn := [path for path, data in files.items() if has_markers(data)]:
        raise ConflictError(
            f"conflict markers are left in {', '.join(torn)}",
            remedy=f"settle what stands between them, `git add` the files, {again}",
        )
    for path, data in files.items():
        if not parses(path, data):
            raise ConflictError(
                f"{path} is no Python any more as it was settled",
                remedy=f"correct it in {place}, `git add` it, {again}",
            )
    return files
