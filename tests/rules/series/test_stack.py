"""Layers change places or are told apart as entangled; the text at the end never changes."""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.series.lines import split_lines
from ltx2_patcher.rules.series.stack import Entangled, Layer, moved, texts
from ltx2_patcher.values.series import Edit

LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\n", "e\n"]), max_size=12)
PATH = "packages/x/src/x.py"


def layer(name: str, old: bytes, new: bytes) -> Layer:
    was, now = split_lines(old), split_lines(new)
    codes = SequenceMatcher(None, was, now, autojunk=False).get_opcodes()
    edits = tuple(
        Edit(i, tuple(was[i:i_end]), tuple(now[j:j_end]))
        for tag, i, i_end, j, j_end in codes
        if tag != "equal"
    )
    return Layer(name, {PATH: edits})


@given(st.lists(LINES, min_size=3, max_size=5), st.data())
def test_the_end_stays_the_same_wherever_a_layer_moves(
    versions: list[list[str]], data: st.DataObject
) -> None:
    contents = ["".join(lines).encode() for lines in versions]
    stack = [layer(str(n), *pair) for n, pair in enumerate(pairwise(contents))]
    base = {PATH: contents[0]}
    old = data.draw(st.integers(0, len(stack) - 1))
    new = data.draw(st.integers(0, len(stack) - 1))
    try:
        done = moved(base, stack, old, new)
    except Entangled as error:
        assert {error.upper, error.lower} <= {item.name for item in stack}
        assert error.places
        return
    order = [item.name for item in stack]
    order.insert(new, order.pop(old))
    assert [item.name for item in done] == order
    assert texts(base, done)[-1] == {PATH: contents[-1]}
    assert sum(len(item.edits[PATH]) for item in done) == sum(
        len(item.edits[PATH]) for item in stack
    )
    assert texts(base, moved(base, done, new, old)) == texts(base, stack)


def test_layers_that_touch_are_told_with_the_place() -> None:
    one = layer("one.patch", b"a\nb\nc\n", b"a\nX\nc\n")
    two = layer("two.patch", b"a\nX\nc\n", b"a\nX\nY\nc\n")
    with pytest.raises(Entangled, match=r'two.patch builds on one.patch: .* line 3 \("Y"\)'):
        moved({PATH: b"a\nb\nc\n"}, [one, two], 0, 1)


def test_layers_of_other_files_pass_freely() -> None:
    one = layer("one", b"a\n", b"b\n")
    two = Layer("two", {"packages/x/src/y.py": (Edit(0, (), (b"new\n",)),)})
    base = {PATH: b"a\n", "packages/x/src/y.py": b""}
    assert moved(base, [one, two], 0, 1) == (two, one)
