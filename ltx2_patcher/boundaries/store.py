"""Reads patches/ and vendor/upstream.toml."""

from __future__ import annotations

import hashlib
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ltx2_patcher.boundaries import disk, journal
from ltx2_patcher.rules.blobs import blob_id
from ltx2_patcher.rules.lockfile import parse_lock
from ltx2_patcher.rules.paths import is_source
from ltx2_patcher.rules.seriesfile import parse_series
from ltx2_patcher.rules.servedfile import ServedRevision, parse_served
from ltx2_patcher.rules.soundness import check_series
from ltx2_patcher.values.errors import InvalidError, PatcherError, UsageError
from ltx2_patcher.values.model import Base, Lock, Series, Wheel

# A base's name becomes part of paths and of a branch, and these values arguments of git and pip.
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_RANGE = re.compile(r"(<|<=|>|>=|==|!=|~=)[0-9][0-9.]*(,(<|<=|>|>=|==|!=|~=)[0-9][0-9.]*)*")


class Store:
    """The repository's own data, below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.patches = root / "patches"
        self.vendor = root / "vendor"
        self.state = self.vendor / ".series"  # lock and journal of what changes patches/

    def bases(self) -> tuple[Base, ...]:
        """Every base in vendor/upstream.toml, in its order.

        Raises: InvalidError where the file is missing or not what it must be.
        """
        path = self.vendor / "upstream.toml"
        remedy = "run from a clone of this repository, or `git checkout -- vendor/upstream.toml`"
        try:
            raw = tomllib.loads(_read(path).decode())
            return tuple(
                _checked(_base(raw["url"], name, item)) for name, item in raw["bases"].items()
            )
        except (InvalidError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
            raise InvalidError(f"{path} can't be read: {e!r}", remedy=remedy) from e

    def base(self, name: str) -> Base:
        """One base. Raises: UsageError for a name that is none, with the near ones."""
        bases = {base.name: base for base in self.bases()}
        if name not in bases:
            near = get_close_matches(name, bases) or list(bases)
            raise UsageError(f"no base {name!r}", remedy=f"choose {' or '.join(near)}")
        return bases[name]

    def lock(self, base: str) -> Lock:
        """The lock of a base, checked against the patches and the overlay that lie here.

        Reads bytes and compares digests; parses no patch.

        Raises: InvalidError where a file is missing, or another than the lock promises.
        """
        try:
            return self._lock(base)
        except InvalidError as error:
            if not journal.pending(self.state):
                raise
            with disk.locked(self.state / "lock"):
                pass  # whoever is changing patches/ has ended now, one way or the other
            if journal.pending(self.state):
                raise InvalidError(
                    f"a change of patches/ was cut off ({journal.read(self.state).move['what']})",
                    remedy="finish it with `ltx2-patcher export`",
                ) from error
            return self._lock(base)

    def _lock(self, base: str) -> Lock:
        lock = self.held(base)
        added = {p: i for p, i in lock.after[lock.groups[0]].items() if p not in lock.before}
        here = {path: blob_id(content) for path, content in self.overlay().items()}
        if changed := sorted(p for p in added.keys() | here.keys() if added.get(p) != here.get(p)):
            raise _stale(f"patches/overlay/{changed[0]} is not what the lock of {base} promises")
        return lock

    def held(self, base: str) -> Lock:
        """As `lock`, but whatever the overlay's files are.

        Raises: InvalidError, as `lock`.
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

        Raises: InvalidError, as `lock`, and where a patch is not canonical or the whole not sound.
        """
        # unidiff and the mail parser are slow to import; status and "nothing to do" need neither.
        from ltx2_patcher.rules.patchfile import parse_patch

        lock = lock or self.lock(base)
        patches = tuple(parse_patch(n, _read(self.patches / base / n)) for n in lock.patches)
        series = Series(base, patches, self.overlay(), self.symbols(base), lock)
        check_series(series)
        return series

    def symbols(self, base: str) -> dict[str, dict[str, tuple[str, ...]]]:
        """What must stand in the patched files: group -> path -> symbols.

        Raises: InvalidError where symbols.toml is missing or not of that form.
        """
        path = self.patches / base / "symbols.toml"
        try:
            raw = tomllib.loads(_read(path).decode())
            return {
                group: {file: tuple(map(str, names)) for file, names in files.items()}
                for group, files in raw.items()
            }
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            raise InvalidError(
                f"{path} can't be read: {error}", remedy="restore it with `git checkout -- patches`"
            ) from error

    @property
    def served_file(self) -> Path:
        """Where it is recorded which revisions are served."""
        return self.patches / "served.json"

    def served(self) -> tuple[ServedRevision, ...]:
        """The revisions that were served when this was last recorded, newest first.

        Raises: InvalidError where the record is missing or not one.
        """
        return parse_served(_read(self.served_file), "patches/served.json")

    def overlay(self) -> dict[str, bytes]:
        """The overlay's files: path in upstream's tree -> content.

        Raises: InvalidError for a link, or a file that does not lie in packages/*/src.
        """
        root = self.patches / "overlay"
        files = {}
        for path in sorted(root.rglob("*")):
            if "__pycache__" in path.parts or (path.is_dir() and not path.is_symlink()):
                continue
            inner = path.relative_to(root).as_posix()
            if not is_source(inner):
                raise InvalidError(
                    f"{str(path)!r} can't be laid in: an overlay's files lie in packages/*/src",
                    remedy="move it away, or give it a plain name there",
                )
            files[inner] = _read(path)
        return files


def _checked(base: Base) -> Base:
    """Raises: ValueError where a value is not what git, pip or a path may be given."""
    words = [base.name, *base.environment, *base.environment.values()]
    words += [word for w in base.wheels for word in (w.distribution, w.version, w.sha256)]
    if wrong := [w for w in words if not isinstance(w, str) or not _NAME.fullmatch(w)]:
        raise ValueError(f"{base.name}: {wrong[0]!r} is no plain name or version")
    if not isinstance(base.url, str) or base.url.startswith("-"):
        raise ValueError("url is no address")
    if wrong := [r for r in base.accepts.values() if not _RANGE.fullmatch(str(r))]:
        raise ValueError(f"{base.name}: {wrong[0]!r} is no range of versions")
    if not _COMMIT.fullmatch(base.commit) or not _DATE.fullmatch(base.date):
        raise ValueError(f"{base.name}: commit must be 40 hex digits, date yyyy-mm-dd")
    return base


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
    remedy = "restore it with `git checkout -- patches`"
    try:
        data = disk.read(path)
    except PatcherError as error:
        raise InvalidError(f"{path} can't be read: {error}", remedy=remedy) from error
    if data is None:
        raise InvalidError(f"{path} can't be read: there is no such file", remedy=remedy)
    return data


def _stale(what: str) -> InvalidError:
    return InvalidError(
        what,
        remedy="undo the change with `git checkout -- patches`, or make it through the patched "
        "tree and `ltx2-patcher export`",
    )
