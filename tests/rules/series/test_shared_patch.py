"""A shared patch and its bases' lines: joined and split again, and nothing else fits together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.series.patch_file import MAIL_START, parse_patch
from ltx2_patcher.rules.series.shared_patch import alike, joined, lines_on, placed, shared_form
from ltx2_patcher.values.errors import InvalidError
from ltx2_patcher.values.series import Lock, Patch, Series

WORDS = st.text("abc +-@index", max_size=9)
IDS = st.text("0123456789abcdef", min_size=40, max_size=40)
PATH = "packages/x/src/x.py"

MAIL = """\
From: A <a@example.invalid>
Date: Mon, 23 Nov 2026 00:38:36 +0000
Subject: Do a thing

index of the reasons, which are long enough for a patch: it does a thing.
 It is known to do so.
@@ They are here.

It can go when the tests do.

Upstream-Status: {status}
Group: portable

diff --git a/{path} b/{path}
index {before}..{after} 100644
--- a/{path}
+++ b/{path}
@@ -{start},3 +{start},4 @@{section}
 {above}
 {middle}
+{added}
 {below}
"""


def mail(**facts: object) -> bytes:
    plain = {
        "status": "Pending",
        "path": PATH,
        "before": "1" * 40,
        "after": "2" * 40,
        "start": 5,
        "section": " def f():",
        "above": "a",
        "middle": "",
        "added": "x",
        "below": "c",
    }
    return MAIL_START + MAIL.format(**{**plain, **facts}).encode()


MAILS = st.builds(
    mail,
    before=IDS,
    after=IDS,
    start=st.integers(1, 999),
    section=WORDS.map(" ".__add__),
    above=WORDS,
    middle=WORDS,
    below=WORDS,
)
"""One change, as bases may have it."""


@given(form=MAILS, other=MAILS)
def test_what_is_joined_is_the_canonical_mail_and_is_split_again(form: bytes, other: bytes) -> None:
    shared = shared_form(form)
    lines = lines_on(shared, other)
    assert lines is not None
    assert joined("x.patch", shared, lines) == other
    assert lines_on(shared, joined("x.patch", shared, lines)) == lines
    assert parse_patch("x.patch", joined("x.patch", shared, lines)).data == other


@pytest.mark.parametrize(
    "facts", [{"status": "Declined"}, {"path": "packages/x/src/y.py"}, {"added": "y"}]
)
def test_another_change_or_other_words_are_not_shared(facts: dict[str, str]) -> None:
    assert lines_on(shared_form(mail()), mail(**facts)) is None
    assert lines_on(mail(), mail(**facts)) is None


def test_less_context_is_not_shared() -> None:
    """A hunk at the end of its file on one base, and not on another."""
    short = mail().replace(b" c\n", b"").replace(b",3 +5,4", b",2 +5,3")
    assert lines_on(shared_form(mail()), short) is None


@given(data=st.data())
def test_a_line_of_the_change_can_not_be_replaced(data: st.DataObject) -> None:
    shared = shared_form(mail())
    lines = lines_on(shared, mail())
    assert lines is not None
    number = data.draw(st.integers(-2, shared.count(b"\n") + 3))
    line = data.draw(st.sampled_from([b"", b"+y", b"-y", b"Group: lean", b"\\ No newline"]))
    with pytest.raises(InvalidError, match=f"line {number} "):
        joined("x.patch", shared, {**lines, number: line})


def test_a_blank_line_must_be_filled_in() -> None:
    shared = shared_form(mail())
    lines = lines_on(shared, mail())
    assert lines
    for number in lines:
        rest = {other: line for other, line in lines.items() if other != number}
        with pytest.raises(InvalidError, match=f"line {number} .* stays blank"):
            joined("x.patch", shared, rest)


def test_a_line_that_differs_by_base_must_be_blank_in_the_file() -> None:
    lines = lines_on(shared_form(mail()), mail())
    assert lines
    with pytest.raises(InvalidError, match="is not blank"):
        joined("x.patch", mail(), lines)


def series(base: str, *mails: bytes) -> Series:
    patches = tuple(parse_patch(f"p{n}.patch", data) for n, data in enumerate(mails))
    return Series(base, patches, {}, {}, Lock(base, "", {}, {}, {"portable": {}}))


def test_two_that_are_alike_are_shared_and_named_for_the_first() -> None:
    one, two, three = (series(base, mail(start=n)) for n, base in enumerate("abc", start=1))
    apart = series("d", mail(added="y"))
    assert alike([one, two, apart]) == {"p0.patch": [("a", "b"), ("d",)]}
    forms, places = placed([one, two, apart, three], {}, set())
    assert forms == {("a", "p0.patch"): shared_form(mail())}
    assert {base: place.form for (base, _), place in places.items()} == dict.fromkeys("abc", "a")
    assert placed([apart], {}, set()) == ({}, {})


def test_what_equals_a_shared_file_is_made_of_it_and_else_parts() -> None:
    forms = {("z", "p0.patch"): shared_form(mail())}
    one, apart = series("a", mail(start=9)), series("b", mail(added="y"))
    used, places = placed([one, apart], forms, set())
    assert used == forms and places.keys() == {("a", "p0.patch")}
    assert places["a", "p0.patch"].form == "z"


def test_a_file_that_another_series_is_made_of_stays() -> None:
    new = [series(base, mail(added="y")) for base in "ab"]
    forms = {("a", "p0.patch"): shared_form(mail())}
    assert placed(new, forms, set())[0].keys() == {("a", "p0.patch")}
    assert placed(new, forms, forms.keys())[0].keys() == {("b", "p0.patch")}


def test_every_patch_here_is_one_change_with_itself(store: Store) -> None:
    """Whatever real hunks hold, also where a base has no other that is alike."""
    patches: list[Patch] = [p for base in store.bases() for p in store.series(base.name).patches]
    for patch in patches:
        form = shared_form(patch.data)
        lines = lines_on(form, patch.data)
        assert lines is not None and joined(patch.name, form, lines) == patch.data
