"""Telling weight files apart without reading them whole.

The fingerprint of a file is the SHA-256 of: the line "ltx2-fingerprint-1"; the file's size in
decimal and a newline; the header of a safetensors file (its length and all of its JSON); and 64
blocks of 64 KiB, the first at the start of what follows, the last at the file's end, the others
evenly between. A file of at most 4 MiB behind its header is read whole. It finds another model,
another precision, a torn or a swapped file; it does not find a few bytes edited by hand.
That of a folder is the SHA-256 of its files' names and fingerprints, in the names' order.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ltx2_patcher.boundaries.disk import translated
from ltx2_patcher.rules.models.safetensors_header import LENGTH_BYTES, MAX_HEADER_BYTES

BLOCK_BYTES = 64 << 10
BLOCKS = 64
_MARK = b"ltx2-fingerprint-1\n"


def sampled(start: int, end: int) -> list[tuple[int, int]]:
    """Which spans of the bytes from `start` to `end` to read, as (offset, length), in order.

    They are disjoint, and all of it where that is not more than the blocks hold.
    """
    if end - start <= BLOCKS * BLOCK_BYTES:
        return [(start, end - start)]
    room = end - start - BLOCK_BYTES
    return [(start + room * block // (BLOCKS - 1), BLOCK_BYTES) for block in range(BLOCKS)]


def fingerprint(path: Path) -> str:
    """Of a file, or of all files in a folder, as 64 hex digits.

    Raises: OutsideError (it can't be read).
    """
    with translated(path):
        if not path.is_dir():
            return _of_file(path)
        digest = hashlib.sha256(_MARK)
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()} {_of_file(file)}\n".encode())
        return digest.hexdigest()


def _of_file(path: Path) -> str:
    digest = hashlib.sha256(_MARK)
    with path.open("rb") as file:
        size = path.stat().st_size
        digest.update(f"{size}\n".encode())
        header = _header_bytes(path, file.read(LENGTH_BYTES), size)
        for offset, length in ((0, header), *sampled(header, size)):
            file.seek(offset)
            digest.update(file.read(length))
    return digest.hexdigest()


def _header_bytes(path: Path, prefix: bytes, size: int) -> int:
    """Where the data of a safetensors file begins; 0 for any other file."""
    end = LENGTH_BYTES + int.from_bytes(prefix, "little")
    plausible = path.suffix == ".safetensors" and end <= min(size, LENGTH_BYTES + MAX_HEADER_BYTES)
    return end if plausible else 0
