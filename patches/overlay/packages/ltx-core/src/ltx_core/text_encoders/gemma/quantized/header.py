"""Headers of a Gemma's safetensors files: one that cannot be read is an error of its root."""

from pathlib import Path

from ltx_core.text_encoders.gemma.quantized.errors import GemmaRootError
from ltx_core.weight_files import header
from ltx_core.weight_files.errors import UnreadableFile
from ltx_core.weight_files.header import Header, StoredTensor

__all__ = ["Header", "StoredTensor", "read_header"]


def read_header(file: Path) -> Header:
    """The header of a file that is exactly as long as its header says. Raises: GemmaRootError."""
    try:
        return header.read_header(file)
    except UnreadableFile as error:
        raise GemmaRootError(error.fact, error.remedy) from error
