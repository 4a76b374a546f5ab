from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_service.rules.form_names import nested
from ltx2_service.values.request_faults import BadRequest

NAMES = st.sampled_from(["prompt", "images", "frame", "image_url", "a b"])
TREES = st.recursive(
    st.text(max_size=3),
    lambda below: (
        st.lists(below, min_size=1, max_size=3)
        | st.dictionaries(NAMES, below, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


def flat(value: Any, name: str) -> list[tuple[str, str]]:
    """A tree as a form's fields."""
    if isinstance(value, dict):
        return [one for key, below in value.items() for one in flat(below, f"{name}[{key}]")]
    if isinstance(value, list):
        return [one for at, below in enumerate(value) for one in flat(below, f"{name}[{at}]")]
    return [(name, value)]


@given(st.dictionaries(NAMES, TREES, max_size=3))
def test_what_was_flattened_is_read_back(tree: dict[str, Any]) -> None:
    assert nested([one for key, value in tree.items() for one in flat(value, key)]) == tree


def test_a_list_without_numbers_as_openais_client_writes_it() -> None:
    fields = [
        ("images[][image_url]", "a"),
        ("images[][frame]", "0"),
        ("images[][image_url]", "b"),
        ("images[][frame]", "8"),
        ("tags[]", "x"),
        ("tags[]", "y"),
    ]
    assert nested(fields) == {
        "images": [{"image_url": "a", "frame": "0"}, {"image_url": "b", "frame": "8"}],
        "tags": ["x", "y"],
    }


@pytest.mark.parametrize(
    "names",
    [
        ["a", "a"],
        ["a", "a[b]"],
        ["a[b]", "a"],
        ["[a]"],
        ["a[b"],
        ["a]b["],
        [""],
        ["a[1]"],
        ["a[0]", "a[2]"],
        [f"a[{at}]" for at in range(65)],
    ],
)
def test_what_has_no_meaning_is_refused(names: list[str]) -> None:
    with pytest.raises(BadRequest):
        nested([(name, "") for name in names])


@given(st.lists(st.tuples(st.text(alphabet="a01[]", max_size=8), st.just("")), max_size=6))
def test_any_names_are_read_or_refused(fields: list[tuple[str, str]]) -> None:
    try:
        nested(fields)
    except BadRequest as error:
        assert error.remedy
