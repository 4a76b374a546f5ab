from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ltx_core.text_encoders.gemma.quantized import GemmaRootError
from ltx_core.text_encoders.gemma.quantized.header import StoredTensor
from ltx_core.text_encoders.gemma.quantized.methods import FP4, METHODS, Method
from ltx_core.text_encoders.gemma.quantized.plan import Treatment, make_plan

FILE = Path("model.safetensors")
LAYER = "language_model.model.layers.0.mlp.up_proj"
NF4_PARTS = {
    "weight": ("U8", (2048, 1)),
    "weight.absmax": ("U8", (64,)),
    "weight.quant_map": ("F32", (16,)),
    "weight.nested_absmax": ("F32", (1,)),
    "weight.nested_quant_map": ("F32", (256,)),
    "weight.quant_state.bitsandbytes__nf4": ("U8", (150,)),
}
INT8_PARTS = {"weight": ("I8", (64, 64)), "SCB": ("F32", (64,)), "weight_format": ("U8", ())}
DENSE = {"weight": ("BF16", (64, 64))}
BYTES = {"F32": 4, "BF16": 2, "F16": 2, "U8": 1, "I8": 1}


def to_target(name: str) -> str | None:
    """Where a Gemma 3 tensor goes in upstream's encoder, as the key ops of every base say."""
    for prefix in ("language_model.model.", "vision_tower.", "multi_modal_projector."):
        if name.startswith(prefix):
            return "model.model." + name.replace("language_model.model.", "language_model.")
    return None


def stored(layer: str, parts: Mapping[str, tuple[str, tuple[int, ...]]]) -> list[StoredTensor]:
    tensors = []
    for part, (dtype, shape) in parts.items():
        size = BYTES[dtype]
        for dimension in shape:
            size *= dimension
        tensors.append(StoredTensor(f"{layer}.{part}", dtype, shape, size, FILE))
    return tensors


prefixes = st.sampled_from(
    [
        "language_model.model.",
        "model.language_model.",
        "vision_tower.",
        "model.vision_tower.",
        "multi_modal_projector.",
        "model.multi_modal_projector.",
        "lm_head.",
        "elsewhere.",
    ]
)
modules = st.sampled_from(
    ["layers.0.mlp.up_proj", "layers.1.self_attn.q_proj", "embed_tokens", "norm", "encoder.fc1"]
)
contents = st.sampled_from(
    [
        NF4_PARTS,
        INT8_PARTS,
        DENSE,
        {"weight": ("F32", (64,))},
        {"weight": ("F16", (8, 3, 2, 2)), "bias": ("F16", (8,))},
    ]
)
roots = st.dictionaries(st.tuples(prefixes, modules).map("".join), contents)


@given(roots, st.sampled_from([None, *METHODS]))
def test_a_plan_names_every_tensor_exactly_once(
    root: dict[str, Mapping[str, tuple[str, tuple[int, ...]]]], method: Method | None
) -> None:
    tensors = [tensor for layer, parts in root.items() for tensor in stored(layer, parts)]
    plan = make_plan(tensors, method, to_target)
    assert [planned.stored for planned in plan.tensors] == tensors
    weights = {planned.target for planned in plan.tensors if planned.target}
    assert all(f"{layer.target}.weight" in weights for layer in plan.layers)
    for planned in plan.tensors:
        if planned.treatment is Treatment.QUANTIZE:
            assert planned.method == method
            assert ".language_model." in planned.target
            assert "embed_tokens" not in planned.target
            assert len(set(planned.part_names)) == len(planned.part_names)


@given(
    st.lists(st.sampled_from([NF4_PARTS, INT8_PARTS, DENSE]), max_size=4),
    st.sampled_from([None, *METHODS]),
)
def test_both_key_layouts_lead_to_one_plan(
    layers: list[Mapping[str, tuple[str, tuple[int, ...]]]], method: Method | None
) -> None:
    plans = []
    for prefix in ("language_model.model.", "model.language_model."):
        tensors = [
            t
            for n, parts in enumerate(layers)
            for t in stored(f"{prefix}layers.{n}.mlp.up_proj", parts)
        ]
        plan = make_plan(tensors, method, to_target)
        plans.append(
            (plan.layers, [(planned.target, planned.treatment) for planned in plan.tensors])
        )
    assert plans[0] == plans[1]


@pytest.mark.parametrize("method", METHODS)
def test_only_the_language_models_linears_are_quantized(method: Method) -> None:
    names = {
        LAYER: Treatment.QUANTIZE,
        "language_model.model.embed_tokens": Treatment.KEEP,
        "vision_tower.vision_model.encoder.layers.0.mlp.fc1": Treatment.KEEP,
        "multi_modal_projector.mm_input_projection": Treatment.KEEP,
        "lm_head": Treatment.UNUSED,
    }
    plan = make_plan([t for name in names for t in stored(name, DENSE)], method, to_target)
    assert [planned.treatment for planned in plan.tensors] == list(names.values())
    assert [layer.target for layer in plan.layers] == [
        "model.model.language_model.layers.0.mlp.up_proj"
    ]


@pytest.mark.parametrize("method", [None, *METHODS])
@pytest.mark.parametrize("parts", [NF4_PARTS, INT8_PARTS])
def test_quantized_layers_stay_as_they_are_wherever_they_are(
    method: Method | None, parts: Mapping[str, tuple[str, tuple[int, ...]]]
) -> None:
    tensors = stored(LAYER, parts) + stored("vision_tower.encoder.fc1", parts)
    plan = make_plan(tensors, method, to_target)
    assert {planned.treatment for planned in plan.tensors} == {Treatment.VERBATIM}
    assert len(plan.layers) == 2


@pytest.mark.parametrize("lost", [part for part in NF4_PARTS if part != "weight.nested_absmax"])
def test_a_4bit_layer_that_lacks_a_part_is_refused(lost: str) -> None:
    parts = {part: content for part, content in NF4_PARTS.items() if part != lost}
    with pytest.raises(GemmaRootError, match=f"lacks {LAYER}.{lost}"):
        make_plan(stored(LAYER, parts), None, to_target)


def test_a_4bit_weight_without_any_scale_and_an_8bit_one_without_weight_are_refused() -> None:
    with pytest.raises(GemmaRootError, match="without the scales"):
        make_plan(stored(LAYER, {"weight": NF4_PARTS["weight"]}), None, to_target)
    with pytest.raises(GemmaRootError, match=f"lacks {LAYER}.weight"):
        make_plan(stored(LAYER, {"SCB": INT8_PARTS["SCB"]}), None, to_target)
    with pytest.raises(GemmaRootError, match="8-bit scales but is BF16"):
        make_plan(stored(LAYER, {**INT8_PARTS, **DENSE}), None, to_target)


def test_fp4_and_single_quantization_are_told_from_the_names() -> None:
    parts = {
        "weight": ("U8", (2048, 1)),
        "weight.absmax": ("F32", (64,)),
        "weight.quant_map": ("F32", (16,)),
        "weight.quant_state.bitsandbytes__fp4": ("U8", (80,)),
    }
    (layer,) = make_plan(stored(LAYER, parts), None, to_target).layers
    assert (layer.method, layer.weight.nbytes) == (FP4, 2048)
