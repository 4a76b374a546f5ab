"""What must hold in a whole series, besides what each of its files must be."""

from __future__ import annotations

from ltx2_patcher.values.base import GROUPS
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.series import Series


def check_series(series: Series) -> None:
    """Patches follow on one another in stacking order; lock and symbols are of these patches.

    Raises: InvalidError with the first thing that is wrong.
    """
    lock, now = series.lock, dict(series.lock.before)
    order = [GROUPS.index(patch.group) for patch in series.patches]
    if order != sorted(order):
        raise _wrong(series, "its groups do not stand in stacking order")
    for patch in series.patches:
        if lock.patches[patch.name].group != patch.group:
            raise _wrong(series, f"the lock holds another group for {patch.name}")
        for diff in patch.diffs:
            if now.get(diff.path) != diff.before:
                raise _wrong(series, f"{patch.name} does not go on what stands before it")
            now[diff.path] = diff.after
        if lock.after[patch.group].keys() - lock.overlay.keys() != lock.before.keys():
            raise _wrong(series, f"the lock of {patch.group} holds other files than the base")
    named = {path for files in series.symbols.values() for path in files}
    if strangers := sorted(named - set(lock.paths)) or sorted(
        set(series.symbols) - set(lock.groups)
    ):
        raise _wrong(series, f"symbols.toml names {strangers[0]}, which it does not touch")
    if not series.symbols:
        raise _wrong(series, "symbols.toml names nothing")
    last = lock.after[lock.groups[-1]]
    if any(last[path] != blob for path, blob in now.items()):
        raise _wrong(series, "the lock ends at other contents than the patches")


def _wrong(series: Series, what: str) -> InvalidError:
    return InvalidError(
        f"the series of {series.base} is not sound: {what}",
        remedy=f"correct patches/{series.base}/symbols.toml where that is named, else export "
        "again from the patched tree with `ltx2-patcher export`",
    )
