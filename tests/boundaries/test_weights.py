"""Headers are read off real files, whatever their size, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ltx2_patcher.boundaries.weights import read_gemma, read_header
from ltx2_patcher.rules.models.architecture import checkpoint_keys
from ltx2_patcher.values.errors import InvalidError, OutsideError, UsageError
from tests.weight_files import RELEASED, plain, write, write_checkpoint, write_gemma

GIB = 1 << 30


def test_a_26_gib_file_is_read_by_its_header_alone(tmp_path: Path) -> None:
    config = RELEASED["LTX-2 19B"]["config"]
    tensors = plain(checkpoint_keys(config), (1024, 3375))
    path = write_checkpoint(tmp_path / "model.safetensors", tensors, config)
    assert path.stat().st_size > 26 * GIB
    if path.stat().st_blocks * 512 > GIB:
        pytest.skip("this file system keeps no holes")
    # An address space of 256 MiB holds neither the file nor a mapping of it.
    code = (
        "import sys, resource\n"
        "from pathlib import Path\n"
        "from ltx2_patcher.jobs.models.inspect import inspect\n"
        "resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20))\n"
        "found = inspect(Path(sys.argv[1]))\n"
        "print(found.name, found.bytes, len(found.missing))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["LTX-2", "19B", str(4049 * 1024 * 3375 * 2), "0"]


@pytest.mark.parametrize("kept", [0, 7, 8, 100, -1])
def test_a_cut_off_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path / "a.safetensors", plain(["a", "b"]))
    os.truncate(path, kept if kept >= 0 else path.stat().st_size + kept)
    with pytest.raises(InvalidError, match="cut off"):
        read_header(path)


def test_what_is_not_there_or_not_readable_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="no plain file"):
        read_header(tmp_path / "pipe")
    with pytest.raises(UsageError, match="does not exist"):
        read_header(tmp_path / "none.safetensors")
    with pytest.raises(UsageError, match="not a folder"):
        read_gemma(tmp_path / "none")
    with pytest.raises(InvalidError, match=r"no model\*\.safetensors"):
        read_gemma(tmp_path)
    if os.geteuid():
        locked = write(tmp_path / "locked.safetensors", plain(["a"]))
        locked.chmod(0)
        with pytest.raises(OutsideError, match="no permission"):
            read_header(locked)


def test_a_root_is_read_with_its_model_in_a_subfolder(tmp_path: Path) -> None:
    write_gemma(tmp_path / "root/model")
    (tmp_path / "root/tokenizer").mkdir()
    (tmp_path / "root/model/tokenizer.model").rename(tmp_path / "root/tokenizer/tokenizer.model")
    files = read_gemma(tmp_path / "root")
    assert sorted(files.shards) == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]
    assert files.index is not None
    assert {"tokenizer.model", "preprocessor_config.json"} <= files.beside


def test_two_models_below_a_root_are_refused(tmp_path: Path) -> None:
    write_gemma(tmp_path / "root/one")
    write_gemma(tmp_path / "root/two")
    with pytest.raises(InvalidError, match="several"):
        read_gemma(tmp_path / "root")
    (tmp_path / "root/one/config.json").unlink()
    with pytest.raises(InvalidError, match=r"config\.json"):
        read_gemma(tmp_path / "root/one")
