"""Which upstream a tree holds, and a copy of it without our series."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.git import git_directory
from ltx2_patcher.boundaries.objects import STATE_FOLDER, Objects
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.locks import closest, locks
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.series import Judgement, Lock, Standing
from verify.clips.manifest import Upstream
from verify.upstream.tree import PACKAGES, ROOT, core_of


def has_series(tree: Path) -> bool:
    """Whether our overlay lies in the tree, so that its scripts take the Gemma flags."""
    return (core_of(tree) / "text_encoders" / "gemma" / "quantized").is_dir()


def identify(tree: Path) -> Upstream:
    """What lies in `tree`, told by content. Raises: InvalidError (no upstream)."""
    lock, judgement = _stands(tree)
    if judgement.standing is Standing.MISSING:
        raise InvalidError(
            f"{tree} holds no upstream", remedy="name a checkout, for example vendor/LTX-2-1.0.0"
        )
    blobs = json.dumps(disk.blob_ids(tree, lock.paths), sort_keys=True)
    return Upstream(
        base=lock.base,
        standing=judgement.standing.value,
        group=judgement.group,
        files=hashlib.sha256(blobs.encode()).hexdigest(),
    )


def copy_unpatched(tree: Path, out: Path) -> None:
    """A copy of the packages in a patched `tree` lies at `out`, as upstream has them.

    Files that the series changes are taken from the tree's own repository; the others are as they
    are in the tree, so that the two differ by the series alone.
    Raises: InvalidError (no patched tree, or edited where the patches are), OutsideError.
    """
    lock, judgement = _stands(tree)
    if judgement.standing is not Standing.PATCHED:
        raise InvalidError(
            f"{tree} is not as `ltx2-patcher apply` leaves it",
            remedy="patch a fresh checkout: `make patch`",
        )
    with disk.translated(out):
        for name in PACKAGES:
            source = Path("packages") / name / "src"
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(tree / source, out / source, ignore=ignored)
    contents = Objects(tree).contents(set(lock.before.values()))
    for path in lock.paths:
        if path in lock.before:
            disk.replace(out / path, contents[lock.before[path]])
        else:
            disk.remove(out / path, below=out)


def _stands(tree: Path) -> tuple[Lock, Judgement]:
    store = Store(ROOT)
    # Beside each base's lock, the tree's own where its revision is none; a folder that is no
    # repository has none.
    state = git_directory(tree) / STATE_FOLDER if (tree / ".git").exists() else tree / STATE_FOLDER
    return closest(locks(store, store.bases(), state), tree)
