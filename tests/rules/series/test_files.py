"""Lock, series, RECORD, mailbox, symbols: what is written is read back, what is wrong refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.series.lock_file import (
    parse_base_lock,
    parse_lock,
    parse_overlay_lock,
    render_base_lock,
    render_lock,
    render_overlay_lock,
    with_overlay,
)
from ltx2_patcher.rules.series.mailbox import file_name
from ltx2_patcher.rules.series.record_file import update
from ltx2_patcher.rules.series.series_file import parse_series, render_series
from ltx2_patcher.rules.series.symbols import missing
from ltx2_patcher.rules.series.tree_state import judge
from ltx2_patcher.values.base import GROUPS
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.series import Lock, LockedPatch, Shared, Standing

NAMES = st.text("abcdefg0123456789_", min_size=1, max_size=8).filter(lambda n: n[0] != "_")
IDS = st.text("0123456789abcdef", min_size=40, max_size=40)
LINES = st.binary(max_size=9).filter(lambda line: b"\n" not in line)
SHARED = st.none() | st.builds(
    Shared, NAMES, st.dictionaries(st.integers(1, 99), LINES, max_size=3)
)
PATHS = NAMES.map(lambda n: f"packages/x/src/{n}.py")


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    groups = [g for g in GROUPS if draw(st.booleans())] or [GROUPS[0]]
    patches = {
        f"{n}.patch": LockedPatch(draw(IDS), draw(st.sampled_from(groups)), draw(SHARED))
        for n in draw(st.lists(NAMES, unique=True, max_size=4))
    }
    paths = draw(st.lists(PATHS, unique=True, max_size=4))
    before = {p: draw(IDS) for p in paths if draw(st.booleans())}
    after = {g: {p: draw(IDS) for p in paths} for g in groups}
    return Lock(draw(NAMES), draw(IDS), patches, before, after)


@given(lock=locks())
def test_a_lock_is_read_back(lock: Lock) -> None:
    data = render_lock(lock)
    assert parse_lock(data, "lock") == lock
    assert render_lock(parse_lock(data, "lock")) == data


@given(lock=locks(), data=st.data())
def test_a_torn_lock_is_refused(lock: Lock, data: st.DataObject) -> None:
    whole = render_lock(lock)
    with pytest.raises(InvalidError):
        parse_lock(whole[: data.draw(st.integers(0, len(whole) - 3))], "lock")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=6), x, max_size=3),
    )
)
def test_any_other_json_is_refused(value: object) -> None:
    with pytest.raises(InvalidError):
        parse_lock(json.dumps(value).encode(), "lock")


SOUND = Lock(
    "b", "c", {}, {"packages/x/src/p.py": "0" * 40}, {"portable": {"packages/x/src/p.py": "1" * 40}}
)


@pytest.mark.parametrize(
    "broken",
    [
        replace(SOUND, before={"packages/x/src/../../../etc/p": "0" * 40}),
        replace(SOUND, before={"packages/x/src/q.py": "0" * 40}),
        replace(SOUND, before={"packages/x/src/p.py": "0" * 39}),
        replace(SOUND, after={"gemma-quant": {}, "portable": SOUND.after["portable"]}),
    ],
)
def test_a_lock_that_can_not_be_is_refused(broken: Lock) -> None:
    assert parse_lock(render_lock(SOUND), "lock") == SOUND
    with pytest.raises(InvalidError, match="is not a lock"):
        parse_lock(render_lock(broken), "lock")


@given(lock=locks(), overlay=st.dictionaries(PATHS, IDS, max_size=3))
def test_a_bases_lock_leaves_the_overlay_to_its_own(lock: Lock, overlay: dict[str, str]) -> None:
    """Joined with any overlay of other paths it is the lock with that overlay."""
    laid = {path: blob for path, blob in overlay.items() if path not in lock.paths}
    data = render_base_lock(lock)
    whole = parse_base_lock(data, "lock", laid)
    assert whole == with_overlay(lock, laid) and whole.overlay == laid
    assert render_base_lock(whole) == data
    assert parse_overlay_lock(render_overlay_lock(laid), "overlay") == laid


def test_a_bases_lock_that_speaks_of_the_overlay_is_refused() -> None:
    ours, path = "packages/x/src/o.py", "packages/x/src/p.py"
    with pytest.raises(InvalidError, match="no file of its base"):
        parse_base_lock(render_lock(with_overlay(SOUND, {ours: "2" * 40})), "lock", {})
    with pytest.raises(InvalidError, match="the overlay's"):
        parse_base_lock(render_base_lock(SOUND), "lock", {path: "2" * 40})


@pytest.mark.parametrize(
    "text", ["", "[]", '{"packages/x/src/o.py": 1}', '{"packages/x/src/o.py": "2"}', '{"/o": "2"}']
)
def test_an_overlays_lock_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="is not a lock"):
        parse_overlay_lock(text.encode(), "overlay")


@pytest.mark.parametrize("lines", [{"x": "a"}, {"1": "a\nb"}, {"1": 2}, {"1": "\ud800"}, []])
def test_lines_of_a_shared_patch_that_can_not_be_are_refused(lines: object) -> None:
    patch = {"sha256": "", "group": "portable", "shared": "b", "lines": lines}
    raw = {**json.loads(render_lock(SOUND)), "patches": {"p.patch": patch}}
    with pytest.raises(InvalidError, match="is not a lock"):
        parse_lock(json.dumps(raw).encode(), "lock")


def test_groups_that_do_not_stack_are_refused() -> None:
    lock = Lock("b", "c", {}, {}, {"portable": {}, "gemma-quant": {}})
    with pytest.raises(InvalidError, match="stack"):
        parse_lock(render_lock(lock), "lock")


@given(st.lists(NAMES.map(lambda n: f"{n}.patch"), unique=True))
def test_a_series_is_read_back(names: list[str]) -> None:
    assert parse_series(render_series(tuple(names)), "series") == tuple(names)


@given(st.binary(max_size=60))
def test_a_series_of_any_bytes_is_read_or_refused(data: bytes) -> None:
    try:
        names = parse_series(data, "series")
    except InvalidError:
        return
    assert all(name.endswith(".patch") and name.count("/") in (0, 2) for name in names)


def test_a_series_may_carry_comments() -> None:
    assert parse_series(b"# why\na.patch # x\n\nb.patch\n", "series") == ("a.patch", "b.patch")


RECORD = b"a/x.py,sha256=AAA,3\r\na/y.py,,\r\na-1.dist-info/RECORD,,\r\n"


def test_record_lines_follow_the_files_and_keep_their_line_ends() -> None:
    done = update(RECORD, {"a/x.py": b"new", "a/y.py": b"new", "a/z.py": b"zz"})
    new, x, y, own = done.splitlines(keepends=True)
    assert new.startswith(b"a/z.py,sha256=") and new.endswith(b",2\n")
    # base64.urlsafe_b64encode(hashlib.sha256(b"new").digest())
    assert x == b"a/x.py,sha256=EVB6Di9eadXfpApiob17buV-a82FxnybhDGzb_8hxDc,3\r\n"
    assert (y, own) == (b"a/y.py,,\r\n", b"a-1.dist-info/RECORD,,\r\n")


@given(st.dictionaries(st.sampled_from(["a/p.py", "a/q.py", "b.py"]), st.binary(max_size=9)))
def test_added_record_lines_go_without_a_trace(files: dict[str, bytes]) -> None:
    added = update(RECORD, files)
    assert update(added, dict.fromkeys(files)) == RECORD


@given(old=st.binary(max_size=9), new=st.binary(max_size=9))
def test_a_changed_record_line_changes_back(old: bytes, new: bytes) -> None:
    first = update(RECORD, {"a/x.py": old})
    assert update(update(first, {"a/x.py": new}), {"a/x.py": old}) == first


def test_file_names_come_from_subjects() -> None:
    assert file_name("Stream Gemma, 4-bit (NF4)") == "stream_gemma_4_bit_nf4.patch"


SOURCE = b"""
def f(a, *, b=1): ...
class C:
    def __init__(self, c): parser.add_argument("--flag"); called(c)
    def kept(self): self._kept, other.lost = 1, self.read
