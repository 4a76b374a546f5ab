"""Two series side by side: what is only carried over is silent, what differs is shown."""

from __future__ import annotations

from dataclasses import replace

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.series.patch_file import parse_patch
from ltx2_patcher.rules.series.series_diff import Likeness, compare_patches
from ltx2_patcher.values.series import Patch
from tests.conftest import BASE
from tests.rules.series.test_patch_file import DIFF, PATH, made


def patch(diff: str = DIFF, name: str = "do_it.patch") -> Patch:
    return replace(parse_patch(name, made(diff=diff)), name=name)


def test_a_series_is_like_itself(store: Store) -> None:
    patches = store.series(BASE).patches
    for everything in (False, True):
        pairs = compare_patches(patches, patches, everything=everything)
        assert [pair.name for pair in pairs] == [patch.name for patch in patches]
        assert {(pair.likeness, pair.lines) for pair in pairs} == {(Likeness.SAME, ())}


def test_place_context_and_depth_are_no_difference_in_substance() -> None:
    one = patch()
    carried = patch(
        DIFF.replace("@@ -1,2 +1,2 @@ def f():", "@@ -70,2 +71,2 @@ def g():")
        .replace(" a\n", " another line\n")
        .replace("-b", "-    b")
        .replace("+c", "+    c")
        .replace("1111", "3333")
    )
    (pair,) = compare_patches([one], [carried])
    assert (pair.likeness, pair.lines) == (Likeness.SAME, ())
    (pair,) = compare_patches([one], [carried], everything=True)
    assert pair.likeness is Likeness.DIFFERS
    assert {"-  a", "+  another line"} <= set(pair.lines)


def test_a_changed_line_a_file_and_a_group_are_shown() -> None:
    one, other = patch(), patch(DIFF.replace("+c", "+d"))
    (pair,) = compare_patches([one], [other])
    assert "- +c" in pair.lines and "+ +d" in pair.lines
    assert pair.lines[0] == f"## {PATH}"
    moved = replace(one, diffs=(replace(one.diffs[0], path=PATH.replace("x.py", "y.py")),))
    (pair,) = compare_patches([one], [moved])
    assert [line for line in pair.lines if "##" in line] == [
        f"## {PATH} (only -)",
        f"## {PATH.replace('x.py', 'y.py')} (only +)",
    ]
    (pair,) = compare_patches([one], [replace(one, group="lean")])
    assert {"- Group: portable", "+ Group: lean"} <= set(pair.lines)


def test_patches_of_one_base_alone_keep_their_place() -> None:
    both, one, other = patch(), patch(name="one.patch"), patch(name="other.patch")
    pairs = compare_patches([one, both], [both, other])
    assert [(p.name, p.likeness.value, p.places) for p in pairs] == [
        ("one.patch", "<", (1, None)),
        ("do_it.patch", "=", (2, 1)),
        ("other.patch", ">", (None, 2)),
    ]
