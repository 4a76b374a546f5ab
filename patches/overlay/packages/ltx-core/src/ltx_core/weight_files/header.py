"""Headers of safetensors files, read as a Gemma's are; one that cannot be read is an error of weight files."""

from pathlib import Path

from ltx_core.text_encoders.gemma.quantized import header
from ltx_core.text_encoders.gemma.quantized.errors import GemmaRootError
from ltx_core.text_encoders.gemma.quantized.header import Header, StoredTensor
from ltx_core.weight_files.errors import UnreadableFile

__all__ = ["Header", "StoredTensor", "read_header"]


def read_header(file: Path) -> Header:
    """The header of a file that is exactly as long as its header says. Raises: UnreadableFile."""
    try:
        return header.read_header(file)
    except GemmaRootError as error:
        raise UnreadableFile(error.fact, error.remedy) from error
