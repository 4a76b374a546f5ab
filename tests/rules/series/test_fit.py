"""Hunks on bytes: exact, and back again."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.series.blobs import blob_id
from ltx2_patcher.rules.series.fit import Misfit, apply_diff, reverse
from ltx2_patcher.rules.series.lines import split_lines
from ltx2_patcher.rules.series.merge import edited
from ltx2_patcher.rules.series.patch_file import MAIL_START, parse_patch
from ltx2_patcher.values.errors import ConflictError
from ltx2_patcher.values.series import Patch
from tests.rules.series.test_patch_file import MESSAGE, PATH

LINES = st.lists(st.sampled_from(["a\n", "b\n", "\n", "c\r\n", "\x0c\n", "é\n"]), max_size=30)
TEXT = st.tuples(LINES, st.sampled_from(["", "end"])).map(lambda t: "".join(t[0]) + t[1])


def patch_between(old: bytes, new: bytes) -> Patch:
    """A canonical patch from `old` to `new`, its diff made by difflib."""
    before, after = ([x + b"\n" for x in t.split(b"\n")] for t in (old, new))
    for lines in (before, after):
        last = lines.pop().removesuffix(b"\n")
        if last:
            lines.append(last)
    rows = difflib.diff_bytes(
        difflib.unified_diff, before, after, f"a/{PATH}".encode(), f"b/{PATH}".encode()
    )
    head = f"diff --git a/{PATH} b/{PATH}\nindex {blob_id(old)}..{blob_id(new)} 100644\n".encode()
    body = b"".join(
        r if r.endswith(b"\n") else r + b"\n\\ No newline at end of file\n" for r in rows
    )
    return parse_patch("x.patch", MAIL_START + MESSAGE + head + body)


@given(old=TEXT, new=TEXT)
def test_a_diff_gives_the_new_bytes_and_back(old: str, new: str) -> None:
    before, after = old.encode(), new.encode()
    if before == after or not before or not after:
        return
    patch = patch_between(before, after)
    (diff,) = patch.diffs
    assert apply_diff(patch, diff, before) == after
    assert apply_diff(patch, reverse(diff), after) == before
    for made, start, end in ((diff, before, after), (reverse(diff), after, before)):
        assert b"".join(edited(split_lines(start), made.edits)) == end


def test_a_line_that_moved_is_a_misfit_that_says_where() -> None:
    patch = patch_between(b"a\nb\nc\nd\n", b"a\nb\nX\nd\n")
    with pytest.raises(Misfit, match=r'line 1 should be "a" and is "new"') as caught:
        apply_diff(patch, patch.diffs[0], b"new\na\nb\nc\nd\n")
    assert (caught.value.patch, caught.value.path, caught.value.line) == ("x.patch", PATH, 1)


def test_a_file_that_ends_too_early_is_a_misfit() -> None:
    patch = patch_between(b"a\nb\nc\n", b"a\nb\nX\n")
    with pytest.raises(Misfit, match="past the end"):
        apply_diff(patch, patch.diffs[0], b"a\nb\n")


def test_a_change_far_from_the_hunks_is_refused_too() -> None:
    old = b"".join(b"%d\n" % n for n in range(40))
    patch = patch_between(old, old.replace(b"3\n", b"X\n", 1))
    with pytest.raises(ConflictError, match="other than it promises"):
        apply_diff(patch, patch.diffs[0], old.replace(b"39\n", b"Y\n"))
