"""Carry a series to another upstream revision, patch by patch, as far as it goes by itself.

A rebase lives in one file beside upstream's history, replaced whole after each step: whatever ends
the process, the next command goes on from there. Refs below refs/ltx2-patcher/rebase/ hold the
commits so far, a worktree in vendor/ what a person settles, and nothing in patches/ or
vendor/upstream.toml changes before the new base is whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.linediff import line_diffs
from ltx2_patcher.boundaries.objects import PLAIN, Objects, Revision
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.boundaries.worktree import Sides, Worktree
from ltx2_patcher.jobs import upstream, workbench
from ltx2_patcher.jobs.apply import commit_of
from ltx2_patcher.jobs.breakage import Landing, Trouble, landing, troubles
from ltx2_patcher.jobs.newbase import Draft, NewBase, compose, write
from ltx2_patcher.jobs.route import Stop, route
from ltx2_patcher.jobs.workbench import Workbench
from ltx2_patcher.rules.blobs import blob_id
from ltx2_patcher.rules.conflict import has_markers, marked
from ltx2_patcher.rules.difftext import changed_text
from ltx2_patcher.rules.lines import split_lines
from ltx2_patcher.rules.paths import is_source
from ltx2_patcher.rules.pins import require_base_name
from ltx2_patcher.rules.plan import stages
from ltx2_patcher.rules.replay import Fit, How, replay
from ltx2_patcher.rules.symbols import missing
from ltx2_patcher.rules.symbolsfile import with_moved_paths
from ltx2_patcher.values.errors import ConflictError, InvalidError, UsageError
from ltx2_patcher.values.model import Base, Patch, Series
from ltx2_patcher.values.rebasing import Halt, Outcome, Reason, Rebase, Settled

SYMBOLS = "symbols.toml"
"""Where in the worktree the new base's symbols are settled."""


@dataclass(frozen=True, slots=True)
class Reuse:
    """A file that a remembered resolution settled; it must still be looked at and added."""

    path: str
    change: tuple[str, ...]  # against upstream's file, as a diff


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where a person is needed."""

    reason: Reason
    patch: str | None  # None at the symbols
    why: str  # the patch's own words
    worktree: Path
    unmerged: tuple[str, ...]  # still to be settled and added
    troubles: tuple[Trouble, ...]
    unparsed: tuple[str, ...]  # files that went in without a clash and are no Python then
    reused: tuple[Reuse, ...]
    landing: Landing | None
    lacking: tuple[str, ...]  # what symbols.toml names and is not there


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a rebase stands, or how it ended."""

    name: str
    source: str
    onto: Revision
    settled: tuple[Settled, ...]
    left: tuple[str, ...]  # patches not yet settled, in order
    stopped: Stopped | None  # None where it ended, or was cut off
    written: NewBase | None  # the new base, where it ended
    kept: tuple[str, ...] = ()  # refs of vendor/upstream.git that hold what lay in the worktree


@dataclass(frozen=True, slots=True)
class Aborted:
    """A rebase that is gone; refs of vendor/upstream.git hold what a person had settled."""

    name: str
    kept: tuple[str, ...]


def begin(
    store: Store, onto: str, *, source: str | None = None, name: str | None = None
) -> Progress:
    """Start to carry a series to the upstream revision `onto`, and go as far as it goes.

    `source` is the base to carry, by default the last one before `onto`, else the first after it;
    `name` that of the new base, by default the revision's date.

    Raises: UsageError for a revision, base or name that is none or taken; ConflictError where a
    rebase to that name is under way; OutsideError, BusyError, InvalidError (the series).
    """
    history = upstream.history(store)
    if not history.resolve(onto):
        history = upstream.history(store, refresh=True)
    revision = _revision(history, onto)
    base = store.base(source) if source else _nearest(store, history, revision.commit)
    name = name or revision.date
    require_base_name(name)
    with disk.locked(workbench.lock_of(history)):
        workbench.sweep(store, history)
        bench = Workbench(store, history, name)
        _refuse_taken(bench, revision)
        lock = store.lock(base.name)
        digests = {patch: locked.sha256 for patch, locked in lock.patches.items()}
        onto = revision.commit
        course = _course(bench, Rebase(name, base.name, digests, onto, revision.date, onto))
        series = course.series
        if taken := sorted(history.entries(onto, series.overlay)):
            raise ConflictError(
                f"upstream has a file of its own where the overlay lays {taken[0]}",
                remedy="give the overlay's file another name in the patched tree, and export",
            )
        commits = [commit_of(patch, files) for patch, files in course.made]
        bench.hold("source", history.build(base.commit, commits)[-1])
        bench.save(course.rebase)
        return _go_on(course)


