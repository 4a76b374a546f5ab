"""What a series makes of a base: every commit's files, computed before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from ltx2_patcher.rules.series.blobs import blob_id
from ltx2_patcher.rules.series.fit import apply_diff, reverse
from ltx2_patcher.rules.series.symbols import missing
from ltx2_patcher.rules.shown import cut
from ltx2_patcher.values.base import GROUPS
from ltx2_patcher.values.errors import InvalidError, UsageError
from ltx2_patcher.values.series import Lock, Patch, Series


@dataclass(frozen=True, slots=True)
class Stage:
    """The overlay (patch is None) or one patch, and the content it gives to each file."""

    patch: Patch | None
    files: Mapping[str, bytes] = field(repr=False)


def group_named(lock: Lock, name: str | None) -> str:
    """The group to stop after; None means the last.

    Raises: UsageError for a group that the series does not have, with the near ones.
    """
    if name is None:
        return lock.groups[-1]
    if name not in lock.groups:
        near = get_close_matches(name, lock.groups) or list(lock.groups)
        raise UsageError(
            f"no group {name!r} in the series of {lock.base}", remedy=f"choose {' or '.join(near)}"
        )
    return name


def stages(series: Series, upto: str, base: Mapping[str, bytes]) -> tuple[Stage, ...]:
    """Apply the series up to and with the group `upto` to the contents `base`.

    Raises: ConflictError (Misfit) where a patch does not fit; InvalidError where the result is not
    what the lock holds.
    """
    now = {**base, **series.overlay}
    made = [Stage(None, dict(series.overlay))]
    last = GROUPS.index(upto)
    for patch in series.patches:
        if GROUPS.index(patch.group) > last:
            break
        files = {diff.path: apply_diff(patch, diff, now[diff.path]) for diff in patch.diffs}
        now |= files
        made.append(Stage(patch, files))
    check(series.lock, series.lock.after[upto], now)
    return tuple(made)


def patched(series: Series, base: Mapping[str, bytes]) -> dict[str, bytes]:
    """What every file holds after the whole series, whatever its lock says.

    Raises: ConflictError (Misfit) where a patch does not fit.
    """
    now = {**base, **series.overlay}
    for patch in series.patches:
        now |= {diff.path: apply_diff(patch, diff, now[diff.path]) for diff in patch.diffs}
    return now


def unpatched(series: Series, group: str, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """The base's contents, by taking the series out of files that stand at the end of `group`."""
    now = dict(contents)
    last = GROUPS.index(group)
    for patch in reversed([p for p in series.patches if GROUPS.index(p.group) <= last]):
        for diff in patch.diffs:
            now[diff.path] = apply_diff(patch, reverse(diff), now[diff.path])
    base = {path: now[path] for path in series.lock.before}
    check(series.lock, series.lock.before, base)
    return base


def check_symbols(series: Series, contents: Mapping[str, bytes]) -> None:
    """Every patched Python file parses, and each symbol stands where symbols.toml says.

    A lock is only written for contents that pass, so equality with the lock says the same.

    Raises: InvalidError where one does not.
    """
    wanted: dict[str, tuple[str, ...]] = {path: () for path in contents if path.endswith(".py")}
    for files in series.symbols.values():
        for path, symbols in files.items():
            wanted[path] = (*wanted.get(path, ()), *symbols)
    for path, symbols in wanted.items():
        if path not in contents:
            lacking: tuple[str, ...] = symbols
        else:
            lacking = missing(path, contents[path], symbols)
        if lacking:
            raise InvalidError(
                f"{path} lacks {cut(', '.join(lacking), 300)} once patched",
                remedy="correct the patch on the patched tree and export, "
                f"or patches/{series.base}/symbols.toml",
            )


def check(lock: Lock, wanted: Mapping[str, str], contents: Mapping[str, bytes]) -> None:
    """Raises: InvalidError where `contents` are not the blobs that the lock holds."""
    for path, blob in wanted.items():
        if path not in contents or blob_id(contents[path]) != blob:
            raise InvalidError(
                f"the series of {lock.base} does not give the {path} that its lock holds",
                remedy="restore patches/ with `git checkout -- patches`, or export again",
            )
