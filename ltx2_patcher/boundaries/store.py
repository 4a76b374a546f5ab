"""Reads patches/ and vendor/upstream.toml."""

from __future__ import annotations

import hashlib
import runpy
from collections.abc import Mapping
from pathlib import Path

from ltx2_patcher.boundaries import disk, journal
from ltx2_patcher.rules.models.lora import LoraNames
from ltx2_patcher.rules.series.blobs import blob_ids
from ltx2_patcher.rules.series.lock_file import parse_base_lock, parse_overlay_lock
from ltx2_patcher.rules.series.near_bases import near
from ltx2_patcher.rules.series.overlay import of_groups
from ltx2_patcher.rules.series.paths import is_source
from ltx2_patcher.rules.series.series_file import SHARED, entries, parse_series
from ltx2_patcher.rules.series.shared_patch import joined
from ltx2_patcher.rules.series.soundness import check_series
from ltx2_patcher.rules.series.supported_file import SupportedRevision, parse_supported
from ltx2_patcher.rules.series.symbols_file import Symbols, parse_symbols
from ltx2_patcher.rules.series.upstream_file import PINS_REMEDY, parse_pins
from ltx2_patcher.rules.shown import shown
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, InvalidError, UsageError
from ltx2_patcher.values.series import Lock, Series

_LORA_NAMES = "packages/ltx-core/src/ltx_core/loader/lora_names.py"


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
        bases = self.bases()
        for base in bases:
            if base.name == name:
                return base
        names = " or ".join(base.name for base in near(name, bases))
        raise UsageError(f"no base {shown(name)}", remedy=f"choose {names}")

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
        locked, here = lock.overlay, blob_ids(of_groups(self.overlay(), lock.groups))
        odd = [p for p in locked.keys() | here.keys() if locked.get(p) != here.get(p)]
        if odd:
            raise InvalidError(
                f"patches/overlay/{min(odd)} is not what the lock promises",
                remedy="undo the change with `git checkout -- patches`, or keep it with "
                "`ltx2-patcher export --in-place`",
            )
        return lock

    def held(self, base: str, overlay: Mapping[str, str] | None = None) -> Lock:
        """As `lock`, but whatever the overlay's files are.

        With `overlay`, its files' ids, it holds these and overlay.lock.json is not read.

        Raises: InvalidError, as `lock`.
        """
        folder = self.patches / base
        pinned = self.base(base)
        if overlay is None:
            overlay = parse_overlay_lock(_read(self.overlay_lock), "patches/overlay.lock.json")
        origin = f"patches/{base}/lock.json"
        lock = parse_base_lock(_read(folder / "lock.json"), origin, overlay)
        if (lock.base, lock.commit) != (pinned.name, pinned.commit):
            raise _stale(
                f"patches/{base}/lock.json is of base {shown(lock.base)} at commit "
                f"{shown(lock.commit)}, not of {pinned.commit[:12]}"
            )
        if parse_series(_read(folder / "series"), f"patches/{base}/series") != entries(lock):
            raise _stale(f"patches/{base}/series names other patches than the lock")
        for name in lock.patches:
            self.patch(lock, name)
        return lock

    def patch(self, lock: Lock, name: str) -> bytes:
        """The canonical bytes of a patch: its own file, or the shared one with its base's lines.

        Raises: InvalidError where they are not those that the lock promises.
        """
        patch = lock.patches[name]
        if patch.shared is None:
            place = f"{lock.base}/{name}"
            data = _read(self.patches / place)
        else:
            place = f"{SHARED}/{patch.shared.form}/{name}"
            data = joined(f"{name} of {lock.base}", _read(self.patches / place), patch.shared.lines)
        if hashlib.sha256(data).hexdigest() != patch.sha256:
            raise _stale(f"patches/{place} is not what the lock of {lock.base} promises")
        return data

    def shared(self) -> dict[tuple[str, str], bytes]:
        """The shared files: form and name of the patch -> content."""
        files = sorted((self.patches / SHARED).glob("*/*.patch"))
        return {(file.parent.name, file.name): _read(file) for file in files}

    @property
    def overlay_lock(self) -> Path:
        """Where the content ids of the overlay's files stand, for all bases."""
        return self.patches / "overlay.lock.json"

    def lora_names(self) -> LoraNames:
        """What the scripts read a LoRA with, of the overlay: run, so that there is one table."""
        found = runpy.run_path(str(self.patches / "overlay" / _LORA_NAMES))
        return LoraNames(found["loader_names"], found["kinds"])

    def series(self, base: str, lock: Lock | None = None) -> Series:
        """The whole series of a base, each patch parsed; `lock` where it was read just before.

        Raises: InvalidError, as `lock`, and where a patch is not canonical or the whole not sound.
        """
        # unidiff and the mail parser are slow to import; status and "nothing to do" need neither.
        from ltx2_patcher.rules.series.patch_file import parse_patch

        lock = lock or self.lock(base)
        patches = tuple(parse_patch(n, self.patch(lock, n)) for n in lock.patches)
        overlay = of_groups(self.overlay(), lock.groups)
        series = Series(base, patches, overlay, self.symbols(base), lock)
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
    def supported_file(self) -> Path:
        """Where it is recorded which revisions are supported."""
        return self.patches / "supported.json"

    def supported(self) -> tuple[SupportedRevision, ...]:
        """The revisions that were supported when this was last recorded, newest first.

        Raises: InvalidError where the record is missing or not one.
        """
        return parse_supported(_read(self.supported_file), "patches/supported.json")

    def overlay(self) -> dict[str, bytes]:
        """The overlay's files, of all groups: path in upstream's tree -> content.

        Raises: InvalidError for a link, or a file that does not lie in packages/*/src.
        """
        root = self.patches / "overlay"
        files = {}
        for path in sorted(disk.below(root)):
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
    except ConflictError as error:
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
