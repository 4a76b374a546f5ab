"""What lies in a file is read from it into host memory, beside what else the process does."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from ltx_core.parked.card import Card
from ltx_core.parked.host import HostMemory
from ltx_core.parked.mapping import FileRanges
from ltx_core.parked.model import ParkedModel
from ltx_core.parked.reading import Reading
from ltx_core.parked.turns import Turns
from safetensors import safe_open
from safetensors.torch import save_file

CPU = torch.device("cpu")
PIECE = 16 * 1024**2  # bytes that a thread reads at a time
SIZES = (1, 1000, PIECE, PIECE + 3, 2 * PIECE + 1)


def in_file(path: Path) -> list[torch.Tensor]:
    """Tensors of those sizes that lie in a file of weights, as upstream opens one."""
    save_file({f"{n}": torch.randint(256, (n,), dtype=torch.uint8) for n in SIZES}, path)
    with safe_open(path, "pt") as file:
        return [file.get_tensor(f"{n}") for n in SIZES]


def empty(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    return [torch.zeros_like(tensor) for tensor in tensors]


def test_whole_tensors_come_from_their_place_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "weights with blanks.safetensors"
    held = in_file(path)
    stretches = [FileRanges().stretch_of(tensor) for tensor in held]
    whole = path.read_bytes()
    for tensor, stretch in zip(held, stretches, strict=True):
        assert stretch is not None
        there = whole[stretch.offset : stretch.offset + tensor.nbytes]
        assert there == tensor.numpy().tobytes()
    copies = empty(held)
    assert Reading(held, copies, FileRanges()).finish()
    assert all(map(torch.equal, held, copies))


def test_what_lies_in_no_file_is_copied(tmp_path: Path) -> None:
    """As what a card has quantized, and what is laid out otherwise; nor from another file that took
    its place.
    """
    mapped = in_file(tmp_path / "weights.safetensors")
    (tmp_path / "weights.safetensors").unlink()
    (tmp_path / "weights.safetensors").write_bytes(b"another")
    held = [torch.randn(3000, 4000), torch.randn(20, 30).T, *mapped]
    assert not any(map(FileRanges().stretch_of, held))
    copies = empty(held)
    assert Reading(held, copies, FileRanges()).finish()
    assert all(map(torch.equal, held, copies))


def test_a_file_that_is_cut_off_is_told_when_its_weights_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    held = in_file(path)
    with path.open("r+b") as file:
        file.truncate(PIECE)
    reading = Reading(held, empty(held), FileRanges())
    with pytest.raises(OSError, match="weights.safetensors was cut off while it was read"):
        reading.finish()
    assert reading.failed


def test_a_model_whose_file_is_cut_off_is_of_no_use(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.randn(2048, 2048)}, path)
    model = torch.nn.Linear(2048, 2048, bias=False)
    with safe_open(path, "pt") as file:
        model.load_state_dict({"weight": file.get_tensor("weight")}, assign=True)
    with path.open("r+b") as file:
        file.truncate(4096)
    host, card = HostMemory(CPU, 2**30), Card(CPU, None)
    parked = ParkedModel(model, card, host, Turns(card))
    with pytest.raises(OSError, match="was cut off"):
        parked.handed_out()
    assert parked.failed
    parked.let_go()
    assert host.has_room(2**30)


def test_who_ends_the_process_waits_for_no_weights(tmp_path: Path) -> None:
    """Of a disk that has not answered yet, here a pipe into which nobody writes."""
    script = """
        import os, sys
        from ltx_core.parked.reading import _readers
        silent, _ = os.pipe()
        for _ in range(100):
            _readers.submit(lambda: os.read(silent, 1))
        sys.exit("interrupted")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (1, "interrupted")
