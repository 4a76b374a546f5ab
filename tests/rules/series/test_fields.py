"""Damaged locks, records and pins are told by key, with what stands there: as spelled, in short."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.boundaries.store import Store
from ltx2_patcher.rules.series.lock_file import parse_lock, parse_overlay_lock
from ltx2_patcher.rules.series.supported_file import parse_supported
from ltx2_patcher.rules.series.symbols_file import parse_symbols
from ltx2_patcher.rules.series.upstream_file import parse_pins
from ltx2_patcher.values.errors import InvalidError
from tests.conftest import BASE

PYTHONS = re.compile(
    r"Error|object|<class|NoneType|None|True|b'|\[Errno|argument|subscript|hashable"
)
LONGEST = 400
NAME = "load_the_gemma_text_encoder_quantized.patch"


def told(read: Callable[[bytes, str], object], data: bytes) -> str:
    """What a reader says of damaged data, which is a sentence of ours."""
    with pytest.raises(InvalidError) as caught:
        read(data, "the/file")
    said = str(caught.value)
    assert said.startswith("the/file") and len(said) < LONGEST and "\n" not in said
    assert not PYTHONS.search(said), said
    assert caught.value.remedy
    return said


@pytest.mark.parametrize("read", [parse_lock, parse_overlay_lock, parse_supported])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty"),
        (b'{"a": "b",\n ', "it is no JSON at line 2, column 2"),
        (b"\xff" * 5000, "byte 0 is not UTF-8"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b"[" + b"9" * 5000 + b"]", "too many digits"),
        (b"[1, 2]", "it is [1, 2], not a table"),
        (b"null", "it is null, not a table"),
    ],
)
def test_what_is_no_table_of_json_is_told(
    read: Callable[[bytes, str], object], data: bytes, words: str
) -> None:
    assert words in told(read, data)


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (["base"], 3, "base is 3, not a text"),
        (["commit"], None, "commit is null, not a text"),
        (["patches"], [1], "patches is [1], not a table"),
        (["patches", NAME], "x", f'patches.{NAME} is "x", not a table'),
        (["patches", NAME], {"group": "lean"}, f"patches.{NAME}.sha256 is missing"),
        (["patches", NAME, "group"], "leen", f'patches.{NAME}.group is "leen", not one of gemma'),
        (["patches", NAME, "shared"], "x", f"patches.{NAME}.lines is missing"),
        (["patches", NAME, "more"], 1, f"patches.{NAME}.more is no key that belongs there"),
        (["before"], {"p" * 90_000: "0" * 40}, '"ppp'),
        (["before"], "y" * 90_000, 'before is "yyy'),
        (["after", "lean"], True, "after.lean is true, not a table"),
        (["k" * 90_000], 1, "kkk"),
    ],
)
def test_a_damaged_lock_is_told_by_key(
    store: Store, keys: list[str], value: object, words: str
) -> None:
    raw = json.loads((store.patches / BASE / "lock.json").read_bytes())
    inner = raw
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    assert words in told(parse_lock, json.dumps(raw).encode())


COMMIT = b'commit = "ae855f8538843825f9015a419cf4ba5edaf5eec2"'


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"url =", b"urls =", "urls is no key that belongs there"),
        (COMMIT, b"", "bases.1.0.0.commit is missing"),
        (COMMIT, b"commit = 5", "bases.1.0.0.commit is 5, not a text"),
        (COMMIT, b'commit = "%s"' % (b"z" * 90_000), 'bases.1.0.0.commit is "zzz'),
        (b'"2026-03-11"', b'"2026-13-45"', 'date is "2026-13-45", not a date'),
        (b'["LTX-2 19B"]', b'"LTX"', 'loads is "LTX", not a list'),
        (b'["LTX-2 19B"]', b"[3]", "loads[0] is 3, not a text"),
        (b'["any-gemma-names"', b"[[1]", "abilities[0] is [1], not one of"),
        (b'torch = "2.13.0"', b"torch = 2.13", "environment.torch is 2.13, not a text"),
        (b'torch = ">=2.7"', b'torch = "%s"' % (b"n" * 90_000), 'accepts.torch is "nnn'),
        (b', sha256 = "610b', b', sha257 = "610b', "wheels.ltx-core.sha257 is no key"),
        (b'[bases."1.0.0"]', b'[bases."../x"]', 'bases."../x" is no plain name'),
        (b"https://github.com", b"h" * 90_000, 'url is "hhh'),
        (b"[environment]", b"[environment", "it is no TOML at line "),
    ],
)
def test_damaged_pins_are_told_by_key(store: Store, old: bytes, new: bytes, words: str) -> None:
    data = store.pins_text()
    assert old in data
    assert words in told(parse_pins, data.replace(old, new, 1))


def test_damaged_symbols_are_told_by_key() -> None:
    assert "lean.a.py is 3, not a list" in told(parse_symbols, b'[lean]\n"a.py" = 3\n')
    assert "lean.a.py[0] is [3], not a text" in told(parse_symbols, b'[lean]\n"a.py" = [[3]]\n')
    assert "lean is 3, not a table" in told(parse_symbols, b"lean = 3\n")


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_told(data: bytes) -> None:
    for read in (parse_lock, parse_pins):
        told(read, data)
