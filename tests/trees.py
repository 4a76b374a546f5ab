"""Upstream as it is and patched, in private copies, for what runs in a base's environment."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.series.apply import apply_tree, unapply_tree
from ltx2_patcher.jobs.series.obtain import checkout_path

ROOT = Path(__file__).parents[1]
PACKAGES = ("ltx-core", "ltx-pipelines", "ltx-trainer")


def environment(folder: Path, name: str) -> dict[str, str]:
    """Make both trees of a base below `folder`; the variables that name them and the base, with
    the patched tree on the path.
    """
    store = Store(ROOT)
    base = store.base(name)
    upstream, patched = folder / "upstream", folder / "patched"
    for tree in (upstream, patched):
        shutil.copytree(checkout_path(store, base), tree, symlinks=True)
        unapply_tree(store, base, tree)
    apply_tree(store, base, patched)
    sources = [str(patched / f"packages/{name}/src") for name in PACKAGES]
    return os.environ | {
        "LTX2_BASE": name,
        "LTX2_UPSTREAM_TREE": str(upstream),
        "LTX2_PATCHED_TREE": str(patched),
        "PYTHONPATH": os.pathsep.join(sources),
        "XDG_CACHE_HOME": str(folder / "cache"),  # where weights that memory can't hold are kept
        # One thread each: two runs share two cores, and more threads only fight over them.
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }
