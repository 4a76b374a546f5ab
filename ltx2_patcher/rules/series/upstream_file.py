"""vendor/upstream.toml: which upstream commits the bases are, and what each loads and runs with.

What all bases run with and accept stands once, at the top; a base's own tables hold what differs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import get_args

from ltx2_patcher.rules.series.fields import Field, Wrong, toml_document
from ltx2_patcher.rules.shown import shown
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

_TABLES = ("environment", "accepts")
_LONGEST_URL = 500

_NAME = re.compile(r"[0-9A-Za-z]+(?:[._-][0-9A-Za-z]+)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@lru_cache(maxsize=1)  # a verb asks for each base by name, and reading TOML takes milliseconds
def parse_pins(data: bytes, origin: str) -> tuple[Base, ...]:
    """Read the bases in the order of the file; `origin` names it in errors.

    Raises: InvalidError where it is not of that form, or a value is not what git, pip or a path may
    be given.
    """
    try:
        raw = toml_document(data)
        raw.only("url", *_TABLES, "bases")
        return tuple(_base(raw, name, item) for name, item in raw["bases"].items())
    except Wrong as wrong:
        raise InvalidError(f"{origin} can't be read: {wrong}", remedy=PINS_REMEDY) from wrong


def require_base_name(name: str) -> None:
    """Raises: UsageError for a name that can't be a folder, a table and a branch at once."""
    if not _NAME.fullmatch(name) or name.endswith(".lock") or name in ("overlay", "shared"):
        raise UsageError(
            f"{shown(name)} can't be the name of a base",
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
        *([f"lacks = {json.dumps(sorted(base.lacks))}"] if base.lacks else []),
        *_rows(data, base.name, "environment", base.environment),
        *_rows(data, base.name, "accepts", base.accepts),
    ]
    return data.rstrip(b"\n") + b"\n\n" + "\n".join(lines).encode() + b"\n"


def _base(raw: Field, name: str, item: Field) -> Base:
    item.only("commit", "date", "loads", "abilities", "lacks", "wheels", *_TABLES)
    if not _PLAIN.fullmatch(name):
        raise Wrong(f"bases.{shown(name)} is no plain name")
    wheels = item.get("wheels")
    return Base(
        name=name,
        url=_url(raw["url"]),
        commit=_matching(item["commit"], _COMMIT, "40 hex digits"),
        date=_date(item["date"]),
        wheels=tuple(_wheel(*each) for each in wheels.items()) if wheels else (),
        loads=tuple(model.text() for model in item["loads"].list()),
        environment=_with_own(raw, item, "environment", _PLAIN, "a plain version"),
        accepts=_with_own(raw, item, "accepts", _RANGE, "a range of versions"),
        abilities=_abilities(item, "abilities"),
        lacks=_abilities(item, "lacks"),
    )


def _url(field: Field) -> str:
    """Raises: Wrong where git must not be given it."""
    url = field.text()
    if url.startswith("-") or not url.isprintable() or len(url) > _LONGEST_URL:
        raise field.wrong("an address")
    return url


def _date(field: Field) -> str:
    day = _matching(field, _DATE, "a date, yyyy-mm-dd")
    try:
        date.fromisoformat(day)
    except ValueError as error:
        raise field.wrong("a date, yyyy-mm-dd") from error
    return day


def _wheel(distribution: str, pinned: Field) -> Wheel:
    pinned.only("version", "sha256")
    version, sha256 = (_plain(pinned[key]) for key in ("version", "sha256"))
    if not _PLAIN.fullmatch(distribution):
        raise Wrong(f"{pinned.key} is no plain name")
    return Wheel(distribution, version, sha256)


def _plain(field: Field) -> str:
    return _matching(field, _PLAIN, "a plain name or version")


def _with_own(
    raw: Field, item: Field, key: str, pattern: re.Pattern[str], what: str
) -> dict[str, str]:
    """What all bases have in common, with what this one has otherwise; false: it has none."""
    both: dict[str, Field] = {}
    for level in (raw, item):
        if table := level.get(key):
            both |= dict(table.items())
    if odd := [field for name, field in both.items() if not _PLAIN.fullmatch(name)]:
        raise Wrong(f"{odd[0].key} is no plain name")
    kept = {name: field for name, field in both.items() if field.value is not False}
    return {name: _matching(field, pattern, what) for name, field in kept.items()}


def _abilities(item: Field, key: str) -> frozenset[Ability]:
    named = item.get(key)
    return frozenset(map(_ability, named.list() if named else []))


def _ability(field: Field) -> Ability:
    known: tuple[Ability, ...] = get_args(Ability)
    for ability in known:
        if field.value == ability:
            return ability
    raise field.wrong(f"one of {', '.join(known)}")


def _matching(field: Field, pattern: re.Pattern[str], what: str) -> str:
    """A text of that form. Raises: Wrong for any other."""
    if not pattern.fullmatch(text := field.text()):
        raise field.wrong(what)
    return text


def _rows(data: bytes, base: str, name: str, pins: Mapping[str, str]) -> list[str]:
    """The table of a base: what it has otherwise than all have in common."""
    table = toml_document(data).get(name)
    common = table.texts() if table else {}
    own = {key: pin for key, pin in pins.items() if common.get(key) != pin}
    lacking = {key: False for key in common if key not in pins}
    if not own and not lacking:
        return []
    rows = [f"{_key(key)} = {json.dumps(pin)}" for key, pin in {**lacking, **own}.items()]
    return ["", f'[bases."{base}".{name}]', *rows]


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name)
