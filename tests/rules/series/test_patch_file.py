"""Patch files: real ones read, torn and hostile ones refused, never a traceback."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.series.patch_file import MAIL_START, parse_patch
from ltx2_patcher.values.errors import InvalidError
from tests.conftest import ROOT

BASES = [base.name for base in Store(ROOT).bases()]
REAL = sorted((ROOT / "patches").glob("*/*.patch"))

MESSAGE = b"""\
From: A <a@b.invalid>
Date: Mon, 1 Jun 2026 00:00:00 +0000
Subject: Do it

This is here because the thing that upstream does there is not what we need at all.

It can go when upstream does it.

Upstream-Status: Pending
Group: portable

"""
PATH = "packages/ltx-core/src/ltx_core/x.py"
DIFF = """\
diff --git a/{path} b/{path}
index 1111111111111111111111111111111111111111..2222222222222222222222222222222222222222 100644
--- a/{path}
+++ b/{path}
@@ -1,2 +1,2 @@ def f():
 a
-b
+c
"""


def made(path: str = PATH, diff: str = DIFF, message: bytes = MESSAGE) -> bytes:
    return MAIL_START + message + diff.format(path=path).encode()


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_a_real_patch_says_what_it_is(path: object) -> None:
    data = path.read_bytes()  # type: ignore[attr-defined]
    patch = parse_patch("x.patch", data)
    # Every line of the diff is in a hunk: counted apart from the parser.
    lines = data.split(b"\n\ndiff --git ", 1)[1].split(b"\n")
    added = sum(line.startswith(b"+") and not line.startswith(b"+++ ") for line in lines)
    removed = sum(line.startswith(b"-") and not line.startswith(b"--- ") for line in lines)
    hunks = [hunk for diff in patch.diffs for hunk in diff.hunks]
    assert sum(len(h.new) - len(h.old) for h in hunks) == added - removed
    assert len(hunks) == len(re.findall(rb"^@@ ", data, re.MULTILINE))
    assert patch.status and patch.subject and "It can go" in patch.body


def test_hunks_keep_every_byte() -> None:
    diff = DIFF.replace("+c\n", "+c\xe9\r\n\\ No newline at end of file\n")
    data = MAIL_START + MESSAGE + diff.format(path=PATH).encode("latin-1")
    (hunk,) = parse_patch("x.patch", data).diffs[0].hunks
    assert (hunk.start, hunk.old, hunk.new) == (1, (b"a\n", b"b\n"), (b"a\n", b"c\xe9\r"))


@pytest.mark.parametrize(
    "path",
    [
        "packages/ltx-core/src/../../../../etc/passwd",
        "/etc/passwd",
        "packages/ltx-core/src/.git/hooks/pre-commit",
        ".git/config",
        "packages/ltx-core/src/a//b.py",
        "packages/ltx-core/src/./b.py",
        "packages/ltx-core/pyproject.toml",
        "packages/ltx-core/src/a b.py",
        "packages\\\\ltx-core\\\\src\\\\x.py",
    ],
)
def test_a_path_that_leaves_the_sources_is_refused(path: str) -> None:
    with pytest.raises(InvalidError, match="not a patch of this series"):
        parse_patch("x.patch", made(path))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"Group: portable", b"Group: other", "Group"),
        (b"Upstream-Status: Pending", b"", "Upstream-Status"),
        (b"It can go when upstream does it.", b"", "when it can go"),
        (b"This is here because", b"", "why it exists"),
        (b"Subject: Do it", b"X: y", "missing"),
        (b"index 1111", b"index 11g1", "full blob ids"),
        (b"100644", b"100755", "full blob ids"),
        (b"-b\n", b"", "torn"),
        (b"+c\n", b"", "torn"),
        (b" a\n", b"a\n", "torn"),
        (b"--- a/", b"new file mode 100644\n--- a/", "existing"),
        (b"--- a/", b"rename from x\n--- a/", "existing|not a change"),
        (MAIL_START, b"From: x\n", "mail line"),
    ],
)
def test_a_patch_that_lacks_something_is_refused(old: bytes, new: bytes, why: str) -> None:
    data = made()
    assert parse_patch("x.patch", data).subject == "Do it"
    broken = data.replace(old, new, 1)
    if old == b"This is here because":
        broken = re.sub(rb"This is here.*\n", b"Short.\n", data)
    with pytest.raises(InvalidError, match=why):
        parse_patch("x.patch", broken)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_no_input_gives_a_traceback(data: st.DataObject) -> None:
    """Cut, doubled and altered pieces of a good patch: read, or refused as InvalidError."""
    good = made()
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, len(good)))
    junk = data.draw(st.one_of(st.binary(max_size=12), st.sampled_from(good.split(b"\n"))))
    mutated = good[:start] + junk + good[end:]
    try:
        patch = parse_patch("x.patch", mutated)
    except InvalidError as error:
        assert error.remedy
    else:
        assert all(diff.path.startswith("packages/") for diff in patch.diffs)
