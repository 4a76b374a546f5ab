"""What is not kept: old clips, pictures of jobs that are gone, what dead attempts left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

from ltx2_patcher.boundaries.disk import translated
from ltx2_service.boundaries.clips import Clips
from ltx2_service.boundaries.store import Store
from ltx2_service.values.job import Job

UPLOADS = "uploads"  # below the folder that workers share
_DAY_S = 86_400.0
_UNCLAIMED_S = 3600.0  # that an upload may lie before its job is accepted


def retain(store: Store, clips: Clips, uploads: Path, *, days: float, now_s: float) -> None:
    """Clips and pictures of jobs that ended longer ago are gone; so are uploads that no job takes.

    Raises: OutsideError.
    """
    for job in store.ended_before(now_s - days * _DAY_S):
        if job.clip is not None:
            clips.remove(job.id, job.clip)
        drop_uploads(store.retire(job.id), uploads)
    if uploads.is_dir():
        with translated(uploads, reading=True):
            for path in uploads.iterdir():
                if _is_old(path) and not store.takes_picture(path):
                    drop_uploads([path], uploads)


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _UNCLAIMED_S  # both by the machine's clock
    except FileNotFoundError:
        return False  # another has removed it meanwhile


def delete(job: Job, store: Store, clips: Clips, uploads: Path) -> bool:
    """An ended job is gone, its files first: whatever stops this, none is left without a row.

    Whether it was there. Raises: OutsideError.
    """
    if job.clip is not None:
        clips.remove(job.id, job.clip)
    free = store.delete(job.id)
    drop_uploads(free or (), uploads)
    return free is not None


def sweep(store: Store, clips: Clips) -> None:
    """What attempts left that will never count is gone. Raises: OutsideError.

    Files of jobs that the database does not know stay: it may have come from a backup.
    """
    for job_id, token in clips.attempts():
        claim = store.claimed(job_id)
        if claim is None:
            continue
        if claim.job.clip == clips.place(job_id, token):
            clips.drop_part(job_id, token)
        elif claim.job.state.is_end or claim.token != token:
            clips.drop_attempt(job_id, token)


def drop_uploads(paths: Iterable[Path], uploads: Path) -> None:
    """These files are gone; of those that lie elsewhere, which are not the service's, none is."""
    for path in paths:
        if path.parent == uploads:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
