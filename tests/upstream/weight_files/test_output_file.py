"""A file appears complete and readable, or not at all."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ltx_core.weight_files import UnwritableOutput
from ltx_core.weight_files.header import read_header
from ltx_core.weight_files.output_file import DTYPES, Entry, new_file
from safetensors.torch import load_file

pytestmark = pytest.mark.core

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name != "__metadata__"
)
described = st.dictionaries(
    names, st.tuples(st.lists(st.integers(0, 7), max_size=4), st.sampled_from(list(DTYPES)))
)


def write(output: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    entries = [Entry(name, t.dtype, tuple(t.shape)) for name, t in tensors.items()]
    with new_file(output, entries, metadata) as file:
        for entry in reversed(entries):  # in another order than they lie in
            file.write(entry, tensors[entry.name])


@given(described, st.dictionaries(st.text(), st.text(), max_size=2))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_safetensors_reads_back_what_was_written(
    tmp_path: Path,
    described: dict[str, tuple[list[int], torch.dtype]],
    metadata: dict[str, str],
) -> None:
    tensors = {n: torch.randint(0, 100, shape).to(dtype) for n, (shape, dtype) in described.items()}
    output = tmp_path / "out.safetensors"
    write(output, tensors, metadata)
    read = load_file(output)
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name].float(), tensor.float())
    assert read_header(output).metadata == metadata
    output.unlink()
    assert list(tmp_path.iterdir()) == []


@given(described)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_tensor_is_aligned_to_its_dtype(
    tmp_path: Path, described: dict[str, tuple[list[int], torch.dtype]]
) -> None:
    tensors = {n: torch.zeros(shape, dtype=dtype) for n, (shape, dtype) in described.items()}
    output = tmp_path / "out.safetensors"
    write(output, tensors, {})
    data = output.read_bytes()
    output.unlink()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert (8 + length) % 8 == 0
    for name, tensor in tensors.items():
        assert header[name]["data_offsets"][0] % tensor.dtype.itemsize == 0


@pytest.mark.parametrize("place", ["exists", "a dead link", "another name", "under a file"])
def test_an_output_in_the_wrong_place_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "taken.safetensors").write_text("")
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "nowhere")
    output, said = {
        "exists": (tmp_path / "taken.safetensors", "exists already"),
        "a dead link": (tmp_path / "link.safetensors", "exists already"),
        "another name": (tmp_path / "out.bin", "is no name for a safetensors file"),
        "under a file": (tmp_path / "taken.safetensors" / "out.safetensors", "cannot be written"),
    }[place]
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UnwritableOutput, match=said):
        write(output, {"a": torch.zeros(2)}, {})
    assert sorted(tmp_path.iterdir()) == before


def test_a_full_disk_is_refused_before_work(tmp_path: Path) -> None:
    with (
        pytest.raises(UnwritableOutput, match=r"GiB free where .* needed"),
        new_file(tmp_path / "out.safetensors", [Entry("a", torch.int8, (2**60,))], {}),
    ):
        raise AssertionError("work began")
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: both fail in the midst of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(UnwritableOutput, match=r"cannot be written \(File too large\)"):
            write(tmp_path / "out.safetensors", {"a": torch.zeros(100_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_two_runs_do_not_share_an_output(tmp_path: Path) -> None:
    output = tmp_path / "out.safetensors"
    entry = Entry("a", torch.float32, (2,))
    with new_file(output, [entry], {}) as file:
        with pytest.raises(UnwritableOutput, match="another run is writing"):
            write(output, {"a": torch.zeros(2)}, {})
        file.write(entry, torch.ones(2))
    assert torch.equal(load_file(output)["a"], torch.ones(2))
    assert [path.name for path in tmp_path.iterdir()] == ["out.safetensors"]


KILLED = """
import os, signal, sys, torch
from pathlib import Path
from ltx_core.weight_files.output_file import Entry, new_file
entries = [Entry("a", torch.float32, (2,)), Entry("b", torch.float32, (2,))]
with new_file(Path(sys.argv[1]), entries, {}) as file:
    file.write(entries[0], torch.zeros(2))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_is_overwritten(tmp_path: Path) -> None:
    output = tmp_path / "out.safetensors"
    command = [sys.executable, "-c", KILLED, str(output)]
    done = subprocess.run(command, env=dict(os.environ), check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == [".out.safetensors.partial"]
    write(output, {"a": torch.ones(3)}, {})
    assert torch.equal(load_file(output)["a"], torch.ones(3))
    assert [path.name for path in tmp_path.iterdir()] == ["out.safetensors"]
