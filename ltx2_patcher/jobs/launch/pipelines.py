"""The scripts that a tree of upstream can run."""

from __future__ import annotations

from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.rules.models.pipelines import Pipeline, parse_pipelines
from ltx2_patcher.values.errors import ConflictError

_PACKAGES = ("ltx-core", "ltx-pipelines")
_METHODS = "ltx_core/text_encoders/gemma/quantized/methods"  # each states its flag
_ADDS_PARKED = b"add_parked_flags("  # in upstream's parsers, by a patch of ours


def source_paths(tree: Path) -> tuple[Path, ...]:
    """The source folders of a tree's packages. Raises: ConflictError where it has none."""
    folders = tuple(tree / f"packages/{name}/src" for name in _PACKAGES)
    if not all(folder.is_dir() for folder in folders):
        raise ConflictError(f"{tree} is no patched checkout", remedy="run `make patch`")
    return folders


def pipelines_in(tree: Path) -> tuple[Pipeline, ...]:
    """A tree's runnable scripts, by name.

    Raises: ConflictError where there is no checkout; InvalidError where a script is no Python.
    """
    core, pipelines = source_paths(tree)
    folder = pipelines / "ltx_pipelines"
    sources = {path.stem: path.read_bytes() for path in folder.glob("*.py")}
    methods = [path.read_bytes() for path in sorted((core / _METHODS).glob("*.py"))]
    shared = disk.read(folder / "utils/args.py") or b""
    parked = disk.read(folder / "parked/flags.py") if _ADDS_PARKED in shared else None
    return parse_pipelines(sources, b"\n".join([shared, *methods, parked or b""]))
