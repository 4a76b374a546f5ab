"""The readers of a series on mutated real files: read, or refused as InvalidError."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltx2_patcher.rules.series.lock_file import parse_lock
from ltx2_patcher.rules.series.patch_file import parse_patch
from ltx2_patcher.rules.series.paths import is_source
from ltx2_patcher.rules.series.series_file import parse_series
from ltx2_patcher.values.errors import InvalidError
from tests.conftest import ROOT
from tests.jobs.series.test_hostile_store import HOSTILE

PATCHES = [path.read_bytes() for path in sorted((ROOT / "patches").glob("*/*.patch"))]
LOCKS = [path.read_bytes() for path in sorted((ROOT / "patches").glob("*/lock.json"))]
SERIES = [path.read_bytes() for path in sorted((ROOT / "patches").glob("*/series"))]


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """A real file with up to four places cut, overwritten, doubled or turned hostile."""
    data = draw(st.sampled_from(originals))
    lines = data.split(b"\n")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(lines) - 1, 0)))
        junk = draw(st.one_of(st.sampled_from(HOSTILE), st.binary(max_size=9)))
        kind = draw(st.sampled_from(["drop", "double", "inside", "instead", "cut", "swap"]))
        if kind == "drop" and len(lines) > 1:
            del lines[at]
        elif kind == "double":
            lines.insert(at, lines[at])
        elif kind == "inside":
            middle = draw(st.integers(0, len(lines[at])))
            lines[at] = lines[at][:middle] + junk + lines[at][middle:]
        elif kind == "instead":
            lines[at] = junk
        elif kind == "cut":
            lines = lines[: at + 1]
        else:
            other = draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
    return b"\n".join(lines)


@settings(max_examples=1500, deadline=None)
@given(mutated(PATCHES))
def test_a_patch_is_read_or_refused(data: bytes) -> None:
    try:
        patch = parse_patch("x.patch", data)
    except InvalidError as error:
        assert error.remedy
        return
    assert patch.data == data
    assert patch.diffs and all(is_source(diff.path) for diff in patch.diffs)
    assert all(hunk.old or hunk.new for diff in patch.diffs for hunk in diff.hunks)


@settings(max_examples=500, deadline=None)
@given(mutated(LOCKS))
def test_a_lock_is_read_or_refused(data: bytes) -> None:
    try:
        lock = parse_lock(data, "lock.json")
    except InvalidError as error:
        assert error.remedy
        return
    assert all(is_source(path) for path in lock.paths)


@settings(max_examples=500, deadline=None)
@given(mutated(SERIES))
def test_a_series_file_is_read_or_refused(data: bytes) -> None:
    try:
        names = parse_series(data, "series")
    except InvalidError as error:
        assert error.remedy
        return
    for name in names:
        *folders, plain = name.split("/")
        assert plain.endswith(".patch") and not {"", ".", ".."} & set(folders)
        assert not folders or (folders[0] == "shared" and len(folders) == 2)


@pytest.mark.parametrize(
    "path",
    [
        "packages/x/src/../y.py",
        "packages/x/src/.git/y.py",
        "packages/x/src/.GIT/y.py",
        "packages/x/src//y.py",
        "packages/../src/y.py",
        "/packages/x/src/y.py",
        "packages/x/src/\u00e9.py",
        "packages/x/src/y.py\n",
        "packages/x/src/a\x00b",
        "packages/x/src/a\\..\\b",
        "packages/x/src/",
    ],
)
def test_a_path_that_no_series_may_touch(path: str) -> None:
    assert not is_source(path)
