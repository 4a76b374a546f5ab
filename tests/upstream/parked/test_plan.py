"""As many blocks are kept as fit, evenly spread."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from ltx_core.parked.plan import kept_blocks

SIZE = 7


@given(st.integers(1, 64), st.integers(0, 70))
def test_as_many_as_fit_are_kept(blocks: int, fitting: int) -> None:
    kept = kept_blocks([SIZE] * blocks, fitting * SIZE + SIZE - 1)
    assert len(kept) == min(fitting, blocks)
    assert kept <= set(range(blocks))


@given(st.integers(1, 64), st.integers(1, 64))
def test_those_that_pass_lie_evenly_between(blocks: int, fitting: int) -> None:
    kept = sorted(kept_blocks([SIZE] * blocks, fitting * SIZE))
    gaps = {after - before for before, after in pairwise(kept)}
    assert not gaps or max(gaps) - min(gaps) <= 1


@given(st.lists(st.integers(1, 99), min_size=1, max_size=64), st.integers(0, 9999))
def test_never_more_than_the_room(sizes: list[int], room: int) -> None:
    kept = kept_blocks(sizes, room)
    assert sum(sizes[index] for index in kept) <= room
    assert kept or min(sizes) > room or sizes[-1] > room
    assert len(kept) == len(sizes) or sum(sizes) > room
