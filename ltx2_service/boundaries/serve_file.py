"""The settings' file on disk."""

from __future__ import annotations

import stat
from pathlib import Path

from ltx2_patcher.boundaries.disk import translated
from ltx2_patcher.values.errors import UsageError
from ltx2_service.rules.serve_toml import parse_settings
from ltx2_service.values.settings import Settings


def read_settings(file: Path, tree: Path) -> Settings:
    """The settings that `file` says; `tree` is the toolkit's checkout.

    Raises: UsageError where it is not there or says what can't be meant; OutsideError where it
    can't be read.
    """
    file = file.absolute()
    with translated(file, reading=True):
        try:
            data = file.read_bytes()
        except FileNotFoundError as error:
            raise UsageError(
                f"there is no {file}",
                remedy=f"copy {tree / 'serve.example.toml'} there and name your weights in it, or "
                "try the service without any: make demo",
            ) from error
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is no text", remedy="save it as UTF-8") from error
    return parse_settings(text, file, tree, _home())


def others_may_read(file: Path) -> bool:
    """Whether users beside its owner may read it. Raises: OutsideError."""
    with translated(file, reading=True):
        return bool(file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        return None
