"""The exit codes stand once, in the table that people read."""

from __future__ import annotations

import re

from ltx2_patcher.values import errors
from ltx2_patcher.values.errors import PatcherError


def test_the_table_has_every_exit_code() -> None:
    rows = re.findall(r"^(?:[|`]-- )?(\w+) +(\d+)  \S", errors.__doc__ or "", re.MULTILINE)
    table = {name: int(code) for name, code in rows}
    classes = {one.__name__: one.exit_code for one in PatcherError.__subclasses__()}
    others = {name: code for name, code in vars(errors).items() if isinstance(code, int)}
    assert table == classes | others
    assert len(set(table.values())) == len(rows) >= 7


def test_none_is_one_of_a_patched_script() -> None:
    """`run` hands those on, from 20 up; above 128 a shell tells a signal."""
    codes = {one.exit_code for one in PatcherError.__subclasses__()} | {errors.NEWS}
    assert max(codes) < 20 and errors.INTERRUPTED > 128
