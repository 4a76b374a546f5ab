"""symbols.toml: what must stand in the patched files, group -> path -> symbols."""

from __future__ import annotations

from collections.abc import Mapping

from ltx2_patcher.rules.series.fields import Wrong, toml_document
from ltx2_patcher.values.errors import InvalidError

Symbols = dict[str, dict[str, tuple[str, ...]]]


def parse_symbols(data: bytes, origin: str) -> Symbols:
    """Read one; `origin` names the file in errors.

    Raises: InvalidError where it is not of that form.
    """
    try:
        return {
            group: {
                file: tuple(name.text() for name in names.list()) for file, names in files.items()
            }
            for group, files in toml_document(data).items()
        }
    except Wrong as wrong:
        raise InvalidError(
            f"{origin} can't be read: {wrong}", remedy="restore it with `git checkout -- patches`"
        ) from wrong


def with_moved_paths(data: bytes, moved: Mapping[str, str]) -> bytes:
    """The same text, comments and all, with the files where they lie now."""
    for old, new in moved.items():
        data = data.replace(f'"{old}"'.encode(), f'"{new}"'.encode())
    return data
