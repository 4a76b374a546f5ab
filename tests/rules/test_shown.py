"""Values in sentences: as JSON spells them, and short."""

from __future__ import annotations

from ltx2_patcher.rules.shown import MOST, shown


def test_a_value_is_spelled_as_in_its_file_and_never_long() -> None:
    assert shown(None) == "null" and shown(True) == "true" and shown({"a": [1]}) == '{"a": [1]}'
    assert shown("\x1b[31m\ud800") == '"\\u001b[31m\\ud800"'
    assert len(shown("x" * 100_000)) == MOST and shown("x" * 100).endswith("x...")
