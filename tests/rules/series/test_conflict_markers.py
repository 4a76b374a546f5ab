"""Clashes between markers, as git's tools read them."""

from __future__ import annotations

import re

from hypothesis import given

from ltx2_patcher.rules.series.conflict_markers import has_markers, marked
from ltx2_patcher.rules.series.merge import edited, merge
from tests.rules.series.test_merge import SIDES, Sides

_CLASH = re.compile(
    rb"<{7} theirs\n(.*?)\|{7} before the patch\n(.*?)={7}\n(.*?)>{7} ours\n", re.DOTALL
)


@given(SIDES)
def test_each_side_of_the_markers_is_that_sides_text(sides: Sides) -> None:
    base, ours, theirs = sides
    text = marked(base, ours, theirs, head="theirs", patch="ours")
    merged = merge(base, ours, theirs)
    upstream = _CLASH.sub(rb"\1", text)
    assert upstream == b"".join(edited(edited(base, theirs), merged.ours))
    found = [tuple(match.groups()) for match in _CLASH.finditer(text)]
    assert found == [
        tuple(b"".join(part) for part in (clash.theirs, clash.base, clash.ours))
        for clash in merged.clashes
    ]
    assert has_markers(text) == bool(merged.clashes)


def test_a_last_line_without_an_end_gets_one_before_a_marker() -> None:
    from ltx2_patcher.values.series import Edit

    text = marked(
        [b"a"], [Edit(0, (b"a",), (b"b",))], [Edit(0, (b"a",), (b"c",))], head="x", patch="y"
    )
    assert text == b"<<<<<<< x\nc\n||||||| before the patch\na\n=======\nb\n>>>>>>> y\n"


def test_only_a_line_that_starts_with_it_is_a_marker() -> None:
    assert has_markers(b"a\n<<<<<<< x\n") and has_markers(b">>>>>>>\n")
    assert not has_markers(b"a <<<<<<< x\n=======\n<<<<<<<<\n")
