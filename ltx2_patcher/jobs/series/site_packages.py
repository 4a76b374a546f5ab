"""Apply the series to ltx_core and ltx_pipelines as installed in an environment, or take it out.

No original is kept: the patches are exact, so taking them out gives upstream's bytes back, and the
lock says which those are.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from ltx2_patcher.boundaries import disk, journal
from ltx2_patcher.boundaries.interpreter import DISTRIBUTIONS, Installed, installed
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import Action, Applied, final_contents, reports
from ltx2_patcher.jobs.series.status import Status, names_upto
from ltx2_patcher.rules.series.blobs import blob_id
from ltx2_patcher.rules.series.plan import group_named, stages, unpatched
from ltx2_patcher.rules.series.record_file import update
from ltx2_patcher.rules.series.tree_state import judge
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, UsageError
from ltx2_patcher.values.series import FileStep, Judgement, Lock, Series, Standing

STATE_FOLDER = ".ltx2-patcher"
LOCK_FILE = ".ltx2-patcher.lock"
"""Both stand in site-packages while a run is at work, or was cut off."""


def installed_status(store: Store, python: Path, base: Base | None) -> Status:
    """Compare the installed packages with each base's lock, or with that of `base`."""
    place = installed(python)
    lock, judgement = _nearest(store, place, base)
    return Status(
        base=lock.base,
        place=str(place.root),
        source="installed",
        judgement=judgement,
        patches=names_upto(lock, judgement.group),
        cut_off=journal.pending(place.root / STATE_FOLDER),
    )


def apply_installed(
    store: Store, base: Base | None, python: Path, *, upto: str | None = None, dry_run: bool = False
) -> Applied:
    """Patch the installed packages up to a group; files are replaced by rename, RECORD follows.

    Without `base` the packages' own content tells it.

    Raises: ConflictError where a file is not the base's; UsageError, OutsideError, BusyError,
    InvalidError as in apply_tree. Nothing is changed then.
    """
    place = installed(python)
    base = base or _held(store, place)
    series = store.series(base.name)
    return _bring(base, series, place, group_named(series.lock, upto), dry_run=dry_run)


def unapply_installed(
    store: Store, base: Base | None, python: Path, *, dry_run: bool = False
) -> Applied:
    """Give the installed packages upstream's bytes back, RECORD included.

    Raises: as apply_installed.
    """
    place = installed(python)
    base = base or _held(store, place)
    return _bring(base, store.series(base.name), place, None, dry_run=dry_run)


def installed_base(store: Store, python: Path) -> Base | None:
    """The base that is installed there, by its content; None where none is, or a checkout's."""
    try:
        return _held(store, installed(python))
    except (UsageError, ConflictError):
        return None


def _held(store: Store, place: Installed) -> Base:
    return store.base(_nearest(store, place, None)[0].base)


def _nearest(store: Store, place: Installed, base: Base | None) -> tuple[Lock, Judgement]:
    """The lock that the fewest of its files differ from, of all bases' or of that of `base`."""
    locks = [store.lock(b.name) for b in ([base] if base else store.bases())]
    judged = [(lock, _judge(place, lock)) for lock in locks]
    return min(judged, key=lambda pair: len(pair[1].differing))


def _bring(
    base: Base, series: Series, place: Installed, group: str | None, *, dry_run: bool
) -> Applied:
    lock, state = series.lock, place.root / STATE_FOLDER
    if journal.pending(state) and dry_run:
        left = journal.read(state).paths
        return Applied(lock.base, "finished", str(place.root), None, finished=left)
    disk.require_replaceable(place.root, (*map(_below, lock.paths), *place.records.values()))
    with disk.locked(place.root / LOCK_FILE):
        finished = _finish(place) if journal.pending(state) else ()
        judgement = _judge(place, lock)
        if judgement.standing in (Standing.EDITED, Standing.MISSING):
            raise ConflictError(
                f"{place.root} does not hold LTX-2 {lock.base} as published: "
                f"{', '.join(judgement.differing[:3])}",
                remedy=f"reinstall it: pip install --force-reinstall --no-deps {_packages(base)}",
            )
        if judgement.group == group:
            action: Action = "finished" if finished else "nothing to do"
            return Applied(lock.base, action, str(place.root), group, finished=finished)
        now = _contents(place, lock, judgement.group)
        plain = unpatched(series, judgement.group, now) if judgement.group else now
        made = stages(series, group, plain) if group else ()
        if not dry_run:
            with disk.translated(state):
                state.mkdir(exist_ok=True)
            journal.write(state, _steps(place, lock, now, plain | final_contents(made)), {})
            _finish(place)
    return Applied(
        base=series.base,
        action="applied" if group else "removed",
        place=str(place.root),
        group=group,
        overlay=tuple(series.overlay) if made else (),
        patches=reports(made),
        finished=finished,
    )


def _packages(base: Base) -> str:
    """What pip installs the base by: its wheels, or its commit."""
    if base.wheels:
        return " ".join(f"{wheel.distribution}=={wheel.version}" for wheel in base.wheels)
    source = f"git+{base.url}@{base.commit}#subdirectory=packages"
    return " ".join(f"'{name} @ {source}/{name}'" for name in DISTRIBUTIONS)


def _finish(place: Installed) -> tuple[str, ...]:
    state = place.root / STATE_FOLDER
    record = journal.read(state)
    journal.carry_out(record, place.root)
    journal.forget(state)
    with disk.translated(state):
        shutil.rmtree(state)
    return record.paths


def _steps(
    place: Installed, lock: Lock, now: Mapping[str, bytes], wanted: Mapping[str, bytes]
) -> list[FileStep]:
    files = {
        _below(path): (now.get(path), wanted.get(path))
        for path in lock.paths
        if now.get(path) != wanted.get(path)
    }
    for distribution, record in place.records.items():
        package = distribution.replace("-", "_")
        news = {p: new for p, (_, new) in files.items() if p.startswith(f"{package}/")}
        old = disk.read(place.root / record) or b""
        files[record] = (old, update(old, news))
    return [
        FileStep(
            path,
            None if old is None else blob_id(old),
            None if new is None else blob_id(new),
            new,
        )
        for path, (old, new) in files.items()
        if old != new
    ]


def _contents(place: Installed, lock: Lock, group: str | None) -> dict[str, bytes]:
    held = lock.after[group] if group else lock.before
    found = {path: disk.read(place.root / _below(path)) for path in held}
    return {path: data for path, data in found.items() if data is not None}


def _judge(place: Installed, lock: Lock) -> Judgement:
    found = disk.blob_ids(place.root, map(_below, lock.paths))
    return judge(lock, {path: found[_below(path)] for path in lock.paths})


def _below(path: str) -> str:
    """packages/ltx-core/src/ltx_core/x.py -> ltx_core/x.py"""
    return path.split("/src/", 1)[1]
