"""Tells where a tree stands, from the content of its files alone."""

from collections.abc import Mapping

from ltx2_patcher.values.series import Judgement, Lock, Standing


def judge(lock: Lock, found: Mapping[str, str | None]) -> Judgement:
    """Compare the blob ids `found` (None: no such file) at `lock.paths` with the lock.

    A state that fits several groups (a group may touch nothing) counts as the last of them.
    """
    if not any(found.get(path) for path in lock.before):
        return Judgement(Standing.MISSING, None, tuple(lock.before))
    for group in reversed(lock.groups):
        if all(found.get(path) == lock.after[group].get(path) for path in lock.paths):
            return Judgement(Standing.PATCHED, group, ())
    if all(found.get(path) == lock.before.get(path) for path in lock.paths):
        return Judgement(Standing.UPSTREAM, None, ())
    return Judgement(Standing.EDITED, None, _differing(lock, found))


def stands_at(lock: Lock, judgement: Judgement, group: str) -> bool:
    """Whether a tree that was judged so is at the end of `group`, which others may equal."""
    return judgement.group is not None and lock.after[judgement.group] == lock.after[group]


def _differing(lock: Lock, found: Mapping[str, str | None]) -> tuple[str, ...]:
    """The paths that keep the tree from the state that most of it is in."""
    states = [lock.before, *(lock.after[group] for group in lock.groups)]
    misses = [
        tuple(path for path in lock.paths if found.get(path) != state.get(path)) for state in states
    ]
    return min(misses, key=len)
