"""Obtain a base: a checkout of the pinned upstream under vendor/."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ltx2_patcher.boundaries import disk, objects, remote, wheels
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import ConflictError, OutsideError, UsageError

Source = Literal["auto", "git", "pypi"]
Progress = Callable[[str, float], None]

# Together below 20 s: a dead network must be told within that.
_GIT_ANSWER_S = 5.0
_PIP_DOWNLOAD_S = 13.0


@dataclass(frozen=True, slots=True)
class Obtained:
    """A checkout of a base."""

    tree: Path
    source: Source
    fresh: bool  # made now
    fallback: str | None  # why `auto` took the wheels


def checkout_path(store: Store, base: Base) -> Path:
    """Where the checkout of a base lies."""
    return store.vendor / f"LTX-2-{base.name}"


def source_of(tree: Path) -> Source:
    """Which source a checkout came from: the wheels hold no project files beside src/."""
    return "git" if (tree / "packages/ltx-core/pyproject.toml").exists() else "pypi"


def obtain(store: Store, base: Base, source: Source, progress: Progress) -> Obtained:
    """The checkout of `base`, made now where it is missing.

    It is built beside its place and renamed last, so a run that was cut off leaves no half tree.

    Raises: ConflictError where one from another source lies there, or anything else; OutsideError
    where no source answers; InvalidError where a pin does not hold.
    """
    tree = checkout_path(store, base)
    if occupied(tree):
        return _existing(tree, source)
    with disk.locked(store.vendor / ".lock"):
        if occupied(tree):  # a second run made it while this one waited
            return _existing(tree, source)
        for left in store.vendor.glob(f".{tree.name}.*"):  # by runs that were cut off
            shutil.rmtree(left, ignore_errors=True)
        with disk.translated(store.vendor):
            partial = Path(tempfile.mkdtemp(prefix=f".{tree.name}.", dir=store.vendor))
            partial.chmod(0o755)
        try:
            taken, fallback = _fill(partial, base, source, progress)
            with disk.translated(tree):
                partial.rename(tree)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return Obtained(tree, taken, True, fallback)


def occupied(tree: Path) -> bool:
    """Whether something lies there; an empty folder is nothing, and is replaced."""
    with disk.translated(tree, reading=True):
        if tree.is_dir():
            return any(tree.iterdir())
        return os.path.lexists(tree)


def require_checkout(tree: Path) -> None:
    """Raises: ConflictError where something else lies in a checkout's place."""
    with disk.translated(tree, reading=True):
        if os.path.lexists(tree / ".git"):
            return
        if tree.is_dir():
            what = "a folder that holds something else"
        elif tree.exists():
            what = "no folder"
        else:
            what = f"a link to {tree.readlink()}, where nothing is"
    raise ConflictError(
        f"{tree} is in the way: it is no checkout of upstream, but {what}",
        remedy="move it away, then run `make patch`",
    )


def _existing(tree: Path, source: Source) -> Obtained:
    require_checkout(tree)
    present = source_of(tree)
    if source not in ("auto", present):
        raise ConflictError(
            f"{tree.name} came from {present}, and {source} was asked for",
            remedy=f"leave SOURCE out, or remove vendor/{tree.name} and run again "
            "(commits and edits of your own in it would be lost)",
        )
    return Obtained(tree, present, False, None)


def _fill(tree: Path, base: Base, source: Source, progress: Progress) -> tuple[Source, str | None]:
    if source == "pypi":
        _from_wheels(tree, base)
        return "pypi", None
    try:
        remote.reachable(base.url, timeout_s=_GIT_ANSWER_S)
    except OutsideError as error:
        if not base.wheels:
            remedy = (
                "check the network, then run again: upstream published this base in git only "
                "(one that lies in vendor/ works without)"
            )
            raise OutsideError(str(error), remedy=remedy) from error
        if source == "git":
            raise
        try:
            _from_wheels(tree, base)
        except OutsideError as second:
            raise OutsideError(f"{error}; and {second}", remedy=second.remedy) from second
        return "pypi", str(error)
    repository = remote.new_repository(tree)
    remote.fetch(repository, base.url, base.commit, progress)
    repository.check_out(base.commit)
    return "git", None


def _from_wheels(tree: Path, base: Base) -> None:
    if not base.wheels:
        raise UsageError(
            f"upstream published no wheels of {base.name}", remedy="take SOURCE=git or SOURCE=auto"
        )
    with disk.temporary_folder() as folder:
        paths = wheels.download(base.wheels, folder, timeout_s=_PIP_DOWNLOAD_S)
        files = {p: c for w, at in paths.items() for p, c in wheels.contents(w, at).items()}
    # One synthetic commit with a fixed author and date: git's machinery and the full blob ids then
    # work as on a clone, and every machine gets the same commit id.
    commit = objects.NewCommit(
        message=f"LTX-2 {base.name} as published in its wheels\n".encode(),
        author=objects.IDENTITY,
        date=midnight(base),
        files=dict(sorted(files.items())),
    )
    repository = remote.new_repository(tree)
    (made,) = repository.build(None, [commit])
    repository.check_out(made)


def midnight(base: Base) -> str:
    """The date of a base as a mail date, the same on every machine."""
    from datetime import UTC, datetime
    from email.utils import format_datetime

    return format_datetime(datetime.fromisoformat(base.date).replace(tzinfo=UTC))
