"""Reads patches/ and vendor/upstream.toml, and adds a base to the latter."""

from __future__ import annotations

import hashlib
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ltx2_patcher.boundaries import disk
from ltx2_patcher.rules.blobs import blob_id
from ltx2_patcher.rules.lockfile import parse_lock
from ltx2_patcher.rules.pins import with_base
from ltx2_patcher.rules.seriesfile import parse_series
from ltx2_patcher.rules.symbolsfile import Symbols, parse_symbols
from ltx2_patcher.values.errors import InvalidError, UsageError
from ltx2_patcher.values.model import Base, Lock, Series, Wheel


class Store:
    """The repository's own data, below `root`."""

    def __init__(self, root: Path) -> None:
        self.patches = root / "patches"
        self.vendor = root / "vendor"

    def bases(self) -> tuple[Base, ...]:
        """Every base in vendor/upstream.toml, in its order.

        Raises: InvalidError where the file is missing or not what it must be.
        """
        path = self.vendor / "upstream.toml"
        remedy = "run from a clone of this repository, or `git checkout -- vendor/upstream.toml`"
        try:
            raw = tomllib.loads(path.read_text("utf-8"))
            return tuple(_base(raw["url"], name, item) for name, item in raw["bases"].items())
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidError(f"{path} can't be read: {error!r}", remedy=remedy) from error

    def base(self, name: str) -> Base:
        """One base. Raises: UsageError for a name that is none, with the near ones."""
        bases = {base.name: base for base in self.bases()}
        if name not in bases:
            near = get_close_matches(name, bases) or list(bases)
            raise UsageError(f"no base {name!r}", remedy=f"choose {' or '.join(near)}")
        return bases[name]

    def pin(self, base: Base, origin: str) -> None:
        """Add `base`, carried from the base `origin`, to vendor/upstream.toml in one step."""
        path = self.vendor / "upstream.toml"
        text = with_base(_read(path).decode(), base, origin)
        disk.replace(path, text.encode(), durable=True)

    def lock(self, base: str) -> Lock:
        """The lock of a base, checked against the patches and the overlay that lie here.

        Reads bytes and compares digests; parses no patch.

        Raises: InvalidError where a file is missing, or another than the lock promises.
        """
        folder = self.patches / base
        pinned = self.base(base)
        lock = parse_lock(_read(folder / "lock.json"), f"patches/{base}/lock.json")
        if (lock.base, lock.commit) != (pinned.name, pinned.commit):
            raise _stale(f"patches/{base}/lock.json is of {lock.base} at {lock.commit[:12]}")
        names = parse_series(_read(folder / "series"), f"patches/{base}/series")
        if names != tuple(lock.patches):
            raise _stale(f"patches/{base}/series names other patches than the lock")
        for name, patch in lock.patches.items():
            if hashlib.sha256(_read(folder / name)).hexdigest() != patch.sha256:
                raise _stale(f"patches/{base}/{name} is not what the lock promises")
        added = {p: i for p, i in lock.after[lock.groups[0]].items() if p not in lock.before}
        here = {path: blob_id(content) for path, content in self.overlay().items()}
        if changed := sorted(p for p in added.keys() | here.keys() if added.get(p) != here.get(p)):
            raise _stale(f"patches/overlay/{changed[0]} is not what the lock of {base} promises")
        return lock

    def digest(self, base: str) -> str:
        """What a proof of this series is a proof of: sha256 over its lock and its symbols.

        The lock holds a digest of each patch and the content id of each overlay file.

        Raises: InvalidError where the lock is not of what lies here.
        """
        self.lock(base)
        folder = self.patches / base
        held = _read(folder / "lock.json") + _read(folder / "symbols.toml")
        return hashlib.sha256(held).hexdigest()

    def series(self, base: str, lock: Lock | None = None) -> Series:
        """The whole series of a base, each patch parsed; `lock` where it was read just before.

        Raises: InvalidError, as `lock`, and where a patch is not canonical.
        """
        # unidiff and the mail parser are slow to import; status and "nothing to do" need neither.
        from ltx2_patcher.rules.patchfile import parse_patch

        lock = lock or self.lock(base)
        patches = tuple(parse_patch(n, _read(self.patches / base / n)) for n in lock.patches)
        return Series(base, patches, self.overlay(), self.symbols(base), lock)

    def symbols(self, base: str) -> Symbols:
        """What must stand in the patched files: group -> path -> symbols.

        Raises: InvalidError where symbols.toml is missing or not of that form.
        """
        return parse_symbols(self.symbols_text(base), f"patches/{base}/symbols.toml")

    def symbols_text(self, base: str) -> bytes:
        """symbols.toml of a base as it lies here. Raises: InvalidError where it is missing."""
        return _read(self.patches / base / "symbols.toml")

    def overlay(self) -> dict[str, bytes]:
        """The overlay's files: path in upstream's tree -> content."""
        root = self.patches / "overlay"
        files = (p for p in sorted(root.rglob("*")) if p.is_file() and "__pycache__" not in p.parts)
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def _base(url: str, name: str, item: dict[str, object]) -> Base:
    loads = item["loads"]
    if not isinstance(loads, list):
        raise TypeError(f"{name}: loads must be a list")
    return Base(
        name=name,
        url=url,
        commit=str(item["commit"]),
        date=str(item["date"]),
        wheels=tuple(Wheel(dist, **pinned) for dist, pinned in _table(item, "wheels").items()),
        loads=tuple(map(str, loads)),
        environment=_table(item, "environment"),
        accepts=_table(item, "accepts"),
    )


def _table(item: dict[str, object], key: str) -> dict[str, Any]:
    table = item.get(key, {})
    if not isinstance(table, dict):
        raise TypeError(f"{key} must be a table")
    return table


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidError(
            f"{path} can't be read: {error.strerror}",
            remedy="restore it with `git checkout -- patches`",
        ) from error


def _stale(what: str) -> InvalidError:
    return InvalidError(
        what,
        remedy="undo the change with `git checkout -- patches`, or make it through the patched "
        "tree and `ltx2-patcher export`",
    )
