from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ltx2_service.rules.wanted_text import digest_of, parse_wanted, render_wanted
from ltx2_service.values.job import Picture, Wanted

anything = st.text(st.characters(exclude_categories=()), max_size=20)  # halves of characters too
numbers = st.none() | st.integers(1, 10**6)
wanted = st.builds(
    Wanted,
    prompt=anything,
    model=st.none() | anything,
    negative_prompt=st.none() | anything,
    width=numbers,
    frame_rate=st.none() | st.floats(0.1, 1000),
    seed=st.none() | st.integers(0, 2**63),
    pictures=st.lists(
        st.builds(Picture, st.just(Path("/up/1.png")), st.integers(0, 9), st.floats(0, 1)),
        max_size=2,
    ).map(tuple),
    key=st.none() | anything,
    echo=st.dictionaries(anything, st.none() | anything | st.integers(0, 2**40), max_size=3),
)


@given(wanted)
def test_what_is_written_is_read_back(one: Wanted) -> None:
    assert parse_wanted(render_wanted(one)) == one


@given(wanted, wanted)
def test_a_digest_tells_requests_apart_and_not_where_their_pictures_lie(
    one: Wanted, other: Wanted
) -> None:
    def digest(asked: Wanted) -> str:
        return digest_of(asked, ["content"] * len(asked.pictures))

    elsewhere = [replace(picture, path=Path("/up/2.png")) for picture in one.pictures]
    moved = replace(one, pictures=tuple(elsewhere), key="another")
    assert digest(moved) == digest(one)
    same = replace(one, key=None) == replace(other, key=None)
    assert (digest(one) == digest(other)) == same
    if one.pictures:
        assert digest_of(one, ["other"] * len(one.pictures)) != digest(one)
