"""What vendor/upstream.toml states of a base is what lies in its tree."""

from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.models.abilities import shown, stated
from tests.upstream.conftest import BASE


def test_a_base_can_what_is_stated(store: Store, upstream_tree: Path) -> None:
    found = shown(BASE, lambda path: disk.read(upstream_tree / path))
    assert found == stated(store.base(BASE))


def test_the_series_lets_each_base_fold_scales_and_changes_no_other_ability(
    store: Store, patched_tree: Path
) -> None:
    found = shown(BASE, lambda path: disk.read(patched_tree / path))
    before = stated(store.base(BASE))
    assert (found.loads, found.can) == (before.loads, before.can | {"folds-scales"})
