"""Files of an optional group go to the series that have the group; all others to every series."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.series.overlay import of_groups
from ltx2_patcher.values.base import GROUPS, OPTIONAL, OWNED

PATHS = st.lists(
    st.sampled_from(["packages", "src", *GROUPS, "weight_files", "convert.py", "a.py"]),
    min_size=1,
    max_size=5,
)


@given(st.sets(PATHS.map("/".join)), st.sets(st.sampled_from(GROUPS)))
def test_a_file_stays_but_for_an_optional_group_that_is_not_there(
    paths: set[str], groups: set[str]
) -> None:
    overlay = dict.fromkeys(paths, b"")
    kept = of_groups(overlay, groups)
    for path in paths:
        owners = {group for group in OPTIONAL if OWNED[group] & set(path.split("/"))}
        assert (path in kept) == (owners <= groups)


def test_every_optional_group_owns_files_alone() -> None:
    assert OWNED.keys() == set(OPTIONAL)
    assert sum(map(len, OWNED.values())) == len(frozenset[str]().union(*OWNED.values()))


def test_each_base_has_the_files_of_its_groups(store: Store) -> None:
    for base in store.bases():
        lock = store.lock(base.name)
        for group in OPTIONAL:
            files = [path for path in lock.overlay if OWNED[group] & set(path.split("/"))]
            assert bool(files) == (group in lock.groups), base.name
            assert sorted(store.series(base.name).overlay) == sorted(lock.overlay)
