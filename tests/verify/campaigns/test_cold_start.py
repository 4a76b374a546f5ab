"""What comes before a cold start that is measured."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ltx2_patcher.values.errors import OutsideError
from verify.campaigns.cold_start import prepare


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """Of a machine on which nothing is compiled by itself."""
    (tmp_path / "made_up.py").write_text("import os\n", encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}


def test_what_a_program_imports_is_compiled(tmp_path: Path, variables: dict[str, str]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/weights").write_bytes(bytes(1 << 20))
    prepare([tmp_path / "folder", tmp_path / "made_up.py"], "made_up", variables)
    assert list((tmp_path / "__pycache__").glob("made_up.*.pyc"))


def test_what_can_not_be_imported_is_told(tmp_path: Path, variables: dict[str, str]) -> None:
    with pytest.raises(OutsideError, match=r"absent_module.*No module named"):
        prepare([], "absent_module", variables)
