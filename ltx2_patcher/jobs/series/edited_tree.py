"""A patched tree as the daily verbs meet it: at its series' end, with the user's edits on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ltx2_patcher.boundaries import disk, git, objects
from ltx2_patcher.boundaries.linediff import line_diffs
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.export import read_back
from ltx2_patcher.jobs.series.working_tree import refuse_edits
from ltx2_patcher.rules.series.blobs import blob_id
from ltx2_patcher.rules.series.paths import is_source
from ltx2_patcher.rules.series.plan import Stage
from ltx2_patcher.rules.series.stack import Layer
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError
from ltx2_patcher.values.series import FileStep, Series

_YOURS = "your edit"


@dataclass(frozen=True, slots=True)
class EditedTree:
    """A tree at the end of its series, with the user's edits on top."""

    repository: git.Git
    head: git.Head
    series: Series
    base: Mapping[str, bytes] = field(repr=False)  # of every file that a patch or an edit touches
    edits: Layer  # of upstream's files
    overlay: Mapping[str, bytes] = field(repr=False)  # with the edits in it
    overlaid: tuple[str, ...]  # overlay paths that were edited
    others: tuple[str, ...]  # edited, and none of a series' business

    @property
    def taken(self) -> tuple[str, ...]:
        """The edited paths that a patch and the overlay take in."""
        return (*self.edits.edits, *self.overlaid)


def edited_tree(store: Store, base: Base, repository: git.Git) -> EditedTree:
    """Read the tree and what the user changed in it; nothing is written.

    Raises: ConflictError where the commits are not the series, or an edit can't be taken.
    """
    tree, head = repository.tree, repository.head()
    if head.ref is None:
        raise ConflictError(
            f"HEAD of {tree} is on no branch",
            remedy="switch to the one that holds the patches; apply made ltx2-patcher/BASE",
        )
    series = store.series(base.name)
    here = read_back(store, base, repository, head.commit)
    if (here.patches, here.overlay) != (series.patches, series.overlay):
        odd = [p.name for p in {*here.patches} ^ {*series.patches}] or ["the overlay or the order"]
        raise ConflictError(
            f"the commits of {tree} are not the series in patches/: {min(odd)} differs",
            remedy="write them back first with `ltx2-patcher export`, or lay the series in with "
            "`ltx2-patcher apply`",
        )
    dirty = repository.dirty()
    mine = [path for path in dirty if is_source(path)]
    before, staged = repository.entries(head.commit, mine), repository.staged(mine)
    old = repository.contents(entry.blob for entry in before.values())
    edits: dict[str, tuple[bytes, bytes]] = {}
    overlay, overlaid = dict(series.overlay), []
    for path in mine:
        now = disk.read(tree / path)
        was = old[before[path].blob] if path in before else None
        _require_takeable(repository, path, was, now, staged.get(path))
        if now == was:
            continue  # its mode changed, which no patch holds
        if path in before and path not in overlay:
            assert was is not None, "it is in HEAD"
            if now is None:
                raise ConflictError(
                    f"{path} of upstream is removed in {tree}, which no patch can hold",
                    remedy=f"bring it back with `git checkout -- {path}`",
                )
            edits[path] = (was, now)
            continue
        overlaid.append(path)
        overlay.pop(path, None)
        if now is not None:
            overlay[path] = now
    texts_before = repository.contents(series.lock.before.values())
    ground = {path: texts_before[blob] for path, blob in series.lock.before.items()}
    found = line_diffs(list(edits.values()))
    return EditedTree(
        repository=repository,
        head=head,
        series=series,
        base={path: was for path, (was, _) in edits.items()} | ground,
        edits=Layer(_YOURS, dict(zip(edits, found, strict=True))),
        overlay=dict(sorted(overlay.items())),
        overlaid=tuple(overlaid),
        others=tuple(path for path in dirty if path not in edits and path not in overlaid),
    )


def _require_takeable(
    repository: git.Git,
    path: str,
    was: bytes | None,
    now: bytes | None,
    staged: objects.Entry | None,
) -> None:
    """Raises: ConflictError or InvalidError where taking the file would lose or add something."""
    if staged is not None and staged.mode != objects.PLAIN:
        raise ConflictError(
            f"{path} is unmerged, a link or executable in the index of {repository.tree}",
            remedy="make it a plain file (`git status` says what it is), then try again",
        )
    contents = {blob_id(data) if data is not None else None for data in (was, now)}
    if (staged.blob if staged else None) not in contents:
        raise ConflictError(
            f"{path} is staged with other lines than it has", remedy=f"run `git add {path}` first"
        )
    if now is not None and b"\r\n" in now and b"\r\n" not in (was or b""):
        raise ConflictError(
            f"{path} has CRLF line ends, and the patches are made for LF",
            remedy="store it with LF, then try again",
        )


def tree_steps(
    stand: EditedTree, series: Series, plan: Sequence[Stage], taken: tuple[str, ...]
) -> tuple[FileStep, ...]:
    """What brings the tree to the new `series`; files that it leaves alone are left out.

    `plan` is what the series makes of the base, `taken` the edited paths that are in it now.

    Raises: ConflictError where a file that changes has edits that are not in the series.
    """
    repository, old = stand.repository, stand.series.lock
    after: dict[str, str | None] = dict.fromkeys((*old.paths, *taken))
    after |= {path: blob_id(stand.base[path]) for path in after if path in stand.base}
    after |= series.lock.after[series.lock.groups[-1]]
    current = repository.entries(stand.head.commit, after)
    was = {path: current[path].blob if path in current else None for path in after}
    moves = [path for path in after if after[path] != was[path]]
    refuse_edits(repository, [path for path in moves if path not in taken], current)
    end = {**stand.base, **series.overlay}
    for stage in plan:
        end |= stage.files
    found = disk.blob_ids(repository.tree, moves)
    if any(found[path] != after[path] for path in moves if path in taken):
        raise AssertionError("the series must end at the very edits that were taken")
    return tuple(
        FileStep(path, found[path], after[path], end[path] if after[path] else None)
        for path in sorted(moves)
    )
