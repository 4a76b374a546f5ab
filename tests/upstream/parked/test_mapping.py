"""Files in memory: told from memory of the process itself; nobody writes where he may only read."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import torch
from ltx_core.parked.mapping import FileRanges, mapped, read_ahead
from safetensors import safe_open
from safetensors.torch import save_file

PAGE = 4096


def test_what_lies_in_a_file_is_told(tmp_path: Path) -> None:
    save_file({"weight": torch.randn(64, 64)}, tmp_path / "weights.safetensors")
    with safe_open(tmp_path / "weights.safetensors", framework="pt") as file:
        weight = file.get_tensor("weight")
    ranges = FileRanges()
    assert ranges.hold(weight)
    assert ranges.hold(weight[1:])
    assert not ranges.hold(weight.clone())
    for tensor in (weight, weight[1:], weight.clone()):
        before = tensor.clone()
        read_ahead(tensor)
        assert torch.equal(tensor, before)


def test_a_part_of_a_file_is_mapped(tmp_path: Path) -> None:
    """It outlives the open file, and holds no lock on it."""
    place = tmp_path / "copy"
    place.write_bytes(b"a" * PAGE + b"b" * PAGE)
    file = os.open(place, os.O_RDWR)
    one, other = mapped(file, PAGE, PAGE, writable=True), mapped(file, PAGE, PAGE, writable=False)
    os.close(file)
    one[0] = ord("c")
    assert bytes(other[:2].tolist()) == b"cb"
    assert place.read_bytes()[PAGE : PAGE + 2] == b"cb"


def test_what_is_mapped_for_reading_is_not_written_to(tmp_path: Path) -> None:
    place = tmp_path / "copy"
    place.write_bytes(bytes(PAGE))
    code = (
        "import os, sys; from ltx_core.parked.mapping import mapped\n"
        f"mapped(os.open(sys.argv[1], os.O_RDWR), 0, {PAGE}, writable=False)[0] = 1"
    )
    done = subprocess.run([sys.executable, "-c", code, str(place)], check=False)
    assert done.returncode == -signal.SIGSEGV
    assert place.read_bytes() == bytes(PAGE)
