"""What a system refuses, told by its number or by what a program made of it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.refusals import refusal, refusal_in

PLACE = Path("/some/place")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space there"),
        (errno.EDQUOT, "free some space of yours"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EROFS, "mount it for writing"),
        (errno.EACCES, "writable"),
        (errno.EPERM, "writable"),
    ],
)
def test_number_and_words_have_the_remedy_that_fits(number: int, remedy: str) -> None:
    said = f"fatal: it failed: {os.strerror(number)}\nhint: try again\n"
    for error in (
        refusal(number, PLACE),
        refusal_in(said, PLACE),
        refusal_in(said.encode(), PLACE),
    ):
        assert error is not None and str(PLACE) in str(error) and remedy in error.remedy
        assert ("writable" in error.remedy) == (remedy == "writable")


def test_what_may_not_be_read_is_to_be_made_readable() -> None:
    error = refusal(errno.EACCES, PLACE, reading=True)
    assert error is not None and error.remedy == "make it readable for you"


def test_anything_else_is_none_of_them() -> None:
    assert refusal(errno.EIO, PLACE) is None and refusal(None, PLACE) is None
    assert refusal_in("fatal: not a git repository", PLACE) is None