def proceed(store: Store, name: str | None = None) -> Progress:
    """Take what was settled in the worktree as the patch it waits at, and go on.

    A rebase that was cut off goes on from where it was.

    Raises: ConflictError where something is not settled: unmerged or not added files, conflict
    markers, a file outside packages/*/src, one that is new or gone, nothing at all; UsageError
    where none is under way; BusyError, OutsideError, InvalidError.
    """
    with _under_way(store, name) as bench:
        course = _course(bench, bench.load())
        halt = course.rebase.halt
        if halt and course.waits and halt.reason is not Reason.SYMBOLS:
            tree = bench.worktree()
            assert tree
            files = _settled_files(course, tree)
            tree.remember()
            (tip,) = bench.history.build(course.rebase.tip, [commit_of(course.patch, files)])
            course = course.settled_as([Outcome.BY_HAND], tip)
        return _go_on(course)


def skip(store: Store, name: str | None = None) -> Progress:
    """Leave the patch it waits at out of the new base, and go on. Raises: as `proceed`."""
    with _under_way(store, name) as bench:
        course = _course(bench, bench.load())
        halt = course.rebase.halt
        if halt is None or halt.reason is Reason.SYMBOLS:
            raise UsageError(
                f"the rebase to {bench.name} waits at no patch", remedy="go on with --continue"
            )
        kept = bench.rescue(course.rebase)
        bench.cleared(course.rebase)
        outcome = Outcome.RETIRED if halt.reason is Reason.LANDED else Outcome.LEFT_OUT
        done = _go_on(course.settled_as([outcome], course.rebase.tip))
        return replace(done, kept=(*kept, *done.kept))


def abort(store: Store, name: str | None = None) -> Aborted:
    """Everything is as it was before `begin`; what a person had settled is kept in a ref.

    Raises: ConflictError where the new base is written already; UsageError where none is under
    way; BusyError, OutsideError.
    """
    with _under_way(store, name) as bench:
        rebase = bench.load()
        if rebase.publishing and bench.name in {base.name for base in store.bases()}:
            raise ConflictError(
                f"the base {bench.name} is written already",
                remedy="end the rebase with --continue; the base itself goes with "
                f"`git checkout -- vendor/upstream.toml` and by removing patches/{bench.name}",
            )
        kept = bench.rescue(rebase)
        if not kept and any(item.outcome is Outcome.BY_HAND for item in rebase.settled):
            kept = (bench.keep(rebase.tip),)
        if rebase.publishing:
            workbench.discard(store.patches / bench.name, store, bench.name)
        bench.end()
        return Aborted(bench.name, kept)


def standing(store: Store, name: str | None = None) -> Progress:
    """Where a rebase stands. Raises: UsageError where none is under way; BusyError."""
    with _under_way(store, name) as bench:
        return _progress(_course(bench, bench.load()))


@dataclass(frozen=True, slots=True)
class _Course:
    """A rebase with all that it works on."""

    bench: Workbench
    rebase: Rebase
    source: Base
    series: Series
    before: tuple[Mapping[str, bytes], ...]  # the touched files before each patch, at the source
    made: tuple[tuple[Patch, Mapping[str, bytes]], ...]  # each patch and what it makes there
    stops: tuple[Stop, ...]

    @property
    def at(self) -> int:
        """How many patches are settled."""
        return len(self.rebase.settled)

    @property
    def patch(self) -> Patch:
        """The next one."""
        return self.series.patches[self.at]

    @property
    def waits(self) -> bool:
        """Whether it waits for a person, who was given a worktree that is still there."""
        halt = self.rebase.halt
        return bool(halt and halt.laid and self.bench.worktree())

    def settled_as(self, outcomes: Sequence[Outcome], tip: str) -> _Course:
        """The same, recorded, with the next patches settled and the commits up to `tip`."""
        patches = self.series.patches[self.at :]
        done = tuple(Settled(p.name, o) for p, o in zip(patches, outcomes, strict=False))
        settled = (*self.rebase.settled, *done)
        rebase = replace(self.rebase, tip=tip, settled=settled, halt=None)
        return replace(self, rebase=self.bench.save(rebase))

    def halted(self, halt: Halt) -> _Course:
        """The same, recorded, waiting for a person."""
        return replace(self, rebase=self.bench.save(replace(self.rebase, halt=halt)))


