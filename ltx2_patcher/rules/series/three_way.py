"""A series on a tree that is not its base: how each patch goes in, and what it leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from ltx2_patcher.rules.series.lines import split_lines
from ltx2_patcher.rules.series.merge import Clash, across, edited, merge
from ltx2_patcher.values.series import Edit, FileDiff, Hunk, Patch


class How(Enum):
    """How a patch goes on a tree."""

    STRICT = "strict"  # each hunk at its very lines
    THREE_WAY = "3-way"  # merged with what upstream changed since, without a clash
    LANDED = "landed"  # what it does is there already
    LEFT_OUT = "left out"  # its group may be missing, and does not fit
    MISFIT = "does not fit"


@dataclass(frozen=True, slots=True)
class Breach:
    """A hunk that does not go in, and what stands in its way."""

    path: str
    hunk: Hunk
    clash: Clash | None  # None where the tree has no such file


@dataclass(frozen=True, slots=True)
class Fit:
    """One patch on the tree, on top of those before it."""

    patch: Patch
    how: How
    files: Mapping[str, bytes] = field(repr=False)  # the contents it leaves; none for a misfit
    breaches: tuple[Breach, ...]  # one or more for a misfit


def replay(
    patches: Sequence[Patch],
    base: Mapping[str, bytes],
    tree: Mapping[str, bytes],
    drift: Mapping[str, Sequence[Edit]],
) -> tuple[Fit, ...]:
    """Put the patches on `tree`, one on the other.

    `base` holds each file that a patch touches as the series has it before its first patch, `tree`
    the same file in the other tree, left out where it is not there, and `drift` the edits that
    make the second of the first. A patch that does not fit leaves out its hunks that clash, and
    those after it are judged as if somebody had settled that place in the tree's favour.
    """
    files = {
        path: _File(
            split_lines(content),
            split_lines(tree[path]) if path in tree else None,
            tuple(drift.get(path, ())),
        )
        for path, content in base.items()
    }
    return tuple(_fit(patch, files) for patch in patches)


@dataclass(slots=True)
class _File:
    """A file on both sides, as the patches so far leave it."""

    ours: list[bytes]
    theirs: list[bytes] | None
    drift: tuple[Edit, ...]  # from ours to theirs


def _fit(patch: Patch, files: dict[str, _File]) -> Fit:
    strict = all(_stands(diff, files[diff.path]) for diff in patch.diffs)
    if not strict and all(_is_in(diff, files[diff.path]) for diff in patch.diffs):
        for diff in patch.diffs:
            _leave_out(diff, files[diff.path])
        return Fit(patch, How.LANDED, {}, ())
    breaches = tuple(b for diff in patch.diffs for b in _put_in(diff, files[diff.path]))
    if breaches:
        return Fit(patch, How.MISFIT, {}, breaches)
    contents = {diff.path: b"".join(files[diff.path].theirs or ()) for diff in patch.diffs}
    return Fit(patch, How.STRICT if strict else How.THREE_WAY, contents, ())


def _stands(diff: FileDiff, file: _File) -> bool:
    """Whether every hunk finds its lines where it says."""
    if file.theirs is None:
        return False
    # A hunk that takes nothing away gives the line before it; git counts so, as diff does.
    starts = (hunk.start - 1 if hunk.old else hunk.start for hunk in diff.hunks)
    return all(
        tuple(file.theirs[start : start + len(hunk.old)]) == hunk.old
        for start, hunk in zip(starts, diff.hunks, strict=True)
    )


def _is_in(diff: FileDiff, file: _File) -> bool:
    """Whether every hunk can be taken out, and so was put in already, here or elsewhere."""
    if file.theirs is None:
        return False
    merged = merge(file.ours, diff.edits, file.drift)
    if not merged.ours and not merged.clashes:
        return True
    text = b"\n" + b"".join(file.theirs)
    return all(
        b"\n" + b"".join(hunk.new) in text and b"\n" + b"".join(hunk.old) not in text
        for hunk in diff.hunks
    )


def _leave_out(diff: FileDiff, file: _File) -> None:
    file.drift = across(file.ours, diff.edits, file.drift)
    file.ours = edited(file.ours, diff.edits)


def _put_in(diff: FileDiff, file: _File) -> list[Breach]:
    """Put in what goes in; the hunks that do not."""
    if file.theirs is None:
        return [Breach(diff.path, hunk, None) for hunk in diff.hunks]
    merged = merge(file.ours, diff.edits, file.drift)
    file.theirs = edited(file.theirs, merged.ours)
    file.ours = edited(file.ours, diff.edits)
    file.drift = merged.theirs
    return [Breach(diff.path, _hunk_at(diff, clash), clash) for clash in merged.clashes]


def _hunk_at(diff: FileDiff, clash: Clash) -> Hunk:
    """The first hunk with an edit in the clash."""
    end = clash.start + len(clash.base)
    return next(
        hunk
        for hunk in diff.hunks
        if any(edit.start <= end and clash.start <= edit.end for edit in hunk.edits)
    )
