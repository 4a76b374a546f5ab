"""The campaign of int8 products where it can't measure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ltx2_patcher.values.errors import OutsideError
from tests.conftest import ROOT


def test_a_python_that_sees_no_card_is_told_what_to_use(tmp_path: Path) -> None:
    """Also one without torch, as the tool's own."""
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "verify.campaigns.int8", "1.2.0", str(out)]
    variables = {"CUDA_VISIBLE_DEVICES": "", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == OutsideError.exit_code
    said, remedy = done.stderr.strip().splitlines()
    assert "no torch that sees a GPU" in said
    assert remedy.strip().startswith("to do: ")
    assert not out.exists()
