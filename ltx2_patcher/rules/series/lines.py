"""Texts as git sees them: lines that end at LF."""

from __future__ import annotations


def split_lines(content: bytes) -> list[bytes]:
    """Lines with their ends. Only LF ends one, so a CR stays in its line."""
    parts = content.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