def _course(bench: Workbench, rebase: Rebase) -> _Course:
    """Raises: ConflictError where the series it carries is not what it was at the start."""
    store, history = bench.store, bench.history
    source = store.base(rebase.source)
    series = store.series(source.name)
    digests = {name: locked.sha256 for name, locked in series.lock.patches.items()}
    if list(digests.items()) != list(rebase.patches.items()):
        raise ConflictError(
            f"the series of {source.name} is not what it was when the rebase began",
            remedy="put patches/ back as it was and go on; or --abort and begin again: "
            "resolutions are remembered",
        )
    if not history.resolve(source.commit):
        raise ConflictError(
            f"upstream's history does not hold {source.commit[:12]}, the commit of {source.name}",
            remedy="correct the pin in vendor/upstream.toml",
        )
    now = history.blobs(source.commit, series.lock.before)
    before, made = [], []
    for stage in stages(series, series.lock.groups[-1], now)[1:]:
        assert stage.patch
        before.append(now)
        now = {**now, **stage.files}
        made.append((stage.patch, stage.files))
    stops = route(history, source.commit, rebase.onto, list(series.lock.before))
    return _Course(bench, rebase, source, series, tuple(before), tuple(made), stops)


def _go_on(course: _Course) -> Progress:
    """Commit what goes in by itself; stop at what does not, or write the new base."""
    while course.at < len(course.series.patches):
        fits = _fits(course)
        clean = list(takewhile(lambda fit: not _unparsed(fit) and fit.how in _GOES_IN, fits))
        if not clean:
            return _stop(course, fits[0])
        paths = course.stops[-1].paths
        commits = [
            commit_of(fit.patch, {paths[path]: data for path, data in fit.files.items()})
            for fit in clean
        ]
        tip = course.bench.history.build(course.rebase.tip, commits)[-1]
        course = course.settled_as([_GOES_IN[fit.how] for fit in clean], tip)
    return _finish(course)


_GOES_IN = {How.STRICT: Outcome.STRICT, How.THREE_WAY: Outcome.THREE_WAY}


def _fits(course: _Course, count: int | None = None) -> tuple[Fit, ...]:
    """How the next patches go on the commits so far."""
    history, paths = course.bench.history, course.stops[-1].paths
    patches = course.series.patches[course.at :][:count]
    base = course.before[course.at]
    blobs = history.blob_ids([course.rebase.tip], list(paths.values()))[course.rebase.tip]
    texts = history.contents(blobs.values())
    tree = {path: texts[blobs[name]] for path, name in paths.items() if name in blobs}
    drift = line_diffs([(base[path], text) for path, text in tree.items()])
    return replay(patches, base, tree, dict(zip(tree, drift, strict=True)))


def _unparsed(fit: Fit) -> tuple[str, ...]:
    """The files that a patch merges into without a clash, and that are no Python then."""
    return tuple(path for path, data in fit.files.items() if not _parses(path, data))


def _parses(path: str, data: bytes) -> bool:
    try:
        missing(path, data, ())
    except InvalidError:
        return not path.endswith(".py")
    return True


def _stop(course: _Course, fit: Fit) -> Progress:
    """Hand the patch over in the worktree."""
    landed = fit.how is How.LANDED
    kept = course.bench.rescue(course.rebase)
    course = course.halted(Halt(Reason.LANDED if landed else Reason.CONFLICT, None))
    tree = course.bench.cleared(course.rebase)
    reused = () if landed else _lay(course, tree, fit)
    halt = course.rebase.halt
    assert halt
    course = course.halted(replace(halt, laid=tree.snapshot(), reused=reused))
    return replace(_progress(course), kept=kept)


