"""One tensor is in memory at a time, seen from outside the process that converts."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.process_memory import measure, peak_between

MIB = 1024**2
SLACK_BYTES = 40 * MIB
WIDTH, LAYERS = (
    4096,
    10,
)  # a weight is 64 MiB in float32, which the allocator gives back; all are 640

CONVERT = """
import sys
from pathlib import Path
from ltx_core.weight_files.conversion import Scope, convert_model
from ltx_core.weight_files.plan import Target
from tests.process_memory import mark
small, large, folder, target = sys.argv[1:]
convert_model([Path(small)], Path(folder) / "first.safetensors", Target(target), Scope.GIVEN)
mark("start")
convert_model([Path(large)], Path(folder) / "out.safetensors", Target(target), Scope.GIVEN)
mark("end")
"""


def write(path: Path, width: int) -> Path:
    tensors = {}
    for block in range(LAYERS):
        layer = f"transformer_blocks.{block}.attn1.to_q"
        tensors[f"{layer}.weight"] = torch.randn(width, width).to(torch.float8_e4m3fn)
        tensors[f"{layer}.weight_scale"] = torch.tensor(0.01)
    save_file(tensors, path, {"config": json.dumps({"transformer": {"num_layers": LAYERS}})})
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("target", "copies"), [("bf16", 2), ("fp8", 2), ("int8", 5)])
def test_memory_is_that_of_one_weight(tmp_path: Path, target: str, copies: int) -> None:
    """In float32, and what a rotation and a rounding take beside it; not that of the model."""
    files = (write(tmp_path / "small.safetensors", 256), write(tmp_path / "in.safetensors", WIDTH))
    argv = [sys.executable, "-c", CONVERT, *map(str, files), str(tmp_path), target]
    measured = measure(argv, env=os.environ)
    assert measured.code == 0, measured.err
    peak = peak_between(measured, "start", "end")
    assert peak.samples > 10
    assert peak.anon_rise_bytes <= copies * 4 * WIDTH**2 + SLACK_BYTES
