"""Our three-way merge against git's own, and the algebra that replaying builds on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ltx2_patcher.rules.series.lines import split_lines
from ltx2_patcher.rules.series.merge import edited, merge, undone
from ltx2_patcher.values.series import Edit

LINES = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"d\n", b"\n"]), min_size=1, max_size=14)


@st.composite
def edits(draw: st.DrawFn, base: list[bytes]) -> tuple[Edit, ...]:
    """Edits of `base` with an unchanged line between any two, as a diff has them."""
    made, at = [], 0
    while at <= len(base):
        start = draw(st.integers(at, len(base) + 1))
        if start > len(base):
            break
        end = draw(st.integers(start, min(start + 3, len(base))))
        new = tuple(draw(st.lists(st.sampled_from([b"x\n", b"y\n", b"a\n"]), max_size=3)))
        old = tuple(base[start:end])
        if old != new:
            made.append(Edit(start, old, new))
        at = end + 1
    return tuple(made)


Sides = tuple[list[bytes], tuple[Edit, ...], tuple[Edit, ...]]
SIDES = LINES.flatmap(lambda base: st.tuples(st.just(base), edits(base), edits(base)))


@given(SIDES)
def test_both_orders_give_one_text(sides: Sides) -> None:
    base, ours, theirs = sides
    merged = merge(base, ours, theirs)
    for start, second in ((theirs, merged.ours), (ours, merged.theirs)):
        assert all(tuple(edited(base, start)[edit.start : edit.end]) == edit.old for edit in second)
    one = edited(edited(base, theirs), merged.ours)
    other = edited(edited(base, ours), merged.theirs)
    assert one == other


@given(SIDES)
def test_undone_edits_leave_the_text(sides: Sides) -> None:
    base, ours, _ = sides
    assert edited(edited(base, ours), undone(ours)) == base


@given(LINES.flatmap(lambda base: st.tuples(st.just(base), edits(base))))
def test_what_both_made_is_left_out(case: tuple[list[bytes], tuple[Edit, ...]]) -> None:
    base, same = case
    merged = merge(base, same, same)
    assert (merged.ours, merged.theirs, merged.clashes) == ((), (), ())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("merge")


@settings(max_examples=150, deadline=None)
@given(texts=st.tuples(LINES, LINES, LINES))
@example(texts=([b"b\n", b"a\n"], [b"a\n", b"b\n", b"a\n"], [b"b\n", b"\n", b"b\n", b"a\n"]))
def test_clashes_are_those_of_git(folder: Path, texts: tuple[list[bytes], ...]) -> None:
    for name, lines in zip(("base", "ours", "theirs"), texts, strict=True):
        (folder / name).write_bytes(b"".join(lines))
    merged = merge(texts[0], git_edits(folder, "ours"), git_edits(folder, "theirs"))
    theirs = split_lines((folder / "theirs").read_bytes())
    done = subprocess.run(
        ["git", "merge-file", "-p", "-q", "ours", "base", "theirs"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    assert (done.returncode == 0) == (not merged.clashes)
    if not merged.clashes:
        assert b"".join(edited(theirs, merged.ours)) == done.stdout


DIFF = ("--diff-algorithm=myers", "--no-indent-heuristic")


def git_edits(folder: Path, name: str) -> tuple[Edit, ...]:
    """What git's own diff changed from base to `name`, with hunks where merge-file has them: it
    does not slide them by indentation.
    """
    old, new = (split_lines((folder / n).read_bytes()) for n in ("base", name))
    text = subprocess.run(
        ["git", "diff", "--no-index", "-U0", *DIFF, "base", name],
        cwd=folder,
        capture_output=True,
        check=False,
    ).stdout
    found = []
    for match in re.finditer(rb"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", text, re.MULTILINE):
        i, n, j, m = (int(group) if group else 1 for group in match.groups())
        i, j = i - (n > 0), j - (m > 0)
        found.append(Edit(i, tuple(old[i : i + n]), tuple(new[j : j + m])))
    return tuple(found)