def _lay(course: _Course, tree: Worktree, fit: Fit) -> tuple[str, ...]:
    """Stage what goes in and leave the rest unmerged; the paths that rerere settled."""
    files, clashes, texts = {}, {}, {}
    before, after = course.before[course.at], course.made[course.at][1]
    last = course.stops[-1]
    entries = tree.entries(course.rebase.tip, last.paths.values())
    clashing = {breach.path for breach in fit.breaches}
    for diff in fit.patch.diffs:
        path = last.paths.get(diff.path)
        if path is None:  # gone there: what was before and what the patch makes, no file
            clashes[_last_name(course, diff.path)] = Sides(diff.before, None, diff.after)
            continue
        theirs = tree.contents([entries[path].blob])[entries[path].blob]
        (drift,) = line_diffs([(before[diff.path], theirs)])
        lines = split_lines(before[diff.path])
        text = marked(
            lines, diff.edits, drift, head=f"upstream {last.commit[:10]}", patch=fit.patch.name
        )
        if diff.path in clashing:
            assert blob_id(after[diff.path]) == diff.after
            clashes[path] = Sides(diff.before, entries[path].blob, diff.after)
            texts[path] = text
        elif text != theirs:
            files[path] = text
    tree.add(files)
    tree.leave_unmerged(clashes)
    for path, text in texts.items():
        disk.replace(tree.tree / path, text)
    tree.remember()
    return tuple(path for path, text in texts.items() if disk.read(tree.tree / path) != text)


def _last_name(course: _Course, path: str) -> str:
    """Where a file lay last on the way."""
    return next(stop.paths[path] for stop in reversed(course.stops) if path in stop.paths)


