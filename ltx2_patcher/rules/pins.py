"""Adds a base to the text of vendor/upstream.toml, leaving every other byte as it is."""

from __future__ import annotations

import json
import re

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
    """The file's text with `base` as its last; `origin` is the base its environment came from."""
    lines = [
        f'[bases."{base.name}"]',
        f'commit = "{base.commit}"',
        f'date = "{base.date}"',
        "",
        f"# As pinned for {origin}, until somebody proves others.",
        f'[bases."{base.name}".environment]',
        *(f"{_key(name)} = {json.dumps(version)}" for name, version in base.environment.items()),
    ]
    return text.rstrip("\n") + "\n\n" + "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name)
