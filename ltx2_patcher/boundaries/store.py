"""Reads patches/ and vendor/upstream.toml."""

from __future__ import annotations

import hashlib
from difflib import get_close_matches
from pathlib import Path

from ltx2_patcher.boundaries import disk, journal
from ltx2_patcher.rules.series.blobs import blob_id
from ltx2_patcher.rules.series.lock_file import parse_lock
from ltx2_patcher.rules.series.paths import is_source
from ltx2_patcher.rules.series.series_file import parse_series
from ltx2_patcher.rules.series.soundness import check_series
from ltx2_patcher.rules.series.supported_file import ServedRevision, parse_served
from ltx2_patcher.rules.series.symbols_file import Symbols, parse_symbols
from ltx2_patcher.rules.series.upstream_file import PINS_REMEDY, parse_pins
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import InvalidError, PatcherError, UsageError
from ltx2_patcher.values.series import Lock, Series


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
        return parse_pins(self.pins_text(), str(self.pins_file))

    @property
    def pins_file(self) -> Path:
        """Where the bases are pinned."""
        return self.vendor / "upstream.toml"

    def pins_text(self) -> bytes:
        """vendor/upstream.toml as it lies here. Raises: InvalidError where it is missing."""
        return _read(self.pins_file, remedy=PINS_REMEDY)

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

    def series(self, base: str, lock: Lock | None = None) -> Series:
        """The whole series of a base, each patch parsed; `lock` where it was read just before.

        Raises: InvalidError, as `lock`, and where a patch is not canonical or the whole not sound.
        """
        # unidiff and the mail parser are slow to import; status and "nothing to do" need neither.
        from ltx2_patcher.rules.series.patch_file import parse_patch

        lock = lock or self.lock(base)
        patches = tuple(parse_patch(n, _read(self.patches / base / n)) for n in lock.patches)
        series = Series(base, patches, self.overlay(), self.symbols(base), lock)
        check_series(series)
        return series

    def symbols(self, base: str) -> Symbols:
        """What must stand in the patched files: group -> path -> symbols.

        Raises: InvalidError where symbols.toml is missing or not of that form.
        """
        return parse_symbols(self.symbols_text(base), f"patches/{base}/symbols.toml")

    def symbols_text(self, base: str) -> bytes:
        """symbols.toml of a base as it lies here. Raises: InvalidError where it is missing."""
        return _read(self.patches / base / "symbols.toml")

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


def _read(path: Path, *, remedy: str = "restore it with `git checkout -- patches`") -> bytes:
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
