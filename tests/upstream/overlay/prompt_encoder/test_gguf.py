"""A GGUF of a Gemma 4's language model, completed by a root or by a packed file."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import pytest
import safetensors
import torch
from ltx_core.text_encoders.gemma.quantized import GemmaRootError
from ltx_core.text_encoders.gemma.quantized.conversion import convert_root
from ltx_core.text_encoders.gemma.quantized.key_names import plain_name
from ltx_core.text_encoders.gemma.quantized.methods import NF4
from safetensors.torch import load_file, save_file

from tests.upstream.gemma_files import rewrite_shards
from tests.upstream.overlay.conftest import CPU
from tests.upstream.overlay.prompt_encoder.conftest import Roots, prompt_encoder
from tests.upstream.weight_files import ggml_values
from verify.campaigns.gemma_reference import assert_equal, from_pretrained

pytestmark = pytest.mark.revisions(since="2026-08-16")  # of the group int8

LANGUAGE = "model.language_model."
LAYERS = 2
NO_TOKENS = 8
"""Rows of the embedding that llama.cpp leaves out, for no token of the tokenizer has them."""
PACKED = ("4, packed", "4, packed as the hub spells it")


@dataclass(frozen=True)
class Made:
    """A GGUF file, and what its tensors stand for in bf16, by their plain names."""

    file: Path
    values: dict[str, torch.Tensor]


def tensors_of(root: Path) -> dict[str, torch.Tensor]:
    return {n: t for file in root.glob("*.safetensors") for n, t in load_file(file).items()}


def write_gguf(file: Path, tensors: dict[str, torch.Tensor]) -> Made:
    """llama.cpp's file of a language model: matrices in Q8_0 and Q4_0, norms as they are."""
    writer = gguf.GGUFWriter(file, "gemma4")
    writer.add_block_count(LAYERS)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA4, LAYERS)
    values = {}
    for number, (name, tensor) in enumerate(tensors.items()):
        if not name.startswith(LANGUAGE):
            continue
        known = name.replace(LANGUAGE, "model.").removesuffix(".weight")
        theirs = names.get_name(known)
        assert theirs is not None, name
        if tensor.ndim == 1:
            exact = (tensor.to(torch.float64) * 1.25).numpy()
            writer.add_tensor(f"{theirs}.weight", exact.astype(np.float32))
        else:
            rows = len(tensor) - (NO_TOKENS if name.endswith("embed_tokens.weight") else 0)
            kind = "Q8_0" if number % 2 else "Q4_0"
            data, exact = ggml_values.made(kind, rows, tensor.shape[1], number)
            exact = np.concatenate((exact, np.zeros((len(tensor) - rows, tensor.shape[1]))))
            raw = gguf.GGMLQuantizationType[kind]
            writer.add_tensor(f"{theirs}.weight", data, raw_dtype=raw)
        values[plain_name(name)] = torch.from_numpy(exact).to(torch.bfloat16)
    writer.add_tensor("rope_freqs.weight", np.ones(16, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Made(file, values)


def replaced(tensors: dict[str, torch.Tensor], made: Made) -> dict[str, torch.Tensor]:
    """`tensors`, those of the language model with the values of the GGUF."""
    return {name: made.values.get(plain_name(name), tensor) for name, tensor in tensors.items()}


@pytest.mark.parametrize("target", ["bf16", "4bit", "8bit"])
@pytest.mark.parametrize("kind", PACKED)
def test_a_packed_file_keeps_its_names_and_all_but_the_language_model(
    roots: Roots, tmp_path: Path, kind: str, target: str
) -> None:
    from ltx_core.weight_files.gemma import TARGETS, convert_gemma

    packed, source = roots(kind)
    made = write_gguf(tmp_path / "gemma-4-Q4_0.gguf", tensors_of(source))
    with safetensors.safe_open(packed, "pt") as file:
        metadata = file.metadata()
    plain = replaced(load_file(packed), made)
    save_file(plain, tmp_path / "plain.safetensors", metadata)
    done = convert_gemma([made.file, packed], tmp_path / "out.safetensors", target, CPU)
    ours = prompt_encoder(done.output)._build_text_encoder().model
    theirs = prompt_encoder(tmp_path / "plain.safetensors", TARGETS[target])
    assert_equal(ours, theirs._build_text_encoder().model)
    after = load_file(done.output)
    assert after.keys() >= plain.keys()
    if target == "bf16":
        assert after.keys() == plain.keys()
        assert all(torch.equal(after[name], tensor) for name, tensor in plain.items())


@pytest.mark.parametrize("kind", ["4", "4 instruct"])
def test_a_root_gives_what_takes_pictures_in(roots: Roots, tmp_path: Path, kind: str) -> None:
    from ltx_core.weight_files.gemma import convert_gemma

    root, _ = roots(kind)
    tensors = tensors_of(root)
    made = write_gguf(tmp_path / "gemma-4-Q4_0.gguf", tensors)
    plain = Path(shutil.copytree(root, tmp_path / "plain"))
    rewrite_shards(plain, replaced(tensors, made), shards=1)
    done = convert_gemma([made.file, root], tmp_path / "out", "bf16", CPU)
    assert tensors_of(done.output).keys() == tensors.keys()
    assert_equal(from_pretrained(done.output), from_pretrained(plain))


def test_what_is_not_of_one_whole_gemma_is_refused(roots: Roots, tmp_path: Path) -> None:
    from ltx_core.weight_files.gemma import convert_gemma

    (gemma_3, _), (gemma_4, source) = roots("3"), roots("4, packed")
    quantized = convert_root(gemma_4, tmp_path / "quantized.safetensors", NF4, CPU).output
    made = write_gguf(tmp_path / "gemma-4.gguf", tensors_of(source))
    tower = gguf.GGUFWriter(tmp_path / "mmproj.gguf", "clip")
    tower.add_tensor("v.patch_embd.weight", np.zeros((2, 2), np.float32))
    tower.write_header_to_file()
    tower.write_kv_data_to_file()
    tower.write_tensors_to_file()
    tower.close()
    for inputs, said in {
        (made.file, gemma_3): r"gemma-4.gguf is a Gemma 4, and .* are of a gemma3",
        (made.file, tmp_path / "mmproj.gguf", gemma_4): (
            r"mmproj.gguf is a vision tower, as Gemma 3 has one, and .* a gemma4_unified"
        ),
        (made.file, quantized): "quantized.safetensors is already quantized to 4bit",
    }.items():
        with pytest.raises(GemmaRootError, match=said):
            convert_gemma(inputs, tmp_path / "out.safetensors", "bf16", CPU)
    with pytest.raises(GemmaRootError, match="has no settings of a Gemma beside it"):
        convert_gemma([made.file], tmp_path / "out", "bf16", CPU)
    assert not list(tmp_path.glob("out*"))
