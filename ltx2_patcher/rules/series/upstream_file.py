"""vendor/upstream.toml: which upstream commits the bases are, and what each loads and runs with.

What all bases run with and accept stands once, at the top; a base's own tables hold what differs.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, get_args

from ltx2_patcher.values.abilities import Ability
from ltx2_patcher.values.base import Base, Wheel
from ltx2_patcher.values.errors import InvalidError, UsageError

PINS_REMEDY = "run from a clone of this repository, or `git checkout -- vendor/upstream.toml`"
"""What to do where the file is missing or not what it must be."""

# A base's name becomes part of paths and of a branch, and these values arguments of git and pip.
_PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_RANGE = re.compile(r"(<|<=|>|>=|==|!=|~=)[0-9][0-9.]*(,(<|<=|>|>=|==|!=|~=)[0-9][0-9.]*)*")

_NAME = re.compile(r"[0-9A-Za-z]+(?:[._-][0-9A-Za-z]+)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@lru_cache(maxsize=1)  # a verb asks for each base by name, and reading TOML takes milliseconds
def parse_pins(data: bytes, origin: str) -> tuple[Base, ...]:
    """Read the bases in the order of the file; `origin` names it in errors.

    Raises: InvalidError where it is not of that form, or a value is not what git, pip or a path may
    be given.
    """
    try:
        raw = tomllib.loads(data.decode())
        return tuple(_checked(_base(raw, name, item)) for name, item in raw["bases"].items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidError(f"{origin} can't be read: {error!r}", remedy=PINS_REMEDY) from error


def require_base_name(name: str) -> None:
    """Raises: UsageError for a name that can't be a folder, a table and a branch at once."""
    if not _NAME.fullmatch(name) or name.endswith(".lock") or name in ("overlay", "shared"):
        raise UsageError(
            f"{name!r} can't be the name of a base",
            remedy="take letters, digits and single dots or dashes, as in 2026-03-30",
        )


def with_base(data: bytes, base: Base, origin: str) -> bytes:
    """The file with `base` as its last; every other byte stays.

    `origin` is the base that what it loads, its environment and what that accepts were taken from.
    """
    lines = [
        f"# Carried from {origin}; what it loads, pins and accepts is that base's until proved.",
        f'[bases."{base.name}"]',
        f'commit = "{base.commit}"',
        f'date = "{base.date}"',
        f"loads = {json.dumps(base.loads)}",
        *([f"abilities = {json.dumps(sorted(base.abilities))}"] if base.abilities else []),
        *_rows(data, base.name, "environment", base.environment),
        *_rows(data, base.name, "accepts", base.accepts),
    ]
    return data.rstrip(b"\n") + b"\n\n" + "\n".join(lines).encode() + b"\n"


def _base(raw: dict[str, Any], name: str, item: dict[str, object]) -> Base:
    loads = item["loads"]
    if not isinstance(loads, list):
        raise TypeError(f"{name}: loads must be a list")
    return Base(
        name=name,
        url=raw["url"],
        commit=str(item["commit"]),
        date=str(item["date"]),
        wheels=tuple(Wheel(dist, **pinned) for dist, pinned in _table(item, "wheels").items()),
        loads=tuple(map(str, loads)),
        environment=_with_own(raw, item, "environment"),
        accepts=_with_own(raw, item, "accepts"),
        abilities=_abilities(item),
    )


def _with_own(raw: dict[str, Any], item: dict[str, object], key: str) -> dict[str, Any]:
    """What all bases have in common, with what this one has otherwise; false: it has none."""
    both = _table(raw, key) | _table(item, key)
    return {name: value for name, value in both.items() if value is not False}


def _abilities(item: dict[str, object]) -> frozenset[Ability]:
    named = item.get("abilities", [])
    if not isinstance(named, list) or not set(named) <= set(get_args(Ability)):
        raise TypeError(f"abilities must be a list of {', '.join(get_args(Ability))}")
    return frozenset(named)


def _table(item: dict[str, object], key: str) -> dict[str, Any]:
    table = item.get(key, {})
    if not isinstance(table, dict):
        raise TypeError(f"{key} must be a table")
    return table


def _checked(base: Base) -> Base:
    """Raises: ValueError where a value is not what git, pip or a path may be given."""
    words = [base.name, *base.environment, *base.environment.values()]
    words += [word for w in base.wheels for word in (w.distribution, w.version, w.sha256)]
    if wrong := [w for w in words if not isinstance(w, str) or not _PLAIN.fullmatch(w)]:
        raise ValueError(f"{base.name}: {wrong[0]!r} is no plain name or version")
    if not isinstance(base.url, str) or base.url.startswith("-"):
        raise ValueError("url is no address")
    if wrong := [r for r in base.accepts.values() if not _RANGE.fullmatch(str(r))]:
        raise ValueError(f"{base.name}: {wrong[0]!r} is no range of versions")
    if not _COMMIT.fullmatch(base.commit) or not _DATE.fullmatch(base.date):
        raise ValueError(f"{base.name}: commit must be 40 hex digits, date yyyy-mm-dd")
    return base


def _rows(data: bytes, base: str, name: str, pins: Mapping[str, str]) -> list[str]:
    """The table of a base: what it has otherwise than all have in common."""
    common = _table(tomllib.loads(data.decode()), name)
    own = {key: pin for key, pin in pins.items() if common.get(key) != pin}
    lacking = {key: False for key in common if key not in pins}
    if not own and not lacking:
        return []
    rows = [f"{_key(key)} = {json.dumps(pin)}" for key, pin in {**lacking, **own}.items()]
    return ["", f'[bases."{base}".{name}]', *rows]


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name)
