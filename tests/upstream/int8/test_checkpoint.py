"""What a state dict holds of files of bf16, of fp8 and of integers, and what a LoRA makes of it."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from ltx_core.int8.checkpoint import Checkpoint
from ltx_core.int8.layers import Stored
from ltx_core.int8.rotation import rotated
from ltx_core.int8.rows import Rows, quantize_rows, values_of
from ltx_core.int8.weights import entries_of, fused, quantized
from ltx_core.loader.primitives import StateDict
from ltx_core.weight_files import UnreadableFile
from safetensors.torch import save_file

PREFIX = "model.diffusion_model."
LAYER = "transformer_blocks.0.attn1.to_q"
OTHER = "transformer_blocks.0.attn1.to_gate_logits"


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def written(path: Path, tensors: Mapping[str, torch.Tensor], layers: object = None) -> Path:
    said = {} if layers is None else {"_quantization_metadata": json.dumps({"layers": layers})}
    save_file(
        {PREFIX + name: tensor for name, tensor in tensors.items()}, path, metadata=said or None
    )
    return path


def held(checkpoint: Checkpoint, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        key: value
        for name, tensor in tensors.items()
        for key, value in checkpoint.entries(name, tensor)
    }


@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float8_e4m3fn]
)
def test_floats_become_rows(tmp_path: Path, dtype: torch.dtype) -> None:
    weight = drawn(0, 24, 512).to(dtype)
    tensors = {
        f"{LAYER}.weight": weight,
        f"{LAYER}.bias": drawn(1, 24).to(torch.bfloat16),
        f"{OTHER}.weight": drawn(2, 4, 512).to(torch.bfloat16),
    }
    checkpoint = Checkpoint.of(written(tmp_path / "a.safetensors", tensors))
    assert dict(checkpoint.layers) == {LAYER: Stored(256)}
    found = held(checkpoint, tensors)
    rows = quantize_rows(weight.to(torch.float32), group=256)
    assert torch.equal(found[f"{LAYER}.weight"], rows.codes)
    assert torch.equal(found[f"{LAYER}.weight_scale"], rows.scales)
    assert found[f"{LAYER}.bias"] is tensors[f"{LAYER}.bias"]
    assert found[f"{OTHER}.weight"] is tensors[f"{OTHER}.weight"]
    compiled = dict(checkpoint.entries("transformer_blocks.0._orig_mod.attn1.to_q.weight", weight))
    assert compiled.keys() == {
        f"transformer_blocks.0._orig_mod.attn1.to_q.{end}"
        for end in ("weight", "weight_scale", "weight_group")
    }


@pytest.mark.parametrize(("convrot", "group"), [(True, 256), (False, None)])
def test_integers_of_a_file_stay_as_they_are(
    tmp_path: Path, convrot: bool, group: int | None
) -> None:
    codes = torch.randint(-127, 128, (24, 512), generator=torch.Generator().manual_seed(3)).to(
        torch.int8
    )
    scales = drawn(4, 24, 1).abs()
    tensors = {f"{LAYER}.weight": codes, f"{LAYER}.weight_scale": scales}
    marker = {"format": "int8_tensorwise", "convrot": convrot, "convrot_groupsize": 256}
    path = written(tmp_path / "a.safetensors", tensors, {PREFIX + LAYER: marker})
    checkpoint = Checkpoint.of(path)
    assert dict(checkpoint.layers) == {LAYER: Stored(group)}
    found = held(checkpoint, tensors)
    assert found.keys() == {f"{LAYER}.{end}" for end in ("weight", "weight_scale", "weight_group")}
    assert found[f"{LAYER}.weight"] is codes
    assert torch.equal(found[f"{LAYER}.weight_scale"], scales.flatten())
    for how in ({"rotated": False}, {"keeps_ends": True}):
        with pytest.raises(UnreadableFile, match="leave --int8-unrotated and --int8-keep-ends out"):
            Checkpoint.of(path, **how)


def test_scaled_floats_become_rows_of_their_values(tmp_path: Path) -> None:
    weight, scale = drawn(5, 24, 512).to(torch.float8_e4m3fn), torch.tensor(0.25)
    tensors = {
        f"{LAYER}.weight": weight,
        f"{LAYER}.weight_scale": scale,
        f"{LAYER}.input_scale": torch.tensor(3.0),
        f"{OTHER}.weight": weight.clone(),
        f"{OTHER}.weight_scale": scale.clone(),
    }
    found = held(Checkpoint.of(written(tmp_path / "a.safetensors", tensors)), tensors)
    rows = quantize_rows(weight.to(torch.float32) * scale, group=256)
    assert torch.equal(found[f"{LAYER}.weight"], rows.codes)
    assert torch.equal(found[f"{LAYER}.weight_scale"], rows.scales)
    assert torch.equal(
        found[f"{OTHER}.weight"], (weight.to(torch.float32) * scale).to(torch.bfloat16)
    )
    assert not [
        key for key in found if key.endswith("input_scale") or key == f"{OTHER}.weight_scale"
    ]


def test_a_file_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    path = written(tmp_path / "a.safetensors", {f"{LAYER}.weight": drawn(0, 24, 512)})
    assert set(Checkpoint.of(path).layers) == {LAYER}
    written(
        path,
        {
            f"{LAYER}.weight": drawn(0, 24, 512),
            "transformer_blocks.1.ff.net.2.weight": drawn(1, 24, 1024),
        },
    )
    assert len(Checkpoint.of(path).layers) == 2


def test_a_file_of_other_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({f"{LAYER}.weight": drawn(0, 24, 512)}, path)  # as ComfyUI names a transformer alone
    with pytest.raises(UnreadableFile, match="run convert"):
        Checkpoint.of(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="give the path of a checkpoint"):
        Checkpoint.of(tmp_path / "none.safetensors")


@pytest.mark.parametrize("group", [None, 256])
def test_large_weights_are_quantized_in_parts(
    group: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = drawn(6, 37, 512)
    whole = quantize_rows(weight, group=group)
    monkeypatch.setattr("ltx_core.int8.weights._CHUNK", 5 * 512)
    parts = quantized(weight, group)
    assert torch.equal(parts.codes, whole.codes) and torch.equal(parts.scales, whole.scales)


@pytest.mark.parametrize("group", [None, 256])
def test_a_lora_is_added_to_the_values(group: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    weight, delta = drawn(7, 37, 512), drawn(8, 37, 512).to(torch.bfloat16)
    entries = entries_of(LAYER, quantized(weight, group), group)
    state = StateDict(dict(entries), torch.device("cpu"), 0, set())
    monkeypatch.setattr("ltx_core.int8.weights._CHUNK", 5 * 512)
    key = f"{LAYER}.weight"
    found = fused(key, entries[key], delta, state)
    assert found.keys() == {key, f"{LAYER}.weight_scale"}
    before = values_of(Rows(entries[key], entries[f"{LAYER}.weight_scale"]), group=group)
    after = values_of(Rows(found[key], found[f"{LAYER}.weight_scale"]), group=group)
    off = (after - before - delta.to(torch.float32)).abs()
    if group is not None:
        off = rotated(after - before - delta.to(torch.float32), group).abs()
    assert (off <= 0.501 * found[f"{LAYER}.weight_scale"].unsqueeze(-1) + 1e-5).all()
