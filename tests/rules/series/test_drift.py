"""Which series supports a revision, judged on values alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.series.drift import (
    Laid,
    in_words,
    lay,
    near,
    nearest,
    stages_of,
    supporting,
)
from ltx2_patcher.rules.series.merge import Clash
from ltx2_patcher.rules.series.supported_file import (
    SupportedRevision,
    parse_supported,
    render_supported,
)
from ltx2_patcher.rules.series.three_way import Breach, Fit, How
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.series import Edit, FileDiff, Hunk, Lock, Patch, Series

PATCH = Patch("a.patch", "A", "", "x", "x", "gemma-quant", "x", (), b"")
BREACH = Breach("a.py", Hunk(1, (), (), "@@", ()), None)


def laid(base: str, *hows: How, drift: int = 0, faults: tuple[str, ...] = ()) -> Laid:
    fits = (Fit(PATCH, how, {}, (BREACH,) if how is How.MISFIT else ()) for how in hows)
    return Laid(base, tuple(fits), faults, drift)


def test_strict_serves_before_three_way_and_then_the_least_drift() -> None:
    far = laid("far", How.STRICT, How.STRICT, drift=900)
    merged = laid("merged", How.STRICT, How.THREE_WAY, drift=3)
    closer = laid("closer", How.THREE_WAY, How.LANDED, drift=2)
    broken = laid("broken", How.STRICT, How.MISFIT)
    faulty = laid("faulty", How.STRICT, faults=("it does not parse",))
    assert supporting([broken, merged, far, closer]) is far
    assert supporting([broken, merged, faulty, closer]) is closer
    assert supporting([broken, faulty]) is None
    assert nearest([laid("worse", How.MISFIT, How.MISFIT), broken]) is broken
    assert [one.how for one in (far, merged, closer, broken, faulty)] == [
        How.STRICT,
        How.THREE_WAY,
        How.THREE_WAY,
        How.MISFIT,
        How.MISFIT,
    ]


def one_line(name: str, group: str, number: int) -> Patch:
    """A patch that turns line `number` of a.py into its own name."""
    old, new = (f"x{number} = 0\n".encode(),), (f"{name} = 0\n".encode(),)
    hunk = Hunk(number, old, new, "@@", (Edit(number - 1, old, new),))
    return replace(PATCH, name=name, group=group, diffs=(FileDiff("a.py", "", "", (hunk,)),))


@pytest.mark.parametrize(
    ("missing", "hows"),
    [
        (None, [How.STRICT, How.STRICT, How.STRICT]),
        (4, [How.STRICT, How.LEFT_OUT, How.LEFT_OUT]),
        (7, [How.STRICT, How.LEFT_OUT, How.LEFT_OUT]),
        (1, [How.MISFIT, How.STRICT, How.STRICT]),
    ],
)
def test_an_optional_group_that_does_not_fit_is_left_out(
    missing: int | None, hows: list[How]
) -> None:
    """The whole of it, and its symbols are not asked for; the rest of the series goes in."""
    lines = [f"x{number} = 0\n" for number in range(1, 10)]
    base = {"a.py": "".join(lines).encode()}
    edits = []
    if missing is not None:
        old = (lines[missing - 1].encode(),)
        edits = [Edit(missing - 1, old, (b"theirs = 1\n",))]
        lines[missing - 1] = "theirs = 1\n"
    tree = {"a.py": "".join(lines).encode()}
    patches = (
        one_line("first", "portable", 1),
        one_line("second", "parked", 4),
        one_line("third", "parked", 7),
    )
    lock = Lock("b", "", {}, {}, {"portable": {}, "parked": {}})
    series = Series("b", patches, {}, {"parked": {"a.py": ("lacking",)}}, lock)
    made = lay(series, base, tree, {"a.py": edits})
    assert [fit.how for fit in made.fits] == hows
    assert bool(made.faults) == (missing is None)
    assert [stage.patch for stage in stages_of(series, made, "parked")[1:]] == [
        fit.patch for fit in made.fits if fit.how in {How.STRICT, How.THREE_WAY}
    ]


@pytest.mark.parametrize(("line", "is_near"), [(4, False), (6, True), (10, True), (14, True)])
def test_near_is_within_a_hunks_context(line: int, is_near: bool) -> None:
    ours = (Edit(10, (b"x\n",), (b"y\n",)),)
    theirs = (Edit(line, (b"p\n",), (b"q\n",)),)
    assert bool(near(ours, theirs)) == is_near


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (b"a\n", b"b\n", '"a" should stand there and is "b"'),
        (b"a\n", b"", '"a" is gone'),
        (b"a\nb\n", b"a\n\n", '"b" is gone'),
        (b"", b"b\n", '"b" stands where ours goes'),
        (b"a\n", b"a\nb\n", '"b" stands where ours goes'),
        (b"a\n", b"  a\n", '"a" stands there with other blanks'),
    ],
)
def test_a_clash_is_told_by_the_first_line_that_differs(
    ours: bytes, theirs: bytes, said: str
) -> None:
    texts = (tuple(text.splitlines(keepends=True)) for text in (ours, b"mine\n", theirs))
    breach = Breach("a.py", Hunk(1, (), (), "@@", ()), Clash(0, *texts))
    assert in_words([breach]) == [f"a.py, hunk @@: {said}"]


WORDS = st.text(min_size=1)


@given(
    st.lists(st.builds(SupportedRevision, WORDS, WORDS, WORDS, WORDS), unique_by=lambda r: r.commit)
)
def test_a_record_reads_back(revisions: list[SupportedRevision]) -> None:
    if revisions:
        assert parse_supported(render_supported(revisions), "x") == tuple(revisions)


@given(st.one_of(st.binary(), st.sampled_from([b"[]", b"1", b'{"a": 1}', b'{"a": {}}', b"null"])))
def test_any_bytes_are_a_record_or_refused(data: bytes) -> None:
    try:
        parse_supported(data, "patches/supported.json")
    except InvalidError as error:
        assert "patches/supported.json" in str(error)
