"""A packed file becomes another packed file, whoever quantized it, with all else that it holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors
import torch
from ltx_core.text_encoders.gemma.quantized import GemmaOutputError
from ltx_core.text_encoders.gemma.quantized.conversion import convert_root
from ltx_core.text_encoders.gemma.quantized.methods import NF4
from safetensors.torch import load_file, save_file

from tests.upstream.overlay.conftest import CPU
from tests.upstream.overlay.prompt_encoder.conftest import Roots, prompt_encoder
from tests.upstream.weight_files import made_layers
from verify.campaigns.gemma_reference import assert_equal

pytestmark = pytest.mark.revisions(since="2026-08-11")


def test_what_else_a_packed_file_holds_stays_as_it_is(roots: Roots, tmp_path: Path) -> None:
    root, _ = roots("4, packed")
    output = convert_root(root, tmp_path / "out.safetensors", NF4, CPU).output
    before, after = load_file(root), load_file(output)
    others = [name for name in before if not name.startswith(("model.", "vision_model."))]
    assert "tokenizer_json" in others
    assert "text_embedding_projection.audio_aggregate_embed.bias" in others
    for name in others:
        assert after[name].dtype == before[name].dtype
        assert torch.equal(after[name], before[name])


@pytest.mark.revisions(since="2026-08-16")  # of the group int8
@pytest.mark.parametrize("target", ["bf16", "4bit", "8bit"])
@pytest.mark.parametrize("marked_by", ["tensors", "the header"])
def test_a_packed_file_that_comfyui_quantized_becomes_a_plain_or_a_quantized_one(
    roots: Roots, tmp_path: Path, target: str, marked_by: str
) -> None:
    """As the int8 Gemma that is published beside LTX-2.5, with rotated weights."""
    from ltx_core.weight_files.gemma import TARGETS, convert_gemma

    root, _ = roots("4, packed")
    with safetensors.safe_open(root, "pt") as file:
        metadata = file.metadata()
    plain = load_file(root)
    stored, stated = dict(plain), {}
    for number, name in enumerate(n for n in plain if n.endswith("_proj.weight")):
        layer = name.removesuffix(".weight")
        rows, columns = plain[name].shape
        made = made_layers.int8(rows, columns, number, (rows, 1), 16)
        plain[name] = torch.from_numpy(made.values).to(torch.bfloat16)
        stored.update(made.named(layer))
        stated[layer] = made.marker
    assert stated
    header = dict(metadata)
    if marked_by == "the header":
        stored = {name: t for name, t in stored.items() if not name.endswith(".comfy_quant")}
        header["_quantization_metadata"] = json.dumps({"layers": stated})
    save_file(stored, tmp_path / "comfy.safetensors", header)
    save_file(plain, tmp_path / "plain.safetensors", metadata)
    done = convert_gemma(
        [tmp_path / "comfy.safetensors"], tmp_path / "out.safetensors", target, CPU
    )
    theirs = prompt_encoder(tmp_path / "plain.safetensors", TARGETS[target])
    ours = prompt_encoder(done.output, None)
    assert_equal(ours._build_text_encoder().model, theirs._build_text_encoder().model)
    with safetensors.safe_open(done.output, "pt") as file:
        assert "_quantization_metadata" not in file.metadata()
    after = load_file(done.output)
    assert torch.equal(after["tokenizer_json"], plain["tokenizer_json"])
    assert after.keys() >= {n for n in plain if not n.endswith("_proj.weight")}


def test_a_packed_file_becomes_one_by_that_name_only(roots: Roots, tmp_path: Path) -> None:
    root, _ = roots("4, packed")
    with pytest.raises(GemmaOutputError, match=r"an output that ends with .safetensors"):
        convert_root(root, tmp_path / "folder", NF4, CPU)
    assert list(tmp_path.iterdir()) == []
