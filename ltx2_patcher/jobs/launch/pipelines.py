"""List what a patched checkout can run."""

from __future__ import annotations

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.jobs.launch.install import source_paths
from ltx2_patcher.rules.models.pipelines import Pipeline, parse_pipelines
from ltx2_patcher.values.base import Base


def list_pipelines(store: Store, base: Base) -> tuple[Pipeline, ...]:
    """Its runnable scripts, by name.

    Raises: ConflictError where there is no checkout; InvalidError where a script is no Python.
    """
    folder = source_paths(store, base)[1] / "ltx_pipelines"
    sources = {path.stem: path.read_bytes() for path in folder.glob("*.py")}
    return parse_pipelines(sources, disk.read(folder / "utils/args.py") or b"")
