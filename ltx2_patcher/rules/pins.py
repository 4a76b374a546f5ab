"""Adds a base to the text of vendor/upstream.toml, leaving every other byte as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ltx2_patcher.values.errors import UsageError
from ltx2_patcher.values.model import Base

_NAME = re.compile(r"[0-9A-Za-z]+(?:[._-][0-9A-Za-z]+)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def require_base_name(name: str) -> None:
    """Raises: UsageError for a name that can't be a folder, a table and a branch at once."""
    if not _NAME.fullmatch(name) or name.endswith(".lock") or name == "overlay":
        raise UsageError(
            f"{name!r} can't be the name of a base",
            remedy="take letters, digits and single dots or dashes, as in 2026-03-30",
        )


def with_base(text: str, base: Base, origin: str) -> str:
    """The file's text with `base` as its last.

    `origin` is the base that what it loads, its environment and what that accepts were taken from.
    """
    lines = [
        f"# Carried from {origin}; what it loads, pins and accepts is that base's until proved.",
        f'[bases."{base.name}"]',
        f'commit = "{base.commit}"',
        f'date = "{base.date}"',
        f"loads = {json.dumps(base.loads)}",
        *_table(base.name, "environment", base.environment),
        *_table(base.name, "accepts", base.accepts),
    ]
    return text.rstrip("\n") + "\n\n" + "\n".join(lines) + "\n"


def _table(base: str, name: str, pins: Mapping[str, str]) -> list[str]:
    if not pins:
        return []
    rows = [f"{_key(package)} = {json.dumps(version)}" for package, version in pins.items()]
    return ["", f'[bases."{base}".{name}]', *rows]


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name)
