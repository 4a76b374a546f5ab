"""Tell what a weight file or a Gemma root is, from headers alone."""

from __future__ import annotations

from pathlib import Path

from ltx2_patcher.boundaries.disk import translated
from ltx2_patcher.boundaries.weights import read_gemma, read_header
from ltx2_patcher.rules.gemma import identify_gemma
from ltx2_patcher.rules.variant import identify
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.weights import Checkpoint, GemmaRoot, Weights


def inspect(path: Path) -> Weights:
    """What lies at `path`: a folder is taken for a Gemma root, a file for a safetensors file.

    Raises: UsageError, InvalidError, OutsideError as boundaries.weights and the rules do.
    """
    path = path.expanduser()
    with translated(path):
        is_root = path.is_dir()
    return inspect_gemma(path) if is_root else identify(read_header(path), str(path))


def inspect_gemma(root: Path) -> GemmaRoot:
    """Raises: UsageError, InvalidError, OutsideError."""
    root = root.expanduser()
    return identify_gemma(read_gemma(root), str(root))


def inspect_checkpoint(path: Path) -> Checkpoint:
    """Raises: InvalidError where the file is something else; else as `inspect`."""
    path = path.expanduser()
    found = identify(read_header(path), str(path))
    if not isinstance(found, Checkpoint):
        raise InvalidError(
            f"{path} is no LTX-2 checkpoint ({type(found).__name__.lower()})",
            remedy="give the file with the whole model, for example ltx-2.3-22b-distilled",
        )
    return found