"""


def test_symbols_are_found_where_they_stand() -> None:
    there = ("f", "f(a)", "f(b)", "C.__init__(c)", "--flag", "called()", "C._kept")
    assert missing("x.py", SOURCE, there) == ()
    absent = ("g", "f(c)", "C.f", "--flags", "C.__init__(b)", "called", "f()", "C.lost", "C.read")
    assert missing("x.py", SOURCE, absent) == absent


def test_a_file_that_does_not_parse_is_refused() -> None:
    with pytest.raises(InvalidError, match="does not parse"):
        missing("x.py", b"def f(:\n", ())


LOCK = Lock(
    "b",
    "c",
    {},
    {"p": "0", "q": "0"},
    {"gemma-quant": {"p": "1", "q": "0", "o": "9"}, "portable": {"p": "1", "q": "2", "o": "9"}},
)


@pytest.mark.parametrize(
    ("found", "standing", "group", "differing"),
    [
        ({"p": "0", "q": "0", "o": None}, Standing.UPSTREAM, None, ()),
        ({"p": "1", "q": "0", "o": "9"}, Standing.PATCHED, "gemma-quant", ()),
        ({"p": "1", "q": "2", "o": "9"}, Standing.PATCHED, "portable", ()),
        ({"p": "1", "q": "5", "o": "9"}, Standing.EDITED, None, ("q",)),
        ({"p": "0", "q": "0", "o": "9"}, Standing.EDITED, None, ("o",)),
        ({"p": None, "q": None, "o": None}, Standing.MISSING, None, ("p", "q")),
    ],
)
def test_a_tree_is_told_by_content(
    found: dict[str, str | None], standing: Standing, group: str | None, differing: tuple[str, ...]
) -> None:
    judged = judge(LOCK, found)
    assert (judged.standing, judged.group, judged.differing) == (standing, group, differing)
