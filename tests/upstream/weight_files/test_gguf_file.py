"""GGUF files as the library writes them, read as what their types stand for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ltx_core.weight_files import Layout, UnreadableFile, gguf_file
from ltx_core.weight_files.gguf_file import GgufWeights, is_gguf
from ltx_core.weight_files.opening import open_weights

from tests.upstream.weight_files.ggml_values import TYPES, made

NAME = "transformer_blocks.0.attn1.to_q.weight"
Stored = tuple[str, npt.NDArray[Any]]  # a GGML type, and the bytes or values

pytestmark = pytest.mark.core


def write(path: Path, tensors: dict[str, Stored], **settings: str) -> Path:
    writer = gguf.GGUFWriter(path, "ltxv")
    for name, text in settings.items():
        writer.add_string(name, text)
    for name, (kind, data) in tensors.items():
        writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType[kind])
    _finish(writer)
    return path


def _finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("kind", TYPES)
@given(rows=st.integers(1, 40), blocks=st.integers(1, 3), seed=st.integers(0, 2**31))
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_values_are_those_of_the_types_own_definition(
    tmp_path: Path, kind: str, rows: int, blocks: int, seed: int
) -> None:
    data, values = made(kind, rows, blocks * TYPES[kind][0], seed)
    with GgufWeights([write(tmp_path / "a.gguf", {NAME: (kind, data)})]) as weights:
        (weight,) = weights
        found = weight.read()
    assert (weight.name, weight.layout, weight.stored) == (NAME, Layout.GGUF, kind)
    assert weight.shape == tuple(found.shape) == values.shape
    assert found.dtype == torch.float32
    # Three float32 operations, each rounded once, on terms that may cancel.
    error = np.abs(found.numpy().astype(np.float64) - values)
    assert error.max() <= 3 * 2.0**-24 * np.abs(values).max()


def test_more_rows_than_are_read_at_a_time_come_in_their_order(tmp_path: Path) -> None:
    data, values = made("Q8_0", 2 * gguf_file._ROWS + 3, 32, 0)
    with GgufWeights([write(tmp_path / "a.gguf", {NAME: ("Q8_0", data)})]) as weights:
        (weight,) = weights
        assert np.array_equal(weight.read().numpy(), values.astype(np.float32))


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("F32", torch.float32), ("F16", torch.float16), ("BF16", torch.bfloat16)],
)
def test_plain_values_keep_their_dtype_and_their_bits(
    tmp_path: Path, kind: str, dtype: torch.dtype
) -> None:
    values = torch.randn(3, 5).to(dtype)
    data = values.view(torch.uint8).numpy() if dtype is torch.bfloat16 else values.numpy()
    with GgufWeights([write(tmp_path / "a.gguf", {NAME: (kind, data)})]) as weights:
        (weight,) = weights
        found = weight.read()
    assert (weight.layout, weight.shape) == (Layout.PLAIN, (3, 5))
    assert torch.equal(found, values)


def test_a_tensor_that_was_reshaped_has_its_own_shape_again(tmp_path: Path) -> None:
    """ComfyUI-GGUF makes rows of 256 of what does not divide, and says so."""
    data, values = made("Q4_K", 3, 256, 0)
    path = tmp_path / "a.gguf"
    writer = gguf.GGUFWriter(path, "ltxv")
    writer.add_array(f"comfy.gguf.orig_shape.{NAME}", [6, 2, 64])
    writer.add_tensor(NAME, data, raw_dtype=gguf.GGMLQuantizationType.Q4_K)
    _finish(writer)
    with GgufWeights([path]) as weights:
        (weight,) = weights
        assert weight.shape == (6, 2, 64)
        found = weight.read()
    assert np.allclose(found.numpy(), values.reshape(6, 2, 64), atol=1e-5)


def test_files_of_one_model_are_read_together_and_its_settings_kept(tmp_path: Path) -> None:
    one = np.ones((2, 2), np.float32)
    first = write(tmp_path / "1.gguf", {"a": ("F32", one)}, config='{"transformer": {}}')
    second = write(tmp_path / "2.gguf", {"b": ("F32", one)})
    with GgufWeights([first, second]) as weights:
        assert [weight.name for weight in weights] == ["a", "b"]
        assert weights.metadata["config"] == '{"transformer": {}}'
        assert weights.metadata["general.architecture"] == "ltxv"
    with pytest.raises(UnreadableFile, match="a is in both"):
        GgufWeights([first, write(tmp_path / "3.gguf", {"a": ("F32", one)})])


def test_a_model_that_was_split_is_read_whole_from_any_of_its_files(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "gemma3", split_max_tensors=2)
    for number in range(5):
        writer.add_tensor(f"t{number}", np.full((2, 2), number, np.float32))
    _finish(writer)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [f"a-{n:05d}-of-00003.gguf" for n in (1, 2, 3)]
    for file in files:
        with open_weights(file) as weights:
            values = {weight.name: weight.read()[0, 0].item() for weight in weights}
        assert values == {f"t{number}": number for number in range(5)}
    files[1].unlink()
    with pytest.raises(UnreadableFile, match=r"one of 3 files, and a-00002-of-00003.gguf is not"):
        open_weights(files[0])


def test_what_is_torn_or_of_a_rare_type_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.gguf", {NAME: ("Q8_0", made("Q8_0", 64, 64, 0)[0])})
    assert is_gguf(whole)
    for size in (0, 3, 20, 100, whole.stat().st_size - 1000):
        torn = tmp_path / "torn.gguf"
        torn.write_bytes(whole.read_bytes()[:size])
        with pytest.raises(UnreadableFile, match=r"torn\.gguf is no complete GGUF file"):
            GgufWeights([torn])
    rare = write(tmp_path / "rare.gguf", {NAME: ("Q8_1", np.zeros((2, 40), np.uint8))})
    with pytest.raises(UnreadableFile, match="as Q8_1, which the library gguf does not") as caught:
        GgufWeights([rare])
    assert "Q8_0" in caught.value.remedy
    with pytest.raises(UnreadableFile, match="cannot be read"):
        is_gguf(tmp_path / "none.gguf")


def test_without_the_library_the_command_that_installs_it_is_named(tmp_path: Path) -> None:
    """In a process that can't import it; nothing else of the package needs it."""
    script = (
        "import sys; sys.modules['gguf'] = None\n"
        "from pathlib import Path\n"
        "from ltx_core.weight_files import UnreadableFile\n"
        "from ltx_core.weight_files.gguf_file import GgufWeights\n"
        "try:\n    GgufWeights([Path('a.gguf')])\n"
        "except UnreadableFile as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "gguf, which reads GGUF files, is not installed" in done.stdout
    assert f"run: {sys.executable} -m pip install 'gguf>=0.17'" in done.stdout
