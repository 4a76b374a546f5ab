"""Files of an optional group go to the series that have the group; all others to every series."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.series.overlay import of_groups
from ltx2_patcher.values.base import GROUPS, OPTIONAL

PATHS = st.lists(st.sampled_from(["packages", "src", *GROUPS, "a.py"]), min_size=1, max_size=5)


@given(st.sets(PATHS.map("/".join)), st.sets(st.sampled_from(GROUPS)))
def test_a_file_stays_but_for_an_optional_group_that_is_not_there(
    paths: set[str], groups: set[str]
) -> None:
    overlay = dict.fromkeys(paths, b"")
    kept = of_groups(overlay, groups)
    for path in paths:
        named = {group for group in OPTIONAL if group in path.split("/")}
        assert (path in kept) == (named <= groups)


def test_each_base_has_the_files_of_its_groups(store: Store) -> None:
    for base in store.bases():
        lock = store.lock(base.name)
        for group in OPTIONAL:
            files = [path for path in lock.overlay if group in path.split("/")]
            assert bool(files) == (group in lock.groups), base.name
            assert sorted(store.series(base.name).overlay) == sorted(lock.overlay)
