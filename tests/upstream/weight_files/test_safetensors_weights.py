"""Every layout of safetensors files, read as what it stands for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ltx_core.weight_files import Layout, UnreadableFile, Weight
from ltx_core.weight_files.safetensors_weights import SafetensorsWeights
from safetensors.torch import save_file

from tests.upstream.weight_files import made_layers as made
from tests.upstream.weight_files.made_layers import MadeLayer

LAYER = "model.diffusion_model.transformer_blocks.0.attn1.to_q"

pytestmark = pytest.mark.core


def read(
    folder: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None
) -> dict[str, Weight]:
    save_file(tensors, folder / "in.safetensors", metadata)
    weights = SafetensorsWeights([folder / "in.safetensors"])
    return {weight.name: weight for weight in weights}


def assert_is(weight: Weight, layer: MadeLayer, layout: Layout) -> None:
    """Its values are the layer's, rounded to float32 once."""
    assert weight.layout is layout
    assert weight.shape == layer.values.shape
    values = weight.read()
    assert values.dtype == torch.float32
    assert torch.equal(values, torch.from_numpy(layer.values.astype(np.float32)))


Make = Callable[[int, int, int], MadeLayer]
MADE: dict[str, tuple[Layout, Make]] = {
    "fp8, one scale": (Layout.FP8_SCALED, made.fp8_scaled),
    "fp8, [1]": (Layout.FP8_SCALED, lambda n, k, s: made.fp8_scaled(n, k, s, (1,))),
    "fp8, by rows": (Layout.FP8_SCALED, lambda n, k, s: made.fp8_scaled(n, k, s, (n, 1))),
    "fp8, no marker": (
        Layout.FP8_SCALED,
        lambda n, k, s: made.fp8_scaled(n, k, s, (n,), marked=False),
    ),
    "int8, []": (Layout.INT8_ROWWISE, made.int8),
    "int8, [1]": (Layout.INT8_ROWWISE, lambda n, k, s: made.int8(n, k, s, (1,))),
    "int8, [N]": (Layout.INT8_ROWWISE, lambda n, k, s: made.int8(n, k, s, (n,))),
    "int8, [N, 1]": (Layout.INT8_ROWWISE, lambda n, k, s: made.int8(n, k, s, (n, 1))),
    "int8, rotated by 4": (Layout.INT8_CONVROT, lambda n, k, s: made.int8(n, k, s, (n, 1), 4)),
    "int8, rotated by 16": (Layout.INT8_CONVROT, lambda n, k, s: made.int8(n, k, s, (n,), 16)),
    "int8, one scale, rotated": (Layout.INT8_CONVROT, lambda n, k, s: made.int8(n, k, s, (), 16)),
    "mxfp8, bytes": (Layout.MXFP8, made.mxfp8),
    "mxfp8": (Layout.MXFP8, lambda n, k, s: made.mxfp8(n, k, s, torch.float8_e8m0fnu)),
    "nvfp4": (Layout.NVFP4, made.nvfp4),
    "nvfp4, no marker": (Layout.NVFP4, lambda n, k, s: made.nvfp4(n, k, s, marked=False)),
}


@pytest.mark.parametrize("kind", MADE)
@given(rows=st.integers(1, 140), columns=st.integers(1, 5), seed=st.integers(0, 2**31))
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_values_are_the_layouts_own_definition(
    tmp_path: Path, kind: str, rows: int, columns: int, seed: int
) -> None:
    layout, make = MADE[kind]
    layer = make(rows, 32 * columns, seed)
    weights = read(tmp_path, layer.named(LAYER))
    assert weights.keys() == {f"{LAYER}.weight"}
    assert_is(weights[f"{LAYER}.weight"], layer, layout)


def test_a_group_of_256_is_rotated_back(tmp_path: Path) -> None:
    layer = made.int8(7, 512, 1, (7, 1), 256)
    assert_is(read(tmp_path, layer.named(LAYER))[f"{LAYER}.weight"], layer, Layout.INT8_CONVROT)


