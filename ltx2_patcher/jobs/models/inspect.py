"""Tell what a weight file or a Gemma root is, from headers alone."""

from __future__ import annotations

from pathlib import Path

from ltx2_patcher.boundaries.disk import translated
from ltx2_patcher.boundaries.weights import (
    is_gguf,
    read_diffusers,
    read_gemma,
    read_gguf,
    read_header,
)
from ltx2_patcher.rules.models.converting import refusal_of_source
from ltx2_patcher.rules.models.gemma import GemmaFiles, identify_gemma, packed_files, source_in
from ltx2_patcher.rules.models.source import source_of_diffusers, source_of_gguf
from ltx2_patcher.rules.models.variant import identify
from ltx2_patcher.values.errors import InvalidError, UsageError
from ltx2_patcher.values.weights import (
    Checkpoint,
    Foreign,
    GemmaRoot,
    Lora,
    ModelPart,
    Source,
    Upsampler,
    Weights,
)


def inspect(path: Path) -> Weights:
    """What lies at `path`: a Gemma root, a folder of diffusers, a safetensors or a GGUF file.

    Raises: UsageError, InvalidError, OutsideError as boundaries.weights and the rules do.
    """
    if _is_folder(path):
        if (transformer := read_diffusers(path)) is not None:
            found = source_of_diffusers(transformer)
            return found or Foreign((), transformer.bytes)
        return _gemma(read_gemma(path), str(path))
    if is_gguf(path):
        return source_of_gguf(read_gguf(path))
    header = read_header(path)
    packed = packed_files(header, str(path))
    return _gemma(packed, str(path)) if packed else identify(header, str(path))


def _gemma(files: GemmaFiles, origin: str) -> GemmaRoot | Source:
    return source_in(files, origin) or identify_gemma(files, origin)


def inspect_gemma(root: Path) -> GemmaRoot:
    """Raises: InvalidError where a file holds something else; else as `inspect`."""
    is_file = root.suffix in {".safetensors", ".gguf"} and not _is_folder(root)
    # Upstream takes no file of another suffix for a packed one, and of a folder the Gemma below it.
    found = inspect(root) if is_file else _gemma(read_gemma(root), str(root))
    if isinstance(found, Source) and found.kind == "gemma":
        raise refusal_of_source(found, str(root))
    if not isinstance(found, GemmaRoot):
        raise InvalidError(
            f"{root} is no Gemma packed into one file ({described(found)})",
            remedy="give the folder of a downloaded Gemma, or the text encoder of LTX-2.5",
        )
    return found


def inspect_checkpoint(path: Path) -> Checkpoint:
    """Raises: InvalidError where the file is something else; else as `inspect`."""
    if _is_folder(path):
        if (folder := read_diffusers(path)) and (source := source_of_diffusers(folder)):
            raise refusal_of_source(source, str(path))
        raise UsageError(f"{path} is a folder", remedy="give the checkpoint's safetensors file")
    found = inspect(path)
    if isinstance(found, Source) and found.kind == "transformer":
        raise refusal_of_source(found, str(path))
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
        case Source():
            return f"a {found.model} ({found.layout})"
        case Foreign():
            return "something that no pipeline takes"


def _is_folder(path: Path) -> bool:
    with translated(path, reading=True):
        return path.is_dir()
