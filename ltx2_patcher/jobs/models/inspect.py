"""Tell what a weight file or a Gemma root is, from headers alone."""

from __future__ import annotations

from pathlib import Path

from ltx2_patcher.boundaries.disk import translated
from ltx2_patcher.boundaries.weights import read_gemma, read_header
from ltx2_patcher.rules.models.gemma import identify_gemma, packed_files
from ltx2_patcher.rules.models.variant import identify
from ltx2_patcher.values.errors import InvalidError, UsageError
from ltx2_patcher.values.weights import (
    Checkpoint,
    Foreign,
    GemmaRoot,
    Lora,
    ModelPart,
    Upsampler,
    Weights,
)


def inspect(path: Path) -> Weights:
    """What lies at `path`: a folder is taken for a Gemma root, a file for a safetensors file.

    Raises: UsageError, InvalidError, OutsideError as boundaries.weights and the rules do.
    """
    if _is_folder(path):
        return identify_gemma(read_gemma(path), str(path))
    header = read_header(path)
    packed = packed_files(header, str(path))
    return identify_gemma(packed, str(path)) if packed else identify(header, str(path))


def inspect_gemma(root: Path) -> GemmaRoot:
    """Raises: InvalidError where a file holds something else; else as `inspect`."""
    if root.suffix != ".safetensors":  # upstream takes no other file for a packed one
        return identify_gemma(read_gemma(root), str(root))
    found = inspect(root)
    if not isinstance(found, GemmaRoot):
        raise InvalidError(
            f"{root} is no Gemma packed into one file ({described(found)})",
            remedy="give the folder of a downloaded Gemma, or the text encoder of LTX-2.5",
        )
    return found


def inspect_checkpoint(path: Path) -> Checkpoint:
    """Raises: InvalidError where the file is something else; else as `inspect`."""
    if _is_folder(path):
        raise UsageError(f"{path} is a folder", remedy="give the checkpoint's safetensors file")
    found = inspect(path)
    if not isinstance(found, Checkpoint):
        raise InvalidError(
            f"{path} is no LTX-2 checkpoint ({described(found)})",
            remedy="give the file with the whole model, for example ltx-2.3-22b-distilled, or of "
            "LTX-2.5 the one with the transformer",
        )
    return found


def described(found: Weights) -> str:
    """What was found, in a word or two."""
    match found:
        case Checkpoint():
            return "a checkpoint" if found.whole else "a transformer alone"
        case GemmaRoot():
            return f"a {found.name}"
        case ModelPart():
            return f"an {found.name}" if found.name.startswith("audio") else f"a {found.name}"
        case Lora():
            return f"a {found.method}"
        case Upsampler():
            return "an upsampler"
        case Foreign():
            return "something that no pipeline takes"


def _is_folder(path: Path) -> bool:
    with translated(path, reading=True):
        return path.is_dir()