@pytest.mark.parametrize(
    "marker",
    [
        {"format": "int8_tensorwise", "convrot": True},
        {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 256},
        {"format": "int8_tensorwise", "params": {"convrot": True, "convrot_groupsize": 256}},
        {"format": "int8_tensorwise", "params": {"convrot": True}, "per_row": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("said_by", ["tensor", "header", "header without prefix"])
def test_every_spelling_of_a_rotation_is_read(
    tmp_path: Path, marker: dict[str, object], said_by: str
) -> None:
    layer = made.int8(5, 512, 3, (5,), 256, marker)
    named = layer.named(LAYER)
    metadata = None
    if said_by != "tensor":
        del named[f"{LAYER}.comfy_quant"]
        name = LAYER.removeprefix("model.diffusion_model.") if "without" in said_by else LAYER
        metadata = {"_quantization_metadata": json.dumps({"layers": {name: marker}})}
    assert_is(
        read(tmp_path, named, metadata)[f"{LAYER}.weight"],
        layer,
        Layout.INT8_CONVROT,
    )


@pytest.mark.parametrize("group", [None, 16])
@pytest.mark.parametrize("shape", [(), (9,), (9, 1)])
def test_int8_passes_its_codes_on(
    tmp_path: Path, group: int | None, shape: tuple[int, ...]
) -> None:
    layer = made.int8(9, 32, 5, shape, group)
    codes = read(tmp_path, layer.named(LAYER))[f"{LAYER}.weight"].codes()
    assert layer.codes is not None
    assert torch.equal(codes.codes, layer.codes[0])
    assert torch.equal(codes.scales, layer.codes[1])
    assert codes.group_size == group


def test_older_names_and_what_only_products_need_are_understood(tmp_path: Path) -> None:
    layer = made.fp8_scaled(4, 32, 1, (), marked=False)
    tensors = {
        f"{LAYER}.weight": layer.tensors["weight"],
        f"{LAYER}.scale_weight": layer.tensors["weight_scale"],
        f"{LAYER}.scale_input": torch.ones(()),
        f"{LAYER}.bias": torch.arange(4, dtype=torch.bfloat16),
        "model.diffusion_model.scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn),
    }
    weights = read(tmp_path, tensors)
    assert weights.keys() == {f"{LAYER}.weight", f"{LAYER}.bias"}
    assert_is(weights[f"{LAYER}.weight"], layer, Layout.FP8_SCALED)
    newer = {**made.fp8_scaled(4, 32, 2).named(LAYER), f"{LAYER}.input_scale": torch.ones(())}
    assert read(tmp_path, newer).keys() == {f"{LAYER}.weight"}


@pytest.mark.parametrize(
    "dtype",
    [torch.bfloat16, torch.float16, torch.float32, torch.float8_e4m3fn, torch.float8_e5m2],
    ids=str,
)
def test_plain_tensors_are_read_as_they_are(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = torch.randn(3, 8).to(dtype)
    weight = read(tmp_path, {f"{LAYER}.weight": tensor})[f"{LAYER}.weight"]
    assert weight.layout is Layout.PLAIN
    assert weight.read().dtype == dtype
    assert torch.equal(weight.read().view(torch.uint8), tensor.view(torch.uint8))


def test_shards_are_one_model_and_metadata_is_kept_without_layouts(tmp_path: Path) -> None:
    one, two = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    layer = made.int8(4, 32, 1)
    metadata = {"_quantization_metadata": json.dumps({"layers": {}}), "config": "{}"}
    save_file({f"{LAYER}.weight": layer.tensors["weight"]}, one, metadata)
    rest = {name: t for name, t in layer.named(LAYER).items() if not name.endswith(".weight")}
    save_file(rest, two)
    with SafetensorsWeights([one, two]) as weights:
        (weight,) = weights
        assert_is(weight, layer, Layout.INT8_ROWWISE)
        assert weights.metadata == {"config": "{}"}
    copy = Path(shutil.copy(one, tmp_path / "copy.safetensors"))
    with pytest.raises(UnreadableFile, match="is in both .*1.safetensors and .*copy.safetensors"):
        SafetensorsWeights([one, copy])


def _refusals() -> dict[str, tuple[dict[str, torch.Tensor], str]]:
    weight = f"{LAYER}.weight"
    int8 = made.int8(4, 32, 1, (4,))
    fp8 = made.fp8_scaled(4, 32, 1)
    packed = made.nvfp4(4, 32, 1)

    def marked(layer: MadeLayer, marker: object) -> dict[str, torch.Tensor]:
        return {
            **layer.named(LAYER),
            f"{LAYER}.comfy_quant": made.as_bytes(json.dumps(marker).encode()),
        }

    def without(layer: MadeLayer, end: str) -> dict[str, torch.Tensor]:
        return {n: t for n, t in layer.named(LAYER).items() if not n.endswith(end)}

    return {
        "int8 without a marker": (without(int8, "comfy_quant"), "is I8, and nothing in the file"),
        "codes of bytes": ({weight: torch.zeros(4, 4, dtype=torch.uint8)}, "is U8, and nothing"),
        "w4a8": (marked(int8, {"format": "asym_w4a8_int8"}), "is asym_w4a8_int8, which is not"),
        "w4a4": (marked(int8, {"format": "convrot_w4a4"}), "is convrot_w4a4, which is not read"),
        "no JSON": (
            {**int8.named(LAYER), f"{LAYER}.comfy_quant": made.as_bytes(b"{")},
            "cannot be read",
        ),
        "no object": (marked(int8, ["int8_tensorwise"]), "says of layouts cannot be read"),
        "no format": (marked(int8, {"convrot": True}), "says of layouts cannot be read"),
        "odd group": (
            marked(int8, {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 8}),
            "rotated by 8",
        ),
        "group of words": (
            marked(int8, {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": "x"}),
            "says of layouts cannot be read",
        ),
        "group too wide": (
            marked(int8, {"format": "int8_tensorwise", "convrot": True}),
            "rotated by 256",
        ),
        "no scale": (without(int8, "weight_scale"), "it has no scales of that layout"),
        "another dtype": (marked(fp8, {"format": "int8_tensorwise"}), "it is F8_E4M3"),
        "too many scales": (
            {**int8.named(LAYER), f"{LAYER}.weight_scale": torch.ones(3)},
            r"its scales are \[3\]",
        ),
        "scales by column": (
            {**int8.named(LAYER), f"{LAYER}.weight_scale": torch.ones(4, 32)},
            r"its scales are \[4, 32\]",
        ),
        "scales not in tiles": (
            {
                **packed.named(LAYER),
                f"{LAYER}.weight_scale": torch.zeros(4, 2, dtype=torch.uint8),
            },
            r"its scales are \[4, 2\]",
        ),
        "no scale for all": (without(packed, "weight_scale_2"), "it has no scale for all"),
        "smoothed": (
            {**packed.named(LAYER), f"{LAYER}.pre_quant_scale": torch.ones(32)},
            "has a pre_quant_scale, which is not read",
        ),
    }


@pytest.mark.parametrize("case", _refusals())
def test_what_cannot_be_read_rightly_is_refused_in_a_sentence(tmp_path: Path, case: str) -> None:
    tensors, said = _refusals()[case]
    with pytest.raises(UnreadableFile, match=said) as raised:
        read(tmp_path, tensors)
    assert "in.safetensors" in str(raised.value)
    assert "\n" not in str(raised.value)


@given(st.binary(max_size=40))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_marker_is_read_or_refused(tmp_path: Path, text: bytes) -> None:
    layer = made.int8(4, 32, 1)
    tensors = {**layer.named(LAYER), f"{LAYER}.comfy_quant": made.as_bytes(text)}
    with pytest.raises(UnreadableFile):
        read(tmp_path, tensors)
