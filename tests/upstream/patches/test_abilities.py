"""What vendor/upstream.toml states of a base is what lies in its tree."""

from pathlib import Path

from ltx2_patcher.boundaries import disk
from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.models.abilities import patched, shown, stated
from tests.upstream.conftest import BASE


def test_a_base_can_what_is_stated(store: Store, upstream_tree: Path) -> None:
    found = shown(BASE, lambda path: disk.read(upstream_tree / path))
    assert found == stated(store.base(BASE))


def test_a_base_with_its_series_can_what_is_told_of_it(store: Store, patched_tree: Path) -> None:
    found = shown(BASE, lambda path: disk.read(patched_tree / path))
    assert found == patched(store.base(BASE))
