"""The scripts that a tree of upstream can run."""

from __future__ import annotations

from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.rules.models.pipelines import Pipeline, parse_pipelines
from ltx2_patcher.values.errors import ConflictError

_PACKAGES = ("ltx-core", "ltx-pipelines")
_METHODS = "ltx_core/text_encoders/gemma/quantized/methods"  # each states its flag
_ADDED = {b"add_parked_flags(": "parked/flags.py", b"add_int8_flags(": "int8/flags.py"}
"""What a patch of ours adds to upstream's parsers, and where its options stand."""


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
    added = [disk.read(folder / path) or b"" for call, path in _ADDED.items() if call in shared]
    return parse_pipelines(sources, b"\n".join([shared, *methods, *added]))
