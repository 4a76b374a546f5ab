"""What a rebase keeps on disk, pins, symbols, and the search for code that moved."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx2_patcher.rules.series.moved_code import Place, whereabouts
from ltx2_patcher.rules.series.rebase_file import parse_rebase, render_rebase
from ltx2_patcher.rules.series.symbols_file import parse_symbols, with_moved_paths
from ltx2_patcher.rules.series.upstream_file import parse_pins, require_base_name, with_base
from ltx2_patcher.values.base import Base
from ltx2_patcher.values.errors import InvalidError, UsageError
from ltx2_patcher.values.rebasing import Outcome, Rebase, SettledPatch, Stop, StopReason
from tests.conftest import ROOT

STOPS = st.builds(
    Stop,
    st.sampled_from(StopReason),
    st.none() | st.text(max_size=3),
    st.lists(st.text(max_size=3), max_size=2).map(tuple),
)
REBASES = st.builds(
    Rebase,
    *[st.text(max_size=3)] * 2,
    st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3),
    *[st.text(max_size=3)] * 3,
    st.lists(
        st.builds(SettledPatch, st.text(max_size=3), st.sampled_from(Outcome)), max_size=3
    ).map(tuple),
    st.none() | STOPS,
)


@given(REBASES)
def test_a_record_comes_back(rebase: Rebase) -> None:
    assert parse_rebase(render_rebase(rebase), "here") == rebase


@given(st.binary() | REBASES.map(render_rebase).flatmap(lambda d: st.sampled_from([d[:-3], d[1:]])))
def test_another_file_is_no_record(data: bytes) -> None:
    with pytest.raises(InvalidError, match="here is not the record"):
        parse_rebase(data, "here")


def test_a_pin_is_added_and_no_other_byte_changes() -> None:
    text = (ROOT / "vendor/upstream.toml").read_bytes()
    first = parse_pins(text, "here")[0]
    loads = ("LTX-2 19B",)
    base = replace(
        first,
        name="2026-03-30",
        commit="a" * 40,
        date="2026-03-30",
        loads=loads,
        environment={**first.environment, "a": "1"},
        accepts={**first.accepts, "torch": ">=2"},
        lacks=frozenset({"exact-rates"}),
    )
    longer = with_base(text, base, "1.0.0")
    assert longer.startswith(text.rstrip(b"\n")) and longer.endswith(b'torch = ">=2"\n')
    old, new = (tomllib.loads(data.decode()) for data in (text, longer))
    added = new["bases"].pop("2026-03-30")
    assert new == old
    differs = {"environment": {"a": "1"}, "accepts": {"torch": ">=2"}}
    can = {"abilities": sorted(first.abilities), "lacks": ["exact-rates"]}
    tables = {"loads": list(loads), **can, **differs}
    assert added == {"commit": "a" * 40, "date": base.date} | tables
    assert parse_pins(longer, "here") == (*parse_pins(text, "here"), base)


PINS = st.dictionaries(st.sampled_from(["torch", "numpy", "tqdm", "a.b", "c"]), st.just("1"))


@given(common=PINS, pins=PINS)
def test_a_base_has_what_all_have_but_where_it_says_otherwise(
    common: dict[str, str], pins: dict[str, str]
) -> None:
    rows = "".join(f"{json.dumps(name)} = {json.dumps(pin)}\n" for name, pin in common.items())
    text = f'url = "u"\n[environment]\n{rows}[bases]\n'.encode()
    base = Base("b", "u", "a" * 40, "2026-03-30", (), (), pins, {"torch": ">=2"})
    longer = with_base(text, base, "1.0.0")
    assert parse_pins(longer, "here") == (base,)
    stated = tomllib.loads(longer.decode())["bases"]["b"].get("environment", {})
    assert stated.keys() == {n for n in {*common, *pins} if common.get(n) != pins.get(n)}


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "-x", "a..b", "x.lock", "overlay", "shared", "\u00e4", "a\n"]
)
def test_a_name_that_is_no_folder_table_and_branch_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        require_base_name(name)


def test_symbols_keep_their_comments_when_a_file_moves() -> None:
    text = b'# why\n[portable]\n"a/b.py" = ["x"] # "a/b.py"?\n"a/b.pyi" = ["y"]\n'
    moved = with_moved_paths(text, {"a/b.py": "c.py"})
    assert moved == b'# why\n[portable]\n"c.py" = ["x"] # "c.py"?\n"a/b.pyi" = ["y"]\n'
    assert parse_symbols(moved, "here") == {"portable": {"c.py": ("x",), "a/b.pyi": ("y",)}}


FILES = {
    "ledger.py": b"import argparse\n",
    "blocks.py": b"\n\n\nclass PromptEncoder:\n"
    b"    def build(self, gemma_root):\n        module_ops = module_ops_from_root(gemma_root)\n",
    "other.py": b"module_ops = None\n",
}


def test_code_is_found_by_its_names_however_it_is_wrapped() -> None:
    lines = [b"if self.gemma_root is not None:\n", b"  module_ops = module_ops_from_root(root)\n"]
    assert whereabouts(lines, FILES) == Place("blocks.py", 5, 3, 3)


def test_what_stands_nowhere_is_not_found() -> None:
    assert whereabouts([b"else:\n", b"return\n"], FILES) is None
    assert whereabouts([b"first_name, second_name, third_name\n"], FILES) is None
