"""The seam: a quantization method is one module and one line of the registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from ltx_core.text_encoders.gemma.quantized import GemmaFlagsError, GemmaRootError, methods
from ltx_core.text_encoders.gemma.quantized.conversion import convert_root
from ltx_core.text_encoders.gemma.quantized.header import StoredTensor
from ltx_core.text_encoders.gemma.quantized.methods import PackedWeight, require_parts
from safetensors.torch import load_file

from tests.upstream.gemma_files import rewrite_shards
from tests.upstream.overlay.conftest import CPU, MakeEncoders
from verify.campaigns.gemma_reference import assert_equal, from_pretrained

# --- one module: the third method, all of it ---


class OneScaleLinear(torch.nn.Module):
    """A Linear over an int8 weight (out, in) with one scale for all of it."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        weight = torch.empty(linear.weight.shape, dtype=torch.int8, device="meta")
        self.weight = torch.nn.Parameter(weight, requires_grad=False)
        self.scale = torch.nn.Parameter(torch.empty((), device="meta"), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x, dequantized(self.weight, self.scale))


def dequantized(weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return (weight.float() * scale).bfloat16()


@dataclass(frozen=True)
class OneScale:
    """The largest value of a weight is 127; without a flag, and without bitsandbytes."""

    flag: None = None
    label: str = "toy"
    part_names: tuple[str, ...] = ("weight", "scale")

    def may_be_stated(self, settings: Mapping[str, Any]) -> bool:
        return settings.get("quant_method") == "one-scale"

    def stored_layers(self, stored: Mapping[str, StoredTensor]) -> dict[str, tuple[str, ...]]:
        scales = [name for name in stored if name.endswith(".scale")]
        pairs = [(f"{scale.removesuffix('.scale')}.weight", scale) for scale in scales]
        return {weight: require_parts((weight, scale), stored) for weight, scale in pairs}

    def packed(self, shape: tuple[int, ...]) -> PackedWeight:
        return PackedWeight(tuple(shape), "I8", shape[0] * shape[1])

    def most_bytes(self, shape: tuple[int, ...]) -> int:
        return shape[0] * shape[1] + 4

    def require(self, device: torch.device) -> None:
        """Nothing beside torch."""

    def quantize(
        self, weight: torch.Tensor, compute_device: torch.device, device: torch.device
    ) -> dict[str, torch.Tensor]:
        values = weight.to(compute_device).float()
        scale = values.abs().max() / 127
        return {
            "weight": (values / scale).round().to(device, torch.int8),
            "scale": scale.to(device),
        }

    def layer(self, linear: torch.nn.Linear, weight: PackedWeight) -> torch.nn.Module:
        assert weight.shape == linear.weight.shape
        return OneScaleLinear(linear)

    def config(self, not_quantized: list[str]) -> dict[str, Any]:
        return {"quant_method": "one-scale", "modules_to_not_convert": not_quantized}


TOY = OneScale()

# --- one line of the registry ---


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "METHODS", (*methods.METHODS, TOY))


# --- and it converts, loads and computes ---


@pytest.fixture
def root(bf16_root: Path, tmp_path: Path) -> Path:
    """The tiny Gemma, quantized by the third method."""
    output: Path = convert_root(bf16_root, tmp_path / "toy", TOY, CPU).output
    return output


@pytest.mark.core
def test_a_third_method_writes_a_root_that_loads_and_computes(
    bf16_root: Path, root: Path, make_encoders: MakeEncoders
) -> None:
    expected = from_pretrained(bf16_root)
    for module in expected.model.language_model.modules():
        if isinstance(module, torch.nn.Linear):
            parts = TOY.quantize(module.weight.data, CPU, CPU)
            module.weight.data = dequantized(parts["weight"], parts["scale"])
    ours = make_encoders(root).text_encoder().model
    assert_equal(ours, expected)
    layers = [name for name, m in ours.named_modules() if isinstance(m, OneScaleLinear)]
    assert layers
    assert all(".language_model.layers." in name for name in layers)


def test_its_shards_and_config_say_how_they_are_quantized(bf16_root: Path, root: Path) -> None:
    settings = json.loads((root / "config.json").read_text())["quantization_config"]
    assert settings["quant_method"] == "one-scale"
    assert "vision_tower" in settings["modules_to_not_convert"]
    (shard,) = root.glob("*.safetensors")
    assert shard.stat().st_size < sum(f.stat().st_size for f in bf16_root.glob("*.safetensors"))


def test_its_root_is_refused_where_another_would_be(
    root: Path, tmp_path: Path, make_encoders: MakeEncoders
) -> None:
    with pytest.raises(GemmaFlagsError, match="already quantized to toy"):
        make_encoders(root, gemma_4bit=True)
    with pytest.raises(GemmaRootError, match="already quantized to toy"):
        convert_root(root, tmp_path / "again", TOY, CPU)
    tensors = load_file(root / "model-00001-of-00001.safetensors")
    weight = next(name for name in tensors if name.endswith(".scale")).replace(".scale", ".weight")
    del tensors[weight]
    rewrite_shards(root, tensors, shards=1)
    with pytest.raises(GemmaRootError, match=f"lacks {weight}"):
        make_encoders(root)


# --- the registry ---


@pytest.mark.parametrize("method", methods.METHODS, ids=str)
def test_a_method_names_the_parts_that_it_makes(method: methods.Method) -> None:
    weight = torch.randn((96, 128), generator=torch.Generator().manual_seed(0))
    parts = method.quantize(weight, CPU, CPU)
    packed = method.packed((96, 128))
    assert sorted(parts) == sorted(method.part_names)
    assert (tuple(parts["weight"].shape), parts["weight"].nbytes) == (packed.shape, packed.nbytes)
    stored_bytes = sum(part.nbytes for part in parts.values())
    assert packed.nbytes <= stored_bytes <= method.most_bytes((96, 128)) + 4096
