"""The exit codes of the overlay's scripts, which `ltx2-patcher run` hands on among its own."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from ltx_core.text_encoders.gemma.quantized import errors as ours

from ltx2_patcher.values import errors as the_tools

_ROW = re.compile(r"^[-|` ]*(\w+) +(\d+)  \S", re.MULTILINE)
tables = pytest.mark.parametrize(
    ("module", "root"),
    [(ours, ours.GemmaQuantizationError), (the_tools, the_tools.PatcherError)],
    ids=["overlay", "tool"],
)


def listed(module: object) -> dict[str, int]:
    """The codes in the table of the module's docstring, by class."""
    return {name: int(code) for name, code in _ROW.findall(module.__doc__ or "")}


@tables
def test_the_table_lists_every_class_with_its_code(module: object, root: type[Exception]) -> None:
    codes = {name: code for name, code in vars(module).items() if isinstance(code, int)}
    for name, kind in vars(module).items():
        if isinstance(kind, type) and issubclass(kind, root):
            # PatcherError has none: nothing raises it itself.
            codes |= {name: kind.exit_code} if hasattr(kind, "exit_code") else {}
    assert listed(module) == codes


def test_no_two_errors_share_a_code_and_the_overlays_are_20_and_more() -> None:
    codes = Counter([*listed(ours).values(), *listed(the_tools).values()])
    assert set(codes.values()) == {1}
    assert min(listed(ours).values()) == 20
    assert max(set(listed(the_tools).values()) - {the_tools.INTERRUPTED}) < 20
