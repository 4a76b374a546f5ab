"""Line diffs that git makes, read back as edits."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ltx2_patcher.boundaries.linediff import line_diffs
from ltx2_patcher.rules.series.lines import split_lines
from ltx2_patcher.rules.series.merge import edited

WORDS = st.sampled_from(
    [b"a\n", b"\n", b"@@ -1 +1 @@\n", b"diff --git a/0 b/0\n", b"c\r\n", b"\0\n"]
)
TEXT = st.tuples(st.lists(WORDS, max_size=12), st.sampled_from([b"", b"end"])).map(
    lambda parts: b"".join(parts[0]) + parts[1]
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), max_size=12))
def test_edits_make_the_second_text_of_the_first(pairs: list[tuple[bytes, bytes]]) -> None:
    for (old, new), edits in zip(pairs, line_diffs(pairs), strict=True):
        assert b"".join(edited(split_lines(old), edits)) == new
        assert bool(edits) == (old != new)