def _settled_files(course: _Course, tree: Worktree) -> dict[str, bytes]:
    """What the index of the worktree changes, once all is settled."""
    tree.refuse_if_busy()
    place, again = tree.tree, "then run `ltx2-patcher rebase --continue`"
    if tree.head().commit != course.rebase.tip:
        raise ConflictError(
            f"HEAD of {place} was moved: what is staged there becomes the patch, with its words",
            remedy=f"take your commit back with `git -C {place} reset --soft "
            f"{course.rebase.tip[:12]}`, which keeps its changes, {again}",
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
    changed = tree.added(course.rebase.tip)
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
            f"nothing is left of {course.patch.name}: upstream has it, or it is not needed there",
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
        if not _parses(path, data):
            raise ConflictError(
                f"{path} is no Python any more as it was settled",
                remedy=f"correct it in {place}, `git add` it, {again}",
            )
    return files


def _finish(course: _Course) -> Progress:
    """Write the new base, and leave nothing else behind."""
    bench, rebase = course.bench, course.rebase
    base = Base(
        name=bench.name,
        url=course.source.url,
        commit=rebase.onto,
        date=rebase.date,
        wheels=(),
        environment=course.source.environment,
    )
    paths = course.stops[-1].paths
    moved = {old: new for old, new in paths.items() if old != new}
    settled = disk.read(bench.place / SYMBOLS)
    carried = with_moved_paths(bench.store.symbols_text(course.source.name), moved)
    draft = compose(bench.store, bench.history, course.source, base, rebase.tip, settled or carried)
    if draft.lacking:
        return _stop_at_symbols(course, draft)
    if not rebase.publishing:
        rebase = bench.save(replace(rebase, publishing=True))
    written = write(bench.store, draft, course.source)
    if settled is not None:
        disk.remove(bench.place / SYMBOLS, below=bench.place)
    kept = bench.rescue(rebase)
    bench.end()
    return replace(_progress(replace(course, rebase=rebase)), written=written, kept=kept)


def _stop_at_symbols(course: _Course, draft: Draft) -> Progress:
    kept: tuple[str, ...] = ()
    if not course.waits:
        kept = course.bench.rescue(course.rebase)
        course = course.halted(Halt(Reason.SYMBOLS, None))
        tree = course.bench.cleared(course.rebase)
        disk.replace(tree.tree / SYMBOLS, draft.symbols)
        course = course.halted(Halt(Reason.SYMBOLS, tree.snapshot()))
    return replace(_progress(course, draft.lacking), kept=kept)


def _progress(course: _Course, lacking: tuple[str, ...] = ()) -> Progress:
    rebase, history = course.rebase, course.bench.history
    return Progress(
        name=rebase.name,
        source=rebase.source,
        onto=_revision(history, rebase.onto),
        settled=rebase.settled,
        left=tuple(rebase.patches)[course.at :],
        stopped=_stopped(course, lacking) if course.waits else None,
        written=None,
    )


def _stopped(course: _Course, lacking: tuple[str, ...]) -> Stopped:
    bench, rebase, halt = course.bench, course.rebase, course.rebase.halt
    tree = bench.worktree()
    assert halt
    assert tree
    ended = Stopped(halt.reason, None, "", bench.place, (), (), (), (), None, lacking)
    if halt.reason is Reason.SYMBOLS:
        return ended
    (fit,) = _fits(course, 1)
    where = (bench.history, course.series)
    stopped = replace(
        ended, patch=fit.patch.name, why=_reason(fit.patch), unmerged=tuple(tree.unmerged())
    )
    if halt.reason is Reason.LANDED:
        found = landing(*where, fit.patch, course.stops, rebase.tip)
        return replace(stopped, landing=found)
    return replace(
        stopped,
        troubles=troubles(*where, fit, course.stops, rebase.tip),
        unparsed=tuple(course.stops[-1].paths[path] for path in _unparsed(fit)),
        reused=tuple(_reuse(tree, rebase.tip, path) for path in halt.reused),
    )


def _reuse(tree: Worktree, tip: str, path: str) -> Reuse:
    theirs, now = tree.blobs(tip, [path])[path], disk.read(tree.tree / path) or b""
    return Reuse(path, changed_text(split_lines(theirs), split_lines(now)))


def _reason(patch: Patch) -> str:
    """The first paragraph of a patch's message."""
    return " ".join(patch.body.strip().partition("\n\n")[0].split())


@contextmanager
def _under_way(store: Store, name: str | None) -> Iterator[Workbench]:
    """The rebase called `name`, or the only one, held by this process alone."""
    history = upstream.history(store)
    with disk.locked(workbench.lock_of(history)):
        names = workbench.under_way(history)
        if not names:
            raise UsageError(
                "no rebase is under way", remedy="begin one with `ltx2-patcher rebase --onto REF`"
            )
        if len(names) > 1 if name is None else name not in names:
            raise UsageError(
                f"{len(names)} rebases are under way" if name is None else f"no rebase to {name}",
                remedy=f"name one: {' or '.join(f'--name {known}' for known in names)}",
            )
        yield Workbench(store, history, name or names[0])


def _revision(history: Objects, ref: str) -> Revision:
    """Raises: UsageError where it is none, or more than one."""
    commit = None if ref.startswith("-") else history.resolve(ref)
    if commit is None:
        raise UsageError(
            f"{ref!r} is no revision of upstream",
            remedy="name a commit of its main branch, or main itself",
        )
    return history.revisions([f"{commit}^!"])[0]


def _nearest(store: Store, history: Objects, commit: str) -> Base:
    """The base with the fewest revisions between it and `commit`, one before it if there is one."""

    def way(base: Base) -> tuple[bool, int]:
        if history.is_ancestor(base.commit, commit):
            return False, len(history.commits_between(base.commit, commit))
        return True, len(history.commits_between(commit, base.commit))

    return min((b for b in store.bases() if history.resolve(b.commit)), key=way)


def _refuse_taken(bench: Workbench, revision: Revision) -> None:
    store, name = bench.store, bench.name
    if bench.record.exists():
        raise ConflictError(
            f"a rebase to {name} is under way",
            remedy="`ltx2-patcher rebase` says where it stands; go on with --continue or --skip, "
            "or end it with --abort",
        )
    for base in store.bases():
        if base.commit == revision.commit:
            raise UsageError(
                f"{revision.commit[:12]} is the base {base.name} already",
                remedy="name another revision with --onto",
            )
        if base.name == name:
            raise UsageError(
                f"there is a base {name} already", remedy="choose another name with --name"
            )
    for place in (store.patches / name, bench.place):
        if place.exists():
            raise ConflictError(
                f"{place} is there already",
                remedy="move it away, or choose another name with --name",
            )
